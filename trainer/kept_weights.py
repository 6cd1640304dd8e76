"""Whose weights are kept: those that made the newest selection, also the best epoch's, or all."""

from collections.abc import Sequence

from negsift.trainer.folder import Json


def needed_epochs(keep: str, history: Sequence[Json], best_epoch: int) -> set[int]:
    """The epochs whose selections can be made again under `training.keep_weights`; `history` has at least one epoch."""
    made = [line["epoch"] for line in history if line["fresh"]]
    if keep == "all":
        return set(made)
    last = len(history) - 1
    return {
        max(epoch for epoch in made if epoch <= used) for used in ({last, best_epoch} if keep == "best" else {last})
    }
