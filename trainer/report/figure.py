"""Plots in one style, as inline SVG whose colours are CSS variables of the page, for light and dark mode."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from negsift.common.arrays import Floats
from negsift.trainer.results.design import BASELINE, FULL
from negsift.trainer.results.groups import RunGroup

# CSS variable: (colour in light mode, in dark mode). matplotlib draws with the first one.
# c1 to c6 are Okabe and Ito's colours, which colour-blind readers can distinguish; c0 is for random, full for all.
PALETTE = {
    "ink": ("#55606e", "#a8b3c1"),
    "grid": ("#e3e7ec", "#2c3440"),
    "c0": ("#7a8594", "#8d99a8"),
    "c1": ("#0072b2", "#4aa8e8"),
    "c2": ("#d55e00", "#ff8b47"),
    "c3": ("#009e73", "#35cfa1"),
    "c4": ("#cc79a7", "#ea9fca"),
    "c5": ("#e69f00", "#f6bd4a"),
    "c6": ("#56b4e9", "#93d3f8"),
    "c7": ("#8c6d31", "#c9a869"),
    "c8": ("#6a4fb3", "#a991f0"),
    "full": ("#1b232d", "#e3e8ef"),
    "s1": ("#08519c", "#3b8fd9"),
    "s2": ("#4292c6", "#72b4e4"),
    "s3": ("#9ecae1", "#a9d0ea"),
    "s4": ("#d3e4f1", "#4a6178"),
}
DASHES = ("", "6 2.5", "1.5 2", "7 2 1.5 2")

_COLOURS = 8
_ENLARGED = 1.6
"""How many pixels a point, 1/72 inch, has at most: text of 9 points is at most about as large as the page's."""
_VARIABLES = {light: f"var(--{name})" for name, (light, _) in PALETTE.items()}


@dataclass(frozen=True)
class LineStyle:
    """A colour of the palette, by name, and a dash pattern as SVG's `stroke-dasharray`; empty means solid."""

    colour: str
    dash: str = ""

    @property
    def ink(self) -> str:
        """The colour for matplotlib."""
        return PALETTE[self.colour][0]

    @property
    def pattern(self) -> str | tuple[float, tuple[float, ...]]:
        """The dash pattern for matplotlib."""
        return (0.0, tuple(float(part) for part in self.dash.split())) if self.dash else "solid"


@dataclass(frozen=True)
class LegendEntry:
    """One entry of a legend, drawn as a line or, if not `line`, as a rectangle of its colour."""

    style: LineStyle
    label: str
    line: bool = True


@dataclass(frozen=True)
class Plot:
    """A plot with its title, and a `note` that explains its lines and bands."""

    title: str
    note: str
    svg: Markup

    @classmethod
    def of(cls, figure: Figure, title: str, note: str, label: str) -> Self:
        """The figure as a plot; `label` is its text for screen readers."""
        return cls(title, note, to_svg(figure, label))


def group_style(group: RunGroup) -> LineStyle:
    """The style of a group, the same in all plots and tables: a colour a strategy, a dash a setting.

    Random is grey, the full set has the colour of text.
    """
    dash = DASHES[(group.level + group.arm // _COLOURS) % len(DASHES)]
    if group.strategy == BASELINE:
        return LineStyle("c0", dash if group.setting else DASHES[1])
    return LineStyle("full" if group.strategy == FULL else f"c{group.arm % _COLOURS + 1}", dash)


def arm_style(group: RunGroup) -> LineStyle:
    """The style of a group's strategy in a plot of one setting."""
    return group_style(replace(group, level=0))


def drawable(text: str) -> str:
    """The text with a question mark for each character that the font may lack, about which matplotlib warns."""
    return re.sub(r"[^ -~·…−±×]", "?", text)


def panel(x_title: str, y_title: str, width: float = 4.8, height: float = 2.9) -> tuple[Figure, Axes]:
    """An empty panel, `width` by `height` inches, with the y axis's title above it in horizontal text."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    ink, grid = PALETTE["ink"][0], PALETTE["grid"][0]
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(ink)
    axes.tick_params(colors=ink, labelsize=9, length=0, pad=5)
    axes.grid(axis="y", color=grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for axis in (axes.xaxis, axes.yaxis):
        _label_plainly(axis)
    axes.set_xlabel(x_title, color=ink, fontsize=9, parse_math=False)
    axes.set_title(y_title, color=ink, fontsize=9, loc="left")
    return figure, axes


def whole_ticks(axis: Axis, most: int) -> None:
    """Put the ticks of an axis at whole numbers, with at most `most` intervals between them."""
    axis.set_major_locator(MaxNLocator(integer=True, nbins=most, min_n_ticks=1))


def ticks_at(axis: Axis, places: Sequence[float]) -> None:
    """Put the ticks of an axis at these places and nowhere else, also on a logarithmic axis."""
    axis.set_major_locator(FixedLocator(places))
    axis.set_minor_locator(NullLocator())
    _label_plainly(axis)


def draw_line(axes: Axes, x: Floats, y: Floats, style: LineStyle) -> None:
    """Draw a line, or a dot for a single point."""
    marker = "o" if len(x) == 1 else ""
    axes.plot(x, y, color=style.ink, linestyle=style.pattern, linewidth=1.8, marker=marker, markersize=5)


def to_svg(figure: Figure, label: str) -> Markup:
    """The figure as an `<svg>` that scales with its column; `label` is its text for screen readers."""
    _set_margins(figure)
    for artist in figure.findobj():
        artist.set_clip_on(False)  # nothing is drawn outside the axes, and clip paths would be half of the file
    stream, no_metadata = io.StringIO(), dict.fromkeys(("Date", "Creator", "Format", "Type"))
    # The text stays text, and the page sets its font.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label, "font.sans-serif": ["DejaVu Sans"]}):
        figure.savefig(stream, format="svg", metadata=no_metadata)
    svg = ElementTree.fromstring(stream.getvalue())
    for element in svg.iter():
        _adapt(element)
    for style_sheet in svg.findall("defs"):  # it would apply to the whole page
        svg.remove(style_sheet)
    widest = f"max-width: {_ENLARGED * 72 * figure.get_figwidth():.0f}px"
    svg.attrib = {"viewBox": svg.attrib["viewBox"], "role": "img", "aria-label": label, "style": widest}
    return Markup(ElementTree.tostring(svg, encoding="unicode"))


def _label_plainly(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))


def _set_margins(figure: Figure) -> None:
    """Set margins for the texts around the axes; matplotlib's layout engines would take as long as the drawing."""
    axes = figure.axes[0]
    longest = max((len(_number(value)) for value in axes.get_yticks()), default=0)
    width, height = figure.get_size_inches()
    above = 0.28 if axes.get_title(loc="left") else 0.05
    left = (0.08 * longest + 0.12) / width
    figure.subplots_adjust(left, 0.44 / height, 1 - 0.12 / width, 1 - above / height)


def _adapt(element: ElementTree.Element) -> None:
    """Make an element fit into the page, where matplotlib has no settings for it.

    Colours become CSS variables, numbers get two decimals. Ids of groups, which repeat from plot to plot, and
    namespaces, which HTML does not need, are removed.
    """
    element.tag, element.tail = element.tag.rpartition("}")[2], None
    element.text = element.text if element.tag == "text" else None
    attributes, element.attrib = element.attrib, {}
    for name, value in attributes.items():
        if (element.tag, name) != ("g", "id"):
            rounded = re.sub(r"(\d\.\d\d)\d+", r"\1", value)  # matplotlib writes six decimals
            themed = re.sub("#[0-9a-f]{6}", lambda match: _VARIABLES.get(match[0], match[0]), rounded)
            element.set(name.rpartition("}")[2], themed)


def _number(value: float) -> str:
    return f"{value:,.6g}".replace("-", "−")
