"""Blocks of an array in memory that are scored several at a time: the picks and errors of one block after another."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.data.protocols import BagDataset
from negsift.common.errors import BadModel
from negsift.common.types import Selection
from negsift.service.config import FleetConfig
from negsift.service.pool.bag_source import BagSource
from negsift.service.pool.shard_data import ShardData
from tests.unit.toys import MeanNet, assert_same, select

BAGS = torch.randn(8 * 513 + 5, 3, 6, generator=torch.Generator().manual_seed(0))
BAGS[100] = float("nan")


def picks(pool: BagDataset, model: nn.Module, strategy: str = "entropy", **options: Any) -> Selection:  # Any: its own
    return select(pool, model, strategy, 50, shards=1, **{"options": FleetConfig(block=8), **options})


class OneByOne:
    """The same bags in a form that can't be read several blocks at a time."""

    def __len__(self) -> int:
        return len(BAGS)

    def __getitem__(self, position: int) -> Tensor:
        return BAGS[position]


@pytest.mark.parametrize("options", [{}, {"candidates": 3000}], ids=["all", "some"])
@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("strategy", ["entropy", "margin", "least_confidence"])
def test_picks_are_those_of_one_block_after_another(strategy: str, classes: int, options: dict[str, int]) -> None:
    model = MeanNet(classes)
    found, expected = (picks(pool, model, strategy, **options) for pool in (BAGS, OneByOne()))
    assert_same(found, expected)
    assert found.account.dropped == expected.account.dropped


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("strategy", ["gradient_embedding", "badge", "badge_filtered", "cluster_margin", "k_center"])
def test_so_are_those_by_features_and_gradients(strategy: str, classes: int) -> None:
    found, expected = (picks(pool, MeanNet(classes), strategy) for pool in (BAGS, OneByOne()))
    assert_same(found, expected)
    assert found.account.dropped == expected.account.dropped == 1


@pytest.mark.parametrize("strategy", ["svm_margin", "kl_embedding", "kl_prob"])
def test_and_those_that_learn_from_positives(strategy: str) -> None:
    positives = torch.randn(40, 3, 6, generator=torch.Generator().manual_seed(1))
    found, expected = (picks(pool, MeanNet(2), strategy, positives=positives) for pool in (BAGS, OneByOne()))
    assert_same(found, expected)


class PartOfItsInput(nn.Module):
    """Bags that are the logits already, whose memory the outputs are."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, bags: Tensor) -> Tensor:
        return bags[:, 0, :2]


def test_outputs_in_the_memory_of_their_batch_are_those_of_each_block() -> None:
    model = PartOfItsInput()
    assert_same(picks(BAGS, model), picks(OneByOne(), model))


class HeadThatIsNotTheClassifier(nn.Module):
    """Logits that don't follow from what goes through the last linear layer, in some bags alone."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last, self.head = last, nn.Linear(6, 2)
        self.seen = 0

    def forward(self, bags: Tensor) -> Tensor:
        logits: Tensor = self.head(bags.mean(1))
        self.seen += len(bags)
        return logits * torch.where(torch.isnan(logits), 1.0, 2.0) if self.seen > self.last else logits


@pytest.mark.parametrize("last", [0, 900, 3000])
def test_each_block_is_held_against_its_head(last: int) -> None:
    with pytest.raises(BadModel, match="expected equal ones|nor their mean"):
        picks(BAGS, HeadThatIsNotTheClassifier(last), "gradient_embedding")


class Late(MeanNet):
    """Gives something else once it has seen the bag of NaN, which isn't in the first run."""

    def __init__(self, fault: Callable[[Tensor], object]) -> None:
        super().__init__(2)
        self.fault = fault

    def forward(self, bags: Tensor) -> Tensor:
        logits: Tensor = super().forward(bags)
        return self.fault(logits) if bool(bags.isnan().any()) else logits  # type: ignore[return-value]


@pytest.mark.parametrize("fault", [lambda z: z[:3], lambda z: z.long(), lambda z: [z], lambda z: z.sum()])
def test_a_later_block_of_another_form_is_refused(fault: Callable[[Tensor], object]) -> None:
    with pytest.raises(BadModel, match=r"for 8 bags; expected bag logits \(N, K\)"):
        picks(BAGS, Late(fault))


def test_a_model_that_writes_into_its_batch_changes_no_bag() -> None:
    class Writing(MeanNet):
        def forward(self, bags: Tensor) -> Tensor:
            logits: Tensor = super().forward(bags)
            bags.zero_()
            return logits

    before = BAGS.clone()
    assert_same(picks(BAGS, Writing(2)), picks(BAGS, MeanNet(2)))
    np.testing.assert_array_equal(BAGS, before)


@pytest.mark.parametrize(("pool", "longest"), [(BAGS, 16), (OneByOne(), 1), (BAGS[:200], 1)])
def test_runs_cover_all_blocks_and_are_long_where_blocks_are_small_and_many(pool: BagDataset, longest: int) -> None:
    source = BagSource.of(pool, None, ragged=False)
    blocks = range(-(-len(pool) // 8))
    runs = ShardData(source, source, blocks, range(0), 8, (0, 1)).runs(blocks)
    assert [block for run in runs for block in run] == list(blocks)
    assert max(len(run) for run in runs) == longest
