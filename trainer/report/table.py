"""The tables of results: one row for each group with mean ± standard error, or one row for each run."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from negsift.trainer.report.figure import LineStyle, group_style
from negsift.trainer.results.design import BASELINE
from negsift.trainer.results.estimate import estimate
from negsift.trainer.results.groups import Comparison, RunGroup, overall
from negsift.trainer.results.runs import ReportedRun


@dataclass(frozen=True)
class Column:
    """A number of each run, with its heading and tooltip; in `ranked` columns the largest value is marked."""

    name: str
    line: str
    take: Callable[[ReportedRun], float]
    digits: int = 0
    ranked: bool = False


@dataclass(frozen=True)
class Cell:
    """A number as text; `best` marks the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One line of a table; `note` is shown beside the label."""

    label: str
    style: LineStyle
    note: str
    cells: tuple[Cell, ...]


COLUMNS = (
    Column("test AP", "test average precision at the best-validation epoch", lambda r: r.result("test.ap"), 3, True),
    Column("test ROC-AUC", "the same epoch's ROC-AUC", lambda r: r.result("test.roc_auc"), 3, True),
    Column("last AP", "test average precision after the last epoch", lambda r: r.result("last.ap"), 3, True),
    Column("best epoch", "epoch of the best validation AP, from 0", lambda r: r.result("best_epoch")),
    Column("trained", "bags trained on, over all epochs", lambda r: r.result("bags.trained")),
    Column("scored", "bags scored, over all epochs", lambda r: r.result("bags.scored")),
    Column("select, s", "seconds selecting, as the trainer sees it", lambda r: r.total("seconds.select"), 2),
    Column("train, s", "seconds training", lambda r: r.total("seconds.train"), 2),
)
GAIN = Column(f"above {BASELINE}", f"test AP above {BASELINE}'s, paired by seed", lambda r: math.nan, 3)


def group_rows(comparison: Comparison) -> tuple[Row, ...]:
    """One row for each group, over its finished runs; the cell after test AP is the gain over random."""
    return tuple(_group_row(group, comparison) for group in comparison.groups)


def run_rows(comparison: Comparison) -> tuple[Row, ...]:
    """One row for each run, also for unfinished ones; the first cell is the best validation AP."""
    return tuple(_run_row(run, group) for group in comparison.groups for run in group.runs)


def overview_rows(comparisons: Sequence[Comparison]) -> tuple[Row, ...]:
    """The mean test AP of every group in every comparison, and over all comparisons."""
    groups = {group.label: group for comparison in comparisons for group in comparison.groups}
    means = {label: overall(label, comparisons) for label in sorted(groups)}
    ranked = sorted(means, key=lambda label: (-means[label].count, -means[label].mean))
    return tuple(_overview_row(groups[label], comparisons, label == ranked[0]) for label in ranked)


def overview_columns(comparisons: Sequence[Comparison]) -> tuple[Column, ...]:
    """The headings of `overview_rows`: the mean over all comparisons, then each comparison."""
    titles = ["mean over all", *(comparison.title for comparison in comparisons)]
    return tuple(Column(title, "", COLUMNS[0].take, 3, True) for title in titles)


def state(run: ReportedRun) -> str:
    """How many epochs a finished run has, or where an unfinished run stopped."""
    count = len(run.epochs)
    if run.summary:
        return f"{count} epoch{'s' if count != 1 else ''}"
    return f"unfinished after epoch {run.epochs[-1].number}" if count else "unfinished before the first epoch"


def _group_row(group: RunGroup, comparison: Comparison) -> Row:
    cells = []
    for column in COLUMNS:
        value = estimate(column.take(run) for run in group.finished)
        best = column.ranked and value.count > 0 and value.mean >= _best(column, comparison)
        cells.append(Cell(value.text(column.digits), best and len(comparison.groups) > 1))
    gain = comparison.gain(group).text(3, "+")
    note = f"{len(group.runs)} run{'s' if len(group.runs) > 1 else ''}"
    note = note if group.finished == group.runs else f"{len(group.finished)} of {note}"
    return Row(group.label, group_style(group), note, (cells[0], Cell(gain), *cells[1:]))


def _best(column: Column, comparison: Comparison) -> float:
    means = [estimate(column.take(run) for run in group.finished).mean for group in comparison.groups]
    return max(mean for mean in means if not math.isnan(mean))


def _run_row(run: ReportedRun, group: RunGroup) -> Row:
    cells = [Cell(estimate([column.take(run)]).text(column.digits)) for column in COLUMNS]
    return Row(run.name, group_style(group), state(run), (Cell(estimate([run.highest("val.ap")]).text(3)), *cells))


def _overview_row(group: RunGroup, comparisons: Sequence[Comparison], best: bool) -> Row:
    mean = overall(group.label, comparisons)
    cells = [_overview_cell(group.label, comparison) for comparison in comparisons]
    note = "" if mean.count == len(comparisons) else f"{mean.count} of {len(comparisons)}"
    return Row(group.label, group_style(group), note, (Cell(mean.text(3), best), *cells))


def _overview_cell(label: str, comparison: Comparison) -> Cell:
    results = {group.label: group.result("test.ap") for group in comparison.groups}
    highest = max((result.mean for result in results.values() if result.count), default=math.inf)
    result = results.get(label)
    return Cell(result.text(3), result.mean >= highest) if result else Cell("—")
