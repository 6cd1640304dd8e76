"""The plots of one comparison: learning curves, selections, and seconds by stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Floats
from negsift.trainer.report.figure import (
    LegendEntry,
    LineStyle,
    Plot,
    draw_line,
    drawable,
    group_style,
    panel,
    whole_ticks,
)
from negsift.trainer.report.selections import picks_by_epoch, read_selection, scored_epochs
from negsift.trainer.results.estimate import estimate
from negsift.trainer.results.groups import Comparison, RunGroup
from negsift.trainer.results.runs import EpochMetrics, ReportedRun

MEAN = "Mean over runs; the band is ± one standard error."
SCORE_KEYS = tuple(
    LegendEntry(LineStyle(colour, dash), label)
    for colour, dash, label in (("c0", "1.5 2", "first scored"), ("c5", "6 2.5", "middle"), ("c1", "", "last"))
)
_STAGES = {
    "s1": "scoring", "s2": "merging and picking", "s3": "learning from positives", "s4": "other selecting",
    "c5": "training", "c3": "evaluating", "c0": "other",
}  # fmt: skip
STAGE_KEYS = tuple(LegendEntry(LineStyle(colour), label, False) for colour, label in _STAGES.items())


@dataclass(frozen=True)
class Curve:
    """The mean of a group's runs by epoch, with its standard error (0 for a single run)."""

    x: Floats
    mean: Floats
    error: Floats


def group_keys(comparison: Comparison) -> tuple[LegendEntry, ...]:
    """The legend of the curves."""
    return tuple(LegendEntry(group_style(group), group.label) for group in comparison.groups)


def learning_plots(comparison: Comparison) -> tuple[Plot, ...]:
    """Validation AP and ROC-AUC and the loss by epoch, and AP by seconds."""
    return (
        _by_epoch(comparison, "val.ap", "Validation AP by epoch", "average precision"),
        _by_seconds(comparison),
        _by_epoch(comparison, "val.roc_auc", "Validation ROC-AUC by epoch", "area under the ROC curve"),
        _by_epoch(comparison, "loss", "Training loss by epoch", "mean loss of a bag"),
    )


def selection_plots(comparison: Comparison) -> tuple[Plot, ...]:
    """The share of picks kept from the epoch before, and the share of the pool picked so far."""
    return (
        _by_epoch(comparison, "overlap", "Picks kept from the epoch before", "share of an epoch's picks"),
        _by_epoch(comparison, "coverage", "Pool picked at least once so far", "share of the pool"),
    )


def pick_plots(comparison: Comparison) -> tuple[Plot, ...]:
    """A histogram for each group of how often the pool's bags were picked."""
    most = max((len(run.epochs) for group in comparison.groups for run in group.runs), default=0)
    return tuple(plot for group in comparison.groups if (plot := _picks(group, most)))


def score_plots(comparison: Comparison) -> tuple[Plot, ...]:
    """For each group that scores, histograms of the chosen bags' scores in its first, middle and last such epoch."""
    return tuple(plot for group in comparison.groups if (plot := _scores(group)))


def stage_plot(comparison: Comparison) -> Plot:
    """A bar for each group: the seconds of a run by stage, as measured by the trainer."""
    groups = comparison.groups
    figure, axes = panel("seconds per run", "", 9.6, 0.62 * len(groups) + 0.7)
    axes.grid(axis="y", visible=False)
    axes.set_yticks([])
    axes.set_ylim(len(groups) - 0.3, -0.7)
    for row, group in enumerate(groups):
        left = 0.0
        by_stage = np.mean([_stages(run) for run in group.finished or group.runs], axis=0)
        for entry, seconds in zip(STAGE_KEYS, by_stage, strict=True):
            axes.barh(row, seconds, 0.36, left, color=entry.style.ink, linewidth=0)
            left += seconds
        label = drawable(f"{group.label}: {left:,.1f} s")
        axes.text(0, row - 0.28, label, fontsize=9, color=axes.xaxis.label.get_color(), va="bottom", parse_math=False)
    note = "Mean over runs." if comparison.several else ""
    return Plot.of(figure, "Seconds by stage", note, f"Seconds by stage {comparison.title}")


def curve(runs: Sequence[ReportedRun], value: Callable[[EpochMetrics], float]) -> Curve:
    """The mean of `value` by epoch, over the runs that have it."""
    numbers = sorted({epoch.number for run in runs for epoch in run.epochs})
    means = [estimate(value(e) for run in runs for e in run.epochs if e.number == number) for number in numbers]
    known = [(number, mean.mean, mean.error) for number, mean in zip(numbers, means, strict=True) if mean.count]
    x, mean, error = np.array(known, dtype=np.float64).reshape(-1, 3).T
    return Curve(x, mean, np.nan_to_num(error))


def _by_epoch(comparison: Comparison, key: str, title: str, y_title: str) -> Plot:
    figure, axes = panel("epoch", y_title)
    for group in comparison.groups:
        line, style = curve(group.runs, lambda epoch: epoch.values[key]), group_style(group)
        low, high = line.mean - line.error, line.mean + line.error
        axes.fill([*line.x, *line.x[::-1]], [*low, *high[::-1]], color=style.ink, alpha=0.14, linewidth=0)
        draw_line(axes, line.x, line.mean, style)
    whole_ticks(axes.xaxis, 7)
    return Plot.of(figure, title, MEAN if comparison.several else "", f"{title} {comparison.title}")


def _by_seconds(comparison: Comparison) -> Plot:
    title = "Validation AP by seconds spent"
    figure, axes = panel("seconds since the start", "average precision")
    for group in comparison.groups:
        spent = curve(group.runs, lambda epoch: epoch.values["seconds.total"])
        line = curve(group.runs, lambda epoch: epoch.values["val.ap"])
        if spent.mean.sum() > 0:
            seconds = np.array([spent.mean[spent.x <= number].sum() for number in line.x])
            draw_line(axes, seconds, line.mean, group_style(group))
    note = "The same means against the clock: equal epochs are not equal cost."
    return Plot.of(figure, title, note, f"{title} {comparison.title}")


def _picks(group: RunGroup, most: int) -> Plot | None:
    runs = [counts for run in group.runs if (counts := _times_picked(run, most)) is not None]
    if not runs:
        return None
    width = max(1, -(-(most + 1) // 30))  # at most 30 bars
    bags = np.mean(runs, axis=0)
    bars = np.add.reduceat(bags, np.arange(0, most + 1, width))
    figure, axes = panel("times picked", "bags of the pool", 2.8, 2.0)
    axes.bar(np.arange(len(bars)) * width, bars, 0.8 * width, color=group_style(group).ink, align="center", linewidth=0)
    whole_ticks(axes.xaxis, 7)
    whole_ticks(axes.yaxis, 5)
    never = f"{bags[0] / bags.sum():.0%} of the pool never picked." if bags.sum() else ""
    return Plot.of(figure, group.label, never, f"How often bags were picked by {group.label}")


def _times_picked(run: ReportedRun, most: int) -> Floats | None:
    """The number of bags picked 0, 1, ... `most` times, (most + 1,); None without selections."""
    picks = list(picks_by_epoch(run))
    if not picks:
        return None
    times = np.unique(np.concatenate(picks), return_counts=True)[1]
    counts = np.bincount(times, minlength=most + 1).astype(np.float64)
    counts[0] = max(0.0, run.highest("pool") - len(times))
    return counts


def _scores(group: RunGroup) -> Plot | None:
    scored = scored_epochs(group.shown)
    if not scored:
        return None
    shown = sorted({scored[0], scored[len(scored) // 2], scored[-1]})
    selected = [read_selection(group.shown, epoch).score for epoch in shown]
    scores = [score[np.isfinite(score)] for score in selected]
    edges = np.histogram_bin_edges(np.concatenate(scores), bins=16)
    figure, axes = panel("score", "chosen bags", 2.8, 2.0)
    for values, entry in zip(scores, SCORE_KEYS[-len(shown) :], strict=True):
        bags, style = np.histogram(values, edges)[0], entry.style
        axes.stairs(bags, edges, color=style.ink, linestyle=style.pattern, linewidth=1.6)
    axes.locator_params(axis="x", nbins=4)
    whole_ticks(axes.yaxis, 5)
    note = f"Epochs {', '.join(map(str, shown))} of {group.shown.name}."
    return Plot.of(figure, group.label, note, f"Scores of the bags chosen by {group.label}")


def _stages(run: ReportedRun) -> list[float]:
    """Seconds in the order of STAGE_KEYS; selection time outside its stages counts as other selecting."""
    left = run.total("seconds.select")
    parts = []
    for stage in ("score", "merge", "prepare"):
        parts.append(min(left, run.total(f"seconds.{stage}")))
        left -= parts[-1]
    own = [run.total("seconds.train"), run.total("seconds.evaluate")]
    rest = run.total("seconds.total") - run.total("seconds.select") - sum(own)
    return [*parts, left, *own, max(0.0, rest)]
