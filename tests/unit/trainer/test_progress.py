"""A run's progress and batches: what is kept of a selection, and how many batches an epoch has."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from negsift.common.account import Account
from negsift.common.types import Selection
from negsift.trainer.config import TrainingConfig
from negsift.trainer.loader import EpochBatches, EpochSet, epoch_order
from negsift.trainer.progress import Progress, epoch_line
from tests.unit.toys import bag_set


@pytest.fixture
def warns() -> Iterator[None]:
    torch.set_warn_always(True)  # else only the first of a process is reported
    yield
    torch.set_warn_always(False)


@pytest.mark.usefixtures("warns")
def test_an_unwritable_selection_is_kept_without_a_warning() -> None:
    arrays = np.arange(3), np.zeros(3), np.ones(3)
    for array in arrays:
        array.flags.writeable = False
    state = Progress(np.zeros(5, dtype=np.bool_), selection=Selection(*arrays, 0)).state_dict()
    assert state["selection"][0].tolist() == [0, 1, 2]
    assert Progress.from_state(state).selection is not None


def test_a_guards_counts_are_those_of_the_epoch_that_it_was_asked_for() -> None:
    arrays = np.arange(3), np.zeros(3), np.ones(3)
    selection = Selection(*arrays, 0, account=Account(guarded={"rest": 4}))
    progress, measured = Progress(np.zeros(5, dtype=np.bool_)), {"loss": 0.5, "val": {"ap": 0.5, "roc_auc": 0.5}}
    measured |= {"seconds": {"total": 1.0, "select": 0.5, "train": 0.5}, "trained": 6}
    lines = [progress.record(epoch, selection, epoch == 0, **measured) for epoch in range(2)]
    assert [line["guarded"] for line in lines] == [{"rest": 4}, {}]
    assert ["(4 left out by guards, " in epoch_line(line) for line in lines] == [True, False]


@pytest.mark.parametrize(("size", "batches"), [(1, 7), (2, 4), (7, 1), (50, 1)])
def test_batches_know_how_many_they_are(size: int, batches: int) -> None:
    bags = bag_set([2] * 7)
    batches_of_epoch = EpochBatches(EpochSet(bags, np.ones(7)), np.random.default_rng(0).permutation(7), size)
    assert len(batches_of_epoch) == len(list(batches_of_epoch)) == batches
    assert sum(len(batch.bags) for batch in batches_of_epoch) == 7


def test_weighted_order_draws_both_labels_equally_often() -> None:
    label = np.repeat([0, 1], [900, 100])
    drawn = label[epoch_order(label, 0, 0, TrainingConfig(weighted=True))]
    assert len(drawn) == 1000
    assert 0.45 < drawn.mean() < 0.55
    plain = epoch_order(label, 0, 0, TrainingConfig())
    assert sorted(plain.tolist()) == list(range(1000))
