"""Suspected false negatives: bags of the pool that looked like positives in training, in several epochs.

In an epoch a bag looks like a positive if its log-odds, at its step, are nearer to those of the epoch's median positive
than to those of its median negative: its `margin` is above 0.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from negsift.common.arrays import Floats, Index
from negsift.trainer.report.selections import ChosenBags, bag_ids, margins
from negsift.trainer.results.groups import Comparison, by_key
from negsift.trainer.results.runs import ReportedRun

LEAST = 3
"""Epochs, at least, in which a suspect looked like a positive; they are also half of those that trained on it."""
LISTED = 12
"""Suspects that the page has; all are in the CSV file."""
COLUMNS = ("run", "bag_id", "index", "epochs", "positive_epochs", "mean_margin")


@dataclass(frozen=True)
class Suspect:
    """A bag of a run's pool that looked like a positive in `positive` of the `epochs` that trained on it; its mean
    `margin` is over all of these.
    """

    run: str
    bag_id: str
    index: int
    epochs: int
    positive: int
    margin: float

    @property
    def row(self) -> tuple[object, ...]:
        """Its values in the order of COLUMNS."""
        return self.run, self.bag_id, self.index, self.epochs, self.positive, f"{self.margin:.4g}"


def suspects_of(run: ReportedRun) -> tuple[Suspect, ...] | None:
    """The suspects of a run, those of the most epochs first; None if it recorded no margins."""
    recorded = list(margins(run))
    if not recorded:
        return None
    index = np.concatenate([index for index, _ in recorded])
    margin = np.concatenate([margin for _, margin in recorded])
    bags, epochs, positive, mean = _by_bag(index[~np.isnan(margin)], margin[~np.isnan(margin)])
    rows = np.flatnonzero((positive >= LEAST) & (2 * positive >= epochs))
    rows = rows[np.lexsort((bags[rows], -mean[rows], -positive[rows]))]
    names = bag_ids(run, bags[rows])
    return tuple(
        Suspect(run.name, names[int(bags[row])], int(bags[row]), int(epochs[row]), int(positive[row]), float(mean[row]))
        for row in rows
    )


@dataclass(frozen=True)
class SuspectTable:
    """The suspects of all runs on the same bags: their `count`, `rows` of the first ones, and these `bags`."""

    count: int
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    bags: ChosenBags


def suspect_table(comparison: Comparison, by_run: Mapping[str, tuple[Suspect, ...] | None]) -> SuspectTable | None:
    """The suspects of a comparison, those of the most runs and epochs first; None if no run recorded margins."""
    found = [by_run[run.name] for group in comparison.groups for run in group.runs]
    recorded = [suspects for suspects in found if suspects is not None]
    if not recorded:
        return None
    by_bag = by_key([one for suspects in recorded for one in suspects], lambda one: one.bag_id)
    ranked = sorted(by_bag.values(), key=lambda same: (-len(same), -sum(one.positive for one in same), same[0].index))
    first = ranked[:LISTED]
    rows = tuple(
        (
            same[0].bag_id,
            (
                f"{len(same)} of {len(recorded)}",
                f"{sum(one.positive for one in same)} of {sum(one.epochs for one in same)}",
                f"{_mean_margin(same):.3g}",
            ),
        )
        for same in first
    )
    index, score = np.array([same[0].index for same in first], np.int64), np.array([_mean_margin(s) for s in first])
    return SuspectTable(len(ranked), rows, ChosenBags(0, index, score, [same[0].bag_id for same in first]))


def suspects_csv(suspects: Iterable[Suspect]) -> bytes:
    """All of them as a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(suspect.row for suspect in suspects)
    return text.getvalue().encode(errors="replace")


def _mean_margin(same: Sequence[Suspect]) -> float:
    """The mean of a bag's margins over the epochs of all runs."""
    return sum(one.margin * one.epochs for one in same) / sum(one.epochs for one in same)


def _by_bag(index: Index, margin: Floats) -> tuple[Index, Index, Index, Floats]:
    """Each bag once, the epochs that it was in, those in which its margin was above 0, and its mean margin."""
    bags, place = np.unique(index, return_inverse=True)
    epochs = np.bincount(place, minlength=len(bags))
    positive = np.bincount(place[margin > 0], minlength=len(bags))
    return bags, epochs, positive, np.bincount(place, margin, minlength=len(bags)) / np.maximum(epochs, 1)
