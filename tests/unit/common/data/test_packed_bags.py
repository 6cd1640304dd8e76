"""Bags in memory as one array: the same batches as those of single bags, and small to send."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from negsift.common.data.bagset import BagBatch
from negsift.common.data.packed_bags import PackedBags, in_memory, independent, to_send
from negsift.common.data.protocols import BagDataset

WHOLE = torch.arange(7 * 3 * 2, dtype=torch.float32).reshape(7, 3, 2)
INDICES = [np.array([2, 3, 4]), np.array([6, 0, 3, 3]), np.array([5])]
FORMS: dict[str, Callable[[Tensor], BagDataset]] = {
    "tensor": lambda bags: bags,
    "array": lambda bags: bags.numpy(),
    "dataset": lambda bags: TensorDataset(bags, torch.zeros(len(bags))),
    "views": list,
    "subset": lambda bags: Subset(TensorDataset(bags.flip(0)), list(reversed(range(len(bags))))),
    "transposed": lambda bags: bags.transpose(0, 1).contiguous().transpose(0, 1),
    "frozen array": lambda bags: np.frombuffer(bags.numpy().tobytes(), np.float32).reshape(bags.shape),
}


def packed(dataset: BagDataset) -> PackedBags:
    assert isinstance(dataset, PackedBags)
    return dataset


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("index", INDICES)
def test_batches_are_those_of_single_bags_here_and_where_they_are_sent(form: str, index: np.ndarray) -> None:
    bags = packed(in_memory(FORMS[form](WHOLE)))
    assert len(bags) == 7
    for each in (bags, pickle.loads(pickle.dumps(to_send(bags)))):
        equal, ragged = each.gather(index, ragged=False), each.gather(index, ragged=True)
        assert torch.equal(equal, WHOLE[index])
        assert isinstance(ragged, BagBatch)
        assert torch.equal(ragged.instances, WHOLE[index].flatten(0, 1))
        assert ragged.sizes.tolist() == [3] * len(index)
        assert np.array_equal(each[int(index[0])], WHOLE[index[0]])
        equal.zero_()
        assert torch.equal(torch.as_tensor(each[1]), WHOLE[1])  # a model that writes into its batch changes no bag


@pytest.mark.parametrize("index", INDICES)
def test_ragged_bags_are_packed_when_they_are_sent(index: np.ndarray) -> None:
    bags = [torch.randn(size, 4) for size in (2, 1, 5, 3, 1, 2, 4)]
    assert in_memory(bags) is bags
    batch = packed(to_send(bags)).gather(index, ragged=True)
    assert isinstance(batch, BagBatch)
    assert torch.equal(batch.instances, torch.cat([bags[position] for position in index]))
    assert batch.sizes.tolist() == [len(bags[position]) for position in index]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.uint8, torch.bool])
def test_numbers_keep_their_type(dtype: torch.dtype) -> None:
    bags = WHOLE.to(dtype)
    for each in (in_memory(bags), to_send([bag.clone() for bag in bags])):
        found = packed(each).gather(np.arange(3), ragged=False)
        assert isinstance(found, Tensor)
        assert found.dtype == dtype
        assert torch.equal(found, bags[:3])


@pytest.mark.parametrize(
    "bags",
    [
        [], (), [WHOLE[0], WHOLE[1].double()], [WHOLE[0], WHOLE[1, :, :1]], [WHOLE[0], WHOLE[1].numpy()], WHOLE[:, 0],
        [(WHOLE[0], 1), (WHOLE[1], 0)], [WHOLE[0, 0], WHOLE[1, 0]], np.array([["a"]]), WHOLE[:, :0], WHOLE.to_sparse(),
    ],
)  # fmt: skip
def test_what_is_not_bags_of_one_kind_stays_as_it_is(bags: BagDataset) -> None:
    assert in_memory(bags) is bags
    assert not isinstance(to_send(bags), PackedBags)


def test_views_take_no_more_along_than_they_are() -> None:
    large = torch.zeros(1000, 10, 10)
    alone = len(pickle.dumps(large))
    for bags in (list(large), [large[position] for position in range(0, 1000, 2)]):
        assert len(pickle.dumps(to_send(bags))) < 1.01 * alone
    labelled = [(large[position], position) for position in range(0, 1000, 10)]
    assert len(pickle.dumps(to_send(labelled))) < 0.3 * alone
    assert independent(large) is large


def test_what_takes_no_memory_takes_none_when_it_is_sent() -> None:
    bag = torch.zeros(100, 10)
    for bags in ([bag] * 1000, bag.expand(1000, 100, 10), np.broadcast_to(bag.numpy(), (1000, 100, 10))):
        assert in_memory(bags) is bags
        assert to_send(bags) is bags or len(pickle.dumps(to_send(bags))) < 100_000
