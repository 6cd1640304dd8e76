"""The plots of a sweep: AP by setting and by cost, by set of bags, ranks and profiles."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from negsift.trainer.budget import FORWARDS
from negsift.trainer.report.figure import PALETTE, LegendEntry, LineStyle, Plot, drawable, panel, ticks_at, whole_ticks
from negsift.trainer.report.number_texts import p_is
from negsift.trainer.results.design import FULL
from negsift.trainer.results.estimate import Estimate
from negsift.trainer.results.strategy import StrategyResults
from negsift.trainer.results.sweep import SettingResults, SweepResults

Styles = Mapping[str, LineStyle]
_SIZE = 3.7, 2.7
_MOST_BARS, _MOST_LETTERS = 48, 75
"""In a plot of bars, so that bars and their names have room."""
_LOG_FROM = 3
"""An axis is logarithmic if its largest value is so many times its smallest, or more."""


def arms_of(setting: SettingResults, styles: Styles) -> tuple[LegendEntry, ...]:
    """The legend of the plots of one setting."""
    return tuple(LegendEntry(styles[row.label], row.arm) for row in setting.strategies)


def all_arms(results: SweepResults, styles: Styles) -> tuple[LegendEntry, ...]:
    """The legend of the plots over all settings."""
    rows = [row for setting in results.settings for row in setting.strategies]
    return tuple({row.arm: LegendEntry(styles[row.label], row.arm) for row in rows}.values())


def overview_plots(results: SweepResults, styles: Styles) -> tuple[Plot, ...]:
    """AP by the number in which settings differ, if it is one; AP by bags and by seconds."""
    key = _numeric_key(results)
    by_setting = (_by_setting(results, styles, key),) if key else ()
    bags = f"bags trained + scored / {FORWARDS}, of a run"
    return (
        *by_setting,
        _by_cost(results, styles, "Test AP by bags", bags, lambda row: row.cost.equivalent),
        _by_cost(results, styles, "Test AP by seconds", "seconds of a run", lambda row: row.cost.seconds),
    )


def rank_plots(setting: SettingResults, styles: Styles) -> tuple[Plot, ...]:
    """Mean ranks, and performance profiles, where there are blocks to compare."""
    return tuple(plot for plot in (_ranks(setting, styles), _profiles(setting, styles)) if plot)


def bar_plots(setting: SettingResults, styles: Styles) -> tuple[Plot, ...]:
    """A bar a strategy for each set of bags, so many sets to a plot as can be told apart."""
    names = list(dict.fromkeys(data for row in setting.strategies for data in row.main.by_data))
    longest = max(map(len, names), default=1)
    most = max(1, min(_MOST_BARS // len(setting.strategies), _MOST_LETTERS // longest))
    count = -(-len(names) // most)
    parts = [part.tolist() for part in np.array_split(np.array(names), count)] if names else []
    return tuple(_bars(setting, styles, part, number) for number, part in enumerate(parts))


def _numeric_key(results: SweepResults) -> str:
    """The one key in which the settings differ, if its values are numbers."""
    keys = {key for setting in results.settings for key in setting.keys}
    if len(keys) != 1 or len(results.settings) < 2:
        return ""
    (key,) = keys
    values = [setting.keys[key] for setting in results.settings]
    return key if all(_is_number(value) for value in values) else ""


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _by_setting(results: SweepResults, styles: Styles, key: str) -> Plot:
    figure, axes = panel(drawable(key), "test AP", *_SIZE)
    places = {setting.title: float(setting.keys[key]) for setting in results.settings}
    for rows in _by_arm(results).values():
        points = [(places[title], row.main.mean) for title, row in rows]
        _draw_points(axes, points, styles[rows[0][1].label])
    _spread(axes, list(places.values()))
    ticks_at(axes.xaxis, list(places.values()))
    note = "Mean over blocks ± standard error; bags that are easy or hard widen all errors alike."
    return Plot.of(figure, f"Test AP by {key}", note, f"Test AP by {key}")


def _by_cost(
    results: SweepResults, styles: Styles, title: str, x_title: str, cost: Callable[[StrategyResults], Estimate]
) -> Plot:
    figure, axes = panel(x_title, "test AP", *_SIZE)
    drawn: list[float] = []
    for rows in _by_arm(results).values():
        unique = rows[:1] if rows[0][1].strategy == FULL else rows
        points = [(cost(row).mean, row.main.mean) for _, row in unique if cost(row).count and row.main.mean.count]
        drawn += [x for x, _ in points]
        _draw_points(axes, points, styles[rows[0][1].label])
    _spread(axes, drawn)
    settings = "; a line joins the settings of a strategy" if len(results.settings) > 1 else ""
    return Plot.of(figure, title, f"Upper left is better{settings}.", title)


def _by_arm(results: SweepResults) -> dict[str, list[tuple[str, StrategyResults]]]:
    rows = [(setting.title, row) for setting in results.settings for row in setting.strategies]
    return {arm: [pair for pair in rows if pair[1].arm == arm] for arm in dict.fromkeys(row.arm for _, row in rows)}


def _draw_points(axes: Axes, points: Sequence[tuple[float, Estimate]], style: LineStyle) -> None:
    x, mean = [x for x, _ in points], [estimate.mean for _, estimate in points]
    error = np.nan_to_num([estimate.error for _, estimate in points])
    axes.plot(x, mean, color=style.ink, linestyle=style.pattern, linewidth=1.4, marker="o", markersize=5)
    for place, middle, half in zip(x, mean, error, strict=True):
        axes.plot([place, place], [middle - half, middle + half], color=style.ink, linewidth=1.2)


def _spread(axes: Axes, x: Sequence[float]) -> None:
    """Make the x axis logarithmic where the values are far apart."""
    known = [value for value in x if value > 0]
    if len(known) == len(x) and known and max(known) >= _LOG_FROM * min(known):
        axes.set_xscale("log")
        ticks_at(axes.xaxis, _round_numbers(min(known), max(known)))
        axes.set_xlim(min(known) / 1.15, max(known) * 1.15)


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from the first at or below `low`; 1 and powers of ten alone if they are many."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    return [step * 10.0**power for power in powers for step in steps if low / 1.15 <= step * 10.0**power <= high * 1.15]


def _ranks(setting: SettingResults, styles: Styles) -> Plot | None:
    ranks = setting.ranks
    if ranks is None:
        return None
    rows = sorted((row for row in setting.strategies if row.label in ranks.mean), key=lambda r: ranks.mean[r.label])
    figure, axes = panel("mean rank, 1 is best", "", 4.8, 0.3 * len(rows) + 0.75)
    axes.grid(axis="y", visible=False)
    axes.set_yticks([])
    axes.set_xlim(0.9, len(rows) + 0.4)
    axes.set_ylim(len(rows) - 0.5, -0.6)
    whole_ticks(axes.xaxis, 9)
    best = ranks.mean[rows[0].label]
    if not np.isnan(ranks.critical):
        axes.axvspan(best, min(best + ranks.critical, len(rows) + 0.4), color=PALETTE["grid"][0], linewidth=0)
    for place, row in enumerate(rows):
        mean, style = ranks.mean[row.label], styles[row.label]
        axes.plot([mean], [place], color=style.ink, marker="o", markersize=7)
        side = -1 if mean > (len(rows) + 1) / 2 else 1
        axes.annotate(
            drawable(row.arm), (mean, place), (8 * side, 0), textcoords="offset points", fontsize=9, va="center",
            ha="left" if side > 0 else "right", color=PALETTE["ink"][0], parse_math=False,
        )  # fmt: skip
    return Plot.of(figure, "Mean rank over blocks", _rank_note(setting), f"Mean ranks {setting.title}")


def _rank_note(setting: SettingResults) -> str:
    ranks = setting.ranks
    if ranks is None or np.isnan(ranks.critical):
        return "Of test AP, in the blocks that all have."
    return (
        f"Of test AP, in {ranks.blocks} blocks. In the shade ({ranks.critical:.2f} ranks, Nemenyi) a strategy can't "
        f"be told from the best at 5 %. Friedman {p_is(ranks.friedman_p)}."
    )


def _profiles(setting: SettingResults, styles: Styles) -> Plot | None:
    if not setting.thresholds:
        return None
    figure, axes = panel("AP", "share of blocks with at least this test AP")
    axes.set_ylim(-0.03, 1.03)
    for row in setting.strategies:
        if row.profile:
            style = styles[row.label]
            axes.plot(
                setting.thresholds, row.profile, color=style.ink, linestyle=style.pattern, linewidth=1.8,
                drawstyle="steps-post",
            )  # fmt: skip
    return Plot.of(figure, "Performance profiles", "Higher is better.", f"Performance profiles {setting.title}")


def _bars(setting: SettingResults, styles: Styles, names: Sequence[str], number: int) -> Plot:
    rows = setting.strategies
    figure, axes = panel("", "test AP", min(7.0, max(4.8, 1.2 + 0.13 * len(rows) * len(names))), 2.5)
    width = 0.8 / len(rows)
    for place, row in enumerate(rows):
        for at, name in enumerate(names):
            mean = row.main.by_data.get(name)
            if mean and mean.count:
                x, half = at - 0.4 + (place + 0.5) * width, float(np.nan_to_num(mean.error))
                axes.bar(x, mean.mean, 0.86 * width, color=styles[row.label].ink, linewidth=0)
                axes.plot([x, x], [mean.mean - half, mean.mean + half], color=PALETTE["ink"][0], linewidth=1)
    axes.set_xticks(range(len(names)), [drawable(name) for name in names], parse_math=False)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(0, 1.02)
    title = "Test AP by set of bags" if not number else "… continued"
    note = f"Mean over seeds ± standard error. {_wins(rows)}" if not number else ""
    return Plot.of(figure, title, note, f"Test AP by set of bags {setting.title} {number}")


def _wins(rows: Sequence[StrategyResults]) -> str:
    compared = [
        (row.arm, against.wins) for row in rows if row.strategy != FULL and (against := row.main.against_random)
    ]
    parts = [f"{arm} {wins.wins} of {wins.wins + wins.losses} ({p_is(wins.p)})" for arm, wins in compared]
    return f"Wins over random: {', '.join(parts)}." if parts else ""
