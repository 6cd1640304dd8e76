"""An epoch as a dataset: its items, and that everybody who holds it sees a refresh."""

import pickle
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from negsift.common.errors import BadInput
from negsift.common.types import Selection
from negsift.trainer.epoch_bags import EpochBags

POSITIVES = [torch.full((2, 3), 100.0 + bag) for bag in range(4)]
POOL = [torch.full((2, 3), float(bag)) for bag in range(20)]


def chosen(*index: int, weight: float = 1.0) -> Selection:
    positions = np.array(index, dtype=np.int64)
    return Selection(positions, np.zeros(len(index)), np.full(len(index), weight), version=0)


def seen(loader: DataLoader[Any]) -> list[tuple[float, int]]:
    """The first number of each bag with its label, in order of the bags."""
    return sorted((float(bag[0, 0]), int(label)) for bags, labels, _ in loader for bag, label in zip(bags, labels, strict=True))  # fmt: skip


def expected(*index: int) -> list[tuple[float, int]]:
    return [*((float(each), 0) for each in sorted(index)), *((100.0 + bag, 1) for bag in range(4))]


def test_items_are_all_positives_and_the_negatives_chosen_with_labels_and_weights() -> None:
    bags = EpochBags(POSITIVES, POOL, k=3)
    bags.refresh(chosen(7, 2, 5, weight=0.5))
    assert len(bags) == 7
    assert seen(DataLoader(bags, 2, shuffle=True)) == expected(2, 5, 7)
    assert [float(weight) for _, _, weight in (bags[place] for place in range(7))] == [1.0] * 4 + [0.5] * 3
    assert bags[-1][0] is POOL[5]
    with pytest.raises(IndexError):
        bags[7]


def test_labels_that_bags_came_with_make_way() -> None:
    bags = EpochBags([(bag, 9) for bag in POSITIVES], [[bag, "name"] for bag in POOL], k=1)
    bags.refresh(chosen(3))
    assert [label for _, label, _ in (bags[place] for place in range(5))] == [1, 1, 1, 1, 0]
    assert torch.equal(bags[4][0], POOL[3])


def test_a_named_tuple_is_a_bag_as_it_is() -> None:
    masked = namedtuple("masked", ["features", "mask"])
    bags = EpochBags([masked(bag, 1) for bag in POSITIVES], [masked(bag, 0) for bag in POOL], k=1)
    bags.refresh(chosen(3))
    assert [(bag.mask, label) for bag, label, _ in (bags[place] for place in (0, -1))] == [(1, 1), (0, 0)]


def test_a_path_in_place_of_bags_is_refused() -> None:
    with pytest.raises(BadInput, match="pool='some/table'; expected a map-style dataset"):
        EpochBags(POSITIVES, "some/table", k=1)


def test_dicts_stay_dicts() -> None:
    bags = EpochBags([{"x": bag, "label": 7} for bag in POSITIVES], [{"x": bag} for bag in POOL], k=1)
    bags.refresh(chosen(3))
    assert {**bags[0]} == {"x": POSITIVES[0], "label": 1, "weight": torch.ones(())}
    assert (bags[4]["label"], bags[4]["x"] is POOL[3]) == (0, True)


class Many(list[Tensor]):
    """Reads many at once, and counts."""

    reads = 0

    def __getitems__(self, positions: list[int]) -> list[Tensor]:
        self.reads += 1
        return [self[position] for position in positions]


def test_a_batch_is_read_at_once_where_the_pool_can() -> None:
    pool = Many(POOL)
    bags = EpochBags(POSITIVES, pool, k=3)
    bags.refresh(chosen(0, 1, 2))
    assert seen(DataLoader(bags, 7)) == expected(0, 1, 2)
    assert pool.reads == 1


@pytest.mark.filterwarnings("ignore:.*fork")
def test_persistent_workers_see_every_refresh() -> None:
    bags = EpochBags(POSITIVES, POOL, k=3)
    loader = DataLoader(bags, 2, shuffle=True, num_workers=2, persistent_workers=True, multiprocessing_context="fork")
    for index in ((1, 2, 3), (11, 12, 13), (0, 19, 4)):
        bags.refresh(chosen(*index))
        assert seen(loader) == expected(*index)


def test_ranks_of_a_distributed_sampler_share_the_epoch_out() -> None:
    bags = EpochBags(POSITIVES, POOL, k=4)
    samplers = [DistributedSampler(bags, 2, rank) for rank in range(2)]
    for epoch, index in enumerate(((1, 2, 3, 4), (5, 6, 7, 8))):
        bags.refresh(chosen(*index))
        for sampler in samplers:
            sampler.set_epoch(epoch)
        both = [seen(DataLoader(bags, 2, sampler=sampler)) for sampler in samplers]
        assert sorted(both[0] + both[1]) == expected(*index)


def test_an_epoch_without_negatives_is_an_error() -> None:
    bags = EpochBags(POSITIVES, POOL, k=3)
    assert torch.equal(bags[0][0], POSITIVES[0])
    with pytest.raises(BadInput, match=r"an epoch without negatives; expected a selection; call refresh"):
        seen(DataLoader(bags, 2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (chosen(1, 2), r"a selection of 2 bags; expected 3, as k= says; give sampler and EpochBags the same k"),
        (chosen(1, 2, 20), r"positions 1 to 20; expected 0 to 19; select from the pool"),
    ],
)
def test_a_selection_of_another_pool_or_number_changes_nothing(given: Selection, message: str) -> None:
    bags = EpochBags(POSITIVES, POOL, k=3)
    bags.refresh(chosen(4, 5, 6))
    with pytest.raises(BadInput, match=message):
        bags.refresh(given)
    assert bags.index.tolist() == [4, 5, 6]


@pytest.mark.parametrize("k", [-1, 21, True, 1.5, None])
def test_k_is_a_number_of_bags_of_the_pool(k: Any) -> None:
    with pytest.raises(BadInput, match=r"expected a whole number between 0 and 20"):
        EpochBags(POSITIVES, POOL, k=k)


def test_its_state_passes_through_a_file_and_gives_the_same_items() -> None:
    bags, other = EpochBags(POSITIVES, POOL, k=2), EpochBags(POSITIVES, POOL, k=2)
    bags.refresh(chosen(9, 3, weight=2.0))
    other.load_state_dict(pickle.loads(pickle.dumps(bags.state_dict())))
    assert [(torch.equal(a[0], b[0]), a[1] == b[1], bool(a[2] == b[2])) for a, b in zip(bags, other, strict=True)] == [(True,) * 3] * 6  # type: ignore[call-overload]  # fmt: skip  # torch's stub of a Dataset


def test_what_is_no_selection_is_refused() -> None:
    with pytest.raises(BadInput, match="a list in place of a selection; .*; call refresh"):
        EpochBags(POSITIVES, POOL, k=3).refresh([1, 2, 3])  # type: ignore[arg-type]  # wrong on purpose
