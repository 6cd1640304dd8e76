"""Bags as views of instance rows, and as a dataset of torch."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, DataLoader, Subset

from negsift.common.data.bagset import BagBatch, BagSet
from tests.unit.toys import bag_set, shared_bag_set

POOLS = {"equal": bag_set([4] * 12), "ragged": bag_set([3, 1, 5, 2, 2, 7]), "shared": shared_bag_set(12, 20)}


def naive_rows(bags: BagSet, index: list[int]) -> list[int]:
    return [int(bags.rows[at]) for b in index for at in range(bags.offsets[b], bags.offsets[b + 1])]


@given(index=st.lists(st.integers(0, 5), max_size=12))
def test_rows_of_bags_are_laid_end_to_end(index: list[int]) -> None:
    bags = POOLS["ragged"]
    assert bags.rows_of(np.array(index, dtype=np.int64)).tolist() == naive_rows(bags, index)


@pytest.mark.parametrize("bags", POOLS.values(), ids=POOLS)
def test_gathered_bags_are_those_indexed_one_by_one(bags: BagSet) -> None:
    index = np.array([4, 0, 4, 2])
    batch = bags.gather(index)
    assert batch.sizes.tolist() == [len(bags[b][0]) for b in index]
    assert torch.equal(batch.instances, torch.cat([bags[b][0] for b in index]))


@pytest.mark.parametrize("bags", POOLS.values(), ids=POOLS)
def test_a_bag_is_its_images_and_its_label(bags: BagSet) -> None:
    images, label = bags[2]
    np.testing.assert_array_equal(images.numpy(), bags.instances.images[naive_rows(bags, [2])])
    assert (images.dtype, label) == (torch.uint8, 0)


@pytest.mark.parametrize("bags", POOLS.values(), ids=POOLS)
def test_subset_is_the_same_bags_in_the_order_given(bags: BagSet) -> None:
    part = bags.subset(np.array([5, 1, 1]))
    assert [part.rows_of(np.array([b])).tolist() for b in range(3)] == [naive_rows(bags, [b]) for b in (5, 1, 1)]
    assert part.bag_id(np.arange(3)) == bags.bag_id(np.array([5, 1, 1]))
    assert part.instances is bags.instances


def test_only_keeps_one_label() -> None:
    bags = POOLS["equal"]
    mixed = BagSet(bags.instances, bags.rows, bags.offsets, np.arange(12) % 2, "mixed", np.arange(12))
    assert mixed.only(1).number.tolist() == [1, 3, 5, 7, 9, 11]


@pytest.mark.parametrize(("name", "shares"), [("equal", False), ("ragged", False), ("shared", True)])
def test_sharing_is_noticed(name: str, shares: bool) -> None:
    assert POOLS[name].shares_instances is shares


def test_negative_positions_count_from_the_end() -> None:
    bags = POOLS["ragged"]
    assert torch.equal(bags[-1][0], bags[5][0])


@pytest.mark.parametrize("position", [6, -7])
def test_position_out_of_range_is_an_index_error(position: int) -> None:
    with pytest.raises(IndexError, match=f"bag {position} of 6"):
        POOLS["ragged"][position]


def test_iteration_ends_after_the_last_bag() -> None:
    assert len(list(POOLS["ragged"])) == 6


def test_batch_whose_sizes_do_not_add_up_is_refused() -> None:
    with pytest.raises(ValueError, match="5 instances, but sizes sum to 4"):
        BagBatch(torch.zeros(5, 2), np.array([2, 2]))


def test_dataloader_stacks_equal_bags() -> None:
    images, labels = next(iter(DataLoader(POOLS["equal"], batch_size=5)))
    assert (images.shape, labels.tolist()) == ((5, 4, 3, 16, 16), [0] * 5)


@pytest.mark.parametrize("index", [np.array([3, 1]), [3, 1], torch.tensor([3, 1])], ids=["numpy", "list", "tensor"])
def test_torch_subset_takes_a_selections_index(index: list[int]) -> None:
    bags = POOLS["equal"]
    images, _ = next(iter(DataLoader(Subset(bags, index), batch_size=2)))
    assert torch.equal(images[0], bags[3][0])


def test_torch_concatenates_positives_and_negatives() -> None:
    both = ConcatDataset([bag_set([4] * 3, label=1), Subset(POOLS["equal"], [7, 2])])
    _, labels = next(iter(DataLoader(both, batch_size=5)))
    assert labels.tolist() == [1, 1, 1, 0, 0]


def test_bag_set_survives_pickling() -> None:
    bags = POOLS["ragged"]
    copy = pickle.loads(pickle.dumps(bags))
    assert torch.equal(copy[3][0], bags[3][0])
