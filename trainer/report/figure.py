"""Panels in one style, as inline SVG whose colours are the page's CSS variables, light and dark."""

import io
import re
from dataclasses import dataclass

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from negsift.common.arrays import Floats
from negsift.trainer.report.comparison import BASELINE, RunGroup

# Name of the CSS variable: (on light, on dark). The first of each pair is what matplotlib draws with.
# c1 to c6 are Okabe and Ito's colours, which colour-blind readers can tell apart; c0 is for random.
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
    "s1": ("#08519c", "#3b8fd9"),
    "s2": ("#4292c6", "#72b4e4"),
    "s3": ("#9ecae1", "#a9d0ea"),
    "s4": ("#d3e4f1", "#4a6178"),
}
DASHES = ("", "6 2.5", "1.5 2", "7 2 1.5 2")

_COLOURS = 6
_VARIABLES = {light: f"var(--{name})" for name, (light, _) in PALETTE.items()}
_SLIMMING = (
    (r"<defs>\s*<clipPath.*?</defs>", ""),
    (r' clip-path="[^"]*"', ""),
    (r'(?<=<g) id="[^"]*"', ""),
    (r" font-family: [^;\"]*;?", ""),
    (r' transform="rotate\(-0 [^"]*"', ""),
    (r"\n\s*", "\n"),
    (r"<g/>\n", ""),
)


@dataclass(frozen=True)
class Look:
    """A colour of the palette and a dash pattern (SVG's `stroke-dasharray`; empty is solid)."""

    colour: str
    dash: str = ""

    @property
    def ink(self) -> str:
        """The colour as matplotlib takes it."""
        return PALETTE[self.colour][0]

    @property
    def line(self) -> str | tuple[float, tuple[float, ...]]:
        """The dash pattern as matplotlib takes it."""
        return (0.0, tuple(float(part) for part in self.dash.split())) if self.dash else "solid"


@dataclass(frozen=True)
class Key:
    """One entry of a legend; a swatch of its colour, or a line where `line` says so."""

    look: Look
    label: str
    line: bool = True


@dataclass(frozen=True)
class Plot:
    """A panel with its title and, in `note`, what its lines and bands mean."""

    title: str
    note: str
    svg: Markup


def look(group: RunGroup) -> Look:
    """The same look for a group everywhere; random is grey."""
    dash = DASHES[group.number // _COLOURS % len(DASHES)]
    if group.strategy == BASELINE:
        return Look("c0", dash if group.setting else DASHES[1])
    return Look(f"c{group.number % _COLOURS + 1}", dash)


def panel(x_title: str, y_title: str, width: float = 4.8, height: float = 2.9) -> tuple[Figure, Axes]:
    """An empty panel, `width` by `height` inches; the y axis's title stands above it, to be read level."""
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
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))
    axes.set_xlabel(x_title, color=ink, fontsize=9)
    axes.set_title(y_title, color=ink, fontsize=9, loc="left")
    return figure, axes


def whole_numbers(axes: Axes) -> None:
    """No ticks between whole numbers on the x axis."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=1))


def whole_counts(axes: Axes) -> None:
    """No ticks between whole numbers on the y axis, and few of them."""
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))


def draw_line(axes: Axes, x: Floats, y: Floats, style: Look) -> None:
    """A line; a lone point is drawn as a dot."""
    marker = "o" if len(x) == 1 else ""
    axes.plot(x, y, color=style.ink, linestyle=style.line, linewidth=1.8, marker=marker, markersize=5)


def draw_band(axes: Axes, x: Floats, low: Floats, high: Floats, style: Look) -> None:
    """A shaded band between two lines."""
    axes.fill([*x, *x[::-1]], [*low, *high[::-1]], color=style.ink, alpha=0.14, linewidth=0)


def to_svg(figure: Figure, label: str) -> Markup:
    """The figure as an `<svg>` that scales with its column; `label` is read out in its place.

    Text stays text in the page's font. Clip paths go, since nothing is drawn outside the axes.
    """
    _leave_room(figure)
    stream = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(stream, format="svg", metadata=nothing)
    text = stream.getvalue()
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None, "matplotlib writes a viewBox"
    body = _slim(text[text.index("<g ") :])
    return Markup('<svg {} role="img" aria-label="{}">').format(Markup(box[0]), label) + Markup(body)


def _leave_room(figure: Figure) -> None:
    """Margins for the texts around the axes; matplotlib's own layout engines take as long as the drawing."""
    axes = figure.axes[0]
    longest = max((len(_number(value)) for value in axes.get_yticks()), default=0)
    width, height = figure.get_size_inches()
    above = 0.28 if axes.get_title(loc="left") else 0.05
    left = (0.08 * longest + 0.12) / width
    figure.subplots_adjust(left, 0.44 / height, 1 - 0.12 / width, 1 - above / height)


def _slim(body: str) -> str:
    """Shorter, and with the palette's variables for its colours."""
    for pattern, instead in _SLIMMING:
        body = re.sub(pattern, instead, body, flags=re.DOTALL)
    return re.sub("<[^>]*>", lambda tag: _slim_tag(tag[0]), body)


def _slim_tag(tag: str) -> str:
    """What stands between tags is text, such as a tick's number, and stays as it is."""
    rounded = re.sub(r"(\d\.\d\d)\d+", r"\1", tag)
    return re.sub("#[0-9a-f]{6}", lambda found: _VARIABLES.get(found[0], found[0]), rounded)


def _number(value: float) -> str:
    return f"{value:,.6g}".replace("-", "−")
