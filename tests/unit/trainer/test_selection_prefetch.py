"""Selections ahead of their epoch: which weights they get, how far ahead, and what is asked again."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from negsift.common.arrays import Index
from negsift.common.types import Selection
from negsift.common.weights import Weights
from negsift.trainer.config import SamplingConfig
from negsift.trainer.selection_prefetch import SelectionPrefetch


@dataclass(frozen=True)
class Later:
    """A selection that is made when it is asked for."""

    owner: "Notebook"
    selection: Selection

    def result(self, timeout_s: float | None = None) -> Selection:
        self.owner.previous = self.selection.index
        return self.selection


@dataclass
class Notebook:
    """A sampler that notes what it is asked: (epoch, version, weights, what was selected last)."""

    asked: list[tuple[int, int, float, int | None]] = field(default_factory=list)
    previous: Index | None = None

    def select(self, weights: Weights, epoch: int) -> Selection:
        return self.submit(weights, epoch).result()

    def submit(self, weights: Weights, epoch: int, version: int | None = None) -> Later:
        version = epoch if version is None else version
        last = None if self.previous is None else int(self.previous[0])
        self.asked.append((epoch, version, float(weights["w"][0]), last))
        return Later(self, Selection(np.array([epoch]), np.zeros(1), np.ones(1), version))

    def state_dict(self) -> dict[str, Any]:
        return {"previous": self.previous}

    def load_state_dict(self, state: Any) -> None:
        self.previous = state["previous"]


def run(ahead: SelectionPrefetch, epochs: range, every: int = 1) -> list[int]:
    """Trains, that is changes the weights in place, after every choice; the versions that were chosen with."""
    weights, versions = {"w": torch.tensor([float(epochs.start)])}, []
    for epoch in epochs:
        if epoch % every == 0:
            versions.append(ahead.choose(epoch, weights)[0].version)
        ahead.request(epoch, weights)
        weights["w"] += 1
    return versions


@pytest.mark.parametrize(
    ("staleness", "every", "versions"),
    [(0, 1, [0, 1, 2, 3, 4, 5]), (1, 1, [0, 0, 1, 2, 3, 4]), (3, 1, [0, 0, 0, 0, 1, 2]), (1, 2, [0, 1, 3])],
)
def test_weights_are_as_far_behind_as_is_allowed_and_no_further(
    staleness: int, every: int, versions: list[int]
) -> None:
    notes = Notebook()
    assert (
        run(SelectionPrefetch(notes, SamplingConfig(every=every, staleness=staleness), 6), range(6), every) == versions
    )
    assert [epoch for epoch, *_ in notes.asked] == list(range(0, 6, every))
    assert all(weight == version for _, version, weight, _ in notes.asked)


def test_nothing_is_asked_for_beyond_the_last_epoch() -> None:
    ahead = SelectionPrefetch(Notebook(), SamplingConfig(staleness=4), 3)
    run(ahead, range(3))
    assert not ahead.state()


@pytest.mark.parametrize("killed_after", range(1, 6))
@pytest.mark.parametrize("staleness", [1, 3])
def test_a_pending_selection_is_repeated_with_the_same_state(staleness: int, killed_after: int) -> None:
    config, whole, first = SamplingConfig(staleness=staleness), Notebook(), Notebook()
    run(SelectionPrefetch(whole, config, 6), range(6))
    ahead = SelectionPrefetch(first, config, 6)
    run(ahead, range(killed_after))
    second, resumed = Notebook(), ahead.state()
    again = SelectionPrefetch(second, config, 6)
    again.resume(resumed)
    second.load_state_dict(first.state_dict())
    run(again, range(killed_after, 6))
    assert sorted({*first.asked, *second.asked}) == sorted(whole.asked)
    assert second.asked[: len(resumed)] == [note for note in first.asked if note[0] >= killed_after]
