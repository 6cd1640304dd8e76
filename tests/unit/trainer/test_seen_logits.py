"""What training saw of an epoch's bags: which rows count, and how far a negative is on the positives' side."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from negsift.trainer.loader import TrainingBatch
from negsift.trainer.seen_logits import SeenEpoch, SeenLogits
from negsift.trainer.worker_group import WorkerGroup

POSITIVES, K = 3, 5


def epoch_of(rows: list[int], odds: list[float]) -> SeenEpoch:
    logits = np.stack([np.zeros(len(odds)), np.array(odds)], 1).astype(np.float32)
    return SeenEpoch(np.array(rows, dtype=np.int64), logits.reshape(-1, 2), POSITIVES)


@given(st.lists(st.tuples(st.integers(0, POSITIVES + K - 1), st.integers(-9, 9)), max_size=20))
def test_a_margin_is_the_way_past_the_middle_of_both_medians(steps: list[tuple[int, int]]) -> None:
    margin = epoch_of([row for row, _ in steps], [float(odds) for _, odds in steps]).margin(K)
    positive = [odds for row, odds in steps if row < POSITIVES]
    negative = [odds for row, odds in steps if row >= POSITIVES]
    apart = bool(positive and negative) and np.median(positive) > np.median(negative)
    for place in range(K):
        seen = [odds for row, odds in steps if row == place + POSITIVES]
        if not seen or not apart:
            assert np.isnan(margin[place])
        else:
            assert margin[place] == seen[-1] - (np.median(positive) + np.median(negative)) / 2


def test_mixtures_of_both_labels_are_left_out() -> None:
    seen, logits = SeenLogits(POSITIVES), torch.arange(12.0).reshape(6, 2)
    row, label = np.array([0, 2, 3, 7, 1, 4]), torch.tensor([1.0, 0.7, 0.0, 0.0, 0.0, 1.0])
    seen.add(TrainingBatch(torch.zeros(6, 1), label, torch.ones(6), row=row), logits)
    epoch = seen.gathered(WorkerGroup())
    assert epoch.row.tolist() == [0, 3, 7]
    assert epoch.negative.tolist() == [0, 4]
    assert epoch.of_negatives.tolist() == logits[[2, 3]].tolist()


@pytest.mark.parametrize("rows", [[], [0, 1], [4, 5]])
def test_an_epoch_of_one_label_has_no_margins(rows: list[int]) -> None:
    assert np.isnan(epoch_of(rows, [1.0] * len(rows)).margin(K)).all()
