"""The progress of a run, which is saved to resume it: history, best weights, and the bags picked so far."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from negsift.common.account import Account
from negsift.common.types import Selection
from negsift.trainer.budget import FORWARDS, Spent
from negsift.trainer.folder import Json
from negsift.trainer.metrics import Metrics

_RECORDED = {"epoch", "val", "seconds", "chosen", "scored", "trained", "staleness", "fresh"}
"""What of an epoch's record is read again."""


@dataclass
class Progress:
    """`history` has a record for each epoch; `picked` (pool,) marks the bags chosen at least once. `made` says what the
    `selection` in use was made from.
    """

    picked: NDArray[np.bool_]
    history: list[Json] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = -1
    selection: Selection | None = None
    made: Json = field(default_factory=dict)

    @property
    def next_epoch(self) -> int:
        """The first epoch not yet trained."""
        return len(self.history)

    @property
    def spent(self) -> Spent:
        """What the run has spent so far."""
        bags = sum(line["trained"] + line["scored"] / FORWARDS for line in self.history)
        seconds = [sum(line["seconds"].get(stage, 0.0) for stage in ("select", "train")) for line in self.history]
        return Spent(float(bags), float(sum(seconds)), seconds[-1] if seconds else 0.0)

    def record(self, epoch: int, selection: Selection, fresh: bool, **measured: Any) -> Json:  # Any: JSON
        """Add an epoch and return its record: the `measured` values and figures of the selection.

        `fresh` means that the selection was made for this epoch, so that its account counts. `trained` is the number of
        bags trained.
        """
        before, self.selection = self.selection, selection
        self.picked[selection.index] = True
        account = selection.account if fresh else Account()
        line = {
            "epoch": epoch, **measured, "fresh": fresh, "chosen": len(selection.index), "pool": len(self.picked),
            "scored": account.scored + measured.get("scored_positives", 0),
            "dropped": account.dropped, "filled": account.filled,
            "considered": account.considered, "oldest": account.ages.oldest, "age": account.ages.chosen,
            "retries": account.recovery.retries, "version": selection.version, "staleness": epoch - selection.version,
            "overlap": _overlap(before, selection), "coverage": float(self.picked.mean()),
            "guarded": dict(account.guarded),
        }  # fmt: skip
        self.history.append(line)
        return line

    def keep_if_best(self, epoch: int, val: Metrics, weights: dict[str, Tensor]) -> None:
        """Keep a copy of the weights if their validation AP exceeds all earlier ones."""
        # Below any AP, so that the first epoch's weights are kept even if its AP is 0.
        best = self.history[self.best_epoch]["val"]["ap"] if self.best_epoch >= 0 else -1.0
        if val["ap"] > best:
            self.best_epoch = epoch
            self.best_weights = {name: value.detach().clone() for name, value in weights.items()}

    def seconds(self) -> dict[str, float]:
        """Seconds by stage, over all epochs."""
        stages = dict.fromkeys(stage for line in self.history for stage in line["seconds"])
        return {stage: sum(line["seconds"].get(stage, 0.0) for line in self.history) for stage in stages}

    def state_dict(self) -> Json:
        """The progress as tensors, numbers, lists and dicts."""
        last = self.selection
        return {
            "picked": torch.tensor(self.picked), "history": self.history, "best_weights": self.best_weights,
            "best_epoch": self.best_epoch, "version": last and last.version, "made": self.made,
            "selection": last and [torch.tensor(array) for array in (last.index, last.score, last.weight)],
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Json) -> Self:
        """The progress that `state_dict` wrote. Raises KeyError, TypeError, AttributeError or ValueError for others."""
        history, best = state["history"], state["best_epoch"]
        if not isinstance(history, list) or not all(line.keys() >= _RECORDED for line in history):
            raise ValueError("a history without its records")
        if not -1 <= best < len(history):
            raise ValueError(f"the best epoch {best} of {len(history)}")
        selection = None
        if state["selection"] is not None:
            index, score, weight = (tensor.numpy() for tensor in state["selection"])
            selection = Selection(index, score, weight, state["version"])
        return cls(state["picked"].numpy(), history, state["best_weights"], best, selection, state.get("made", {}))


def epoch_line(line: Json) -> str:
    """One epoch as a line of the log."""
    overlap = "" if line["overlap"] is None else f"overlap {line['overlap']:.0%}, "
    fewer = f"{line['considered']:,} considered, " if 0 < line["considered"] < line["pool"] else ""
    guarded = sum(line["guarded"].values())
    fewer += f"{guarded:,} left out by guards, " if guarded else ""
    older = f"scores up to {line['oldest']} old, " if line["oldest"] else ""
    seconds, val = line["seconds"], line["val"]
    return (
        f"epoch {line['epoch']:2d}  {line['chosen']:,} of {line['pool']:,} negatives ({fewer}{older}{overlap}"
        f"covered {line['coverage']:.0%})  loss {line['loss']:.4f}  val AP {val['ap']:.4f} ROC-AUC {val['roc_auc']:.4f}"
        f"  {seconds['total']:.2f} s (select {seconds['select']:.2f}, train {seconds['train']:.2f})"
    )


def _overlap(before: Selection | None, now: Selection) -> float | None:
    if before is None or not len(now.index):
        return None
    return len(np.intersect1d(before.index, now.index)) / len(now.index)
