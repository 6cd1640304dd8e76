"""Batches prepared ahead: in order, few at once, errors in their place, and no thread that stays."""

import threading
from collections.abc import Iterator

import pytest
import torch

from negsift.common.data.bagset import BagBatch
from negsift.trainer.ahead import prepared_ahead
from negsift.trainer.loader import TrainingBatch
from tests.unit.toys import bag_set


def batches(count: int, begun: list[int], fails: int = -1) -> Iterator[TrainingBatch]:
    for number in range(count):
        begun.append(number)
        if number == fails:
            raise OSError(f"batch {number} is gone")
        yield TrainingBatch(torch.full((2, 3), float(number)), torch.tensor([0, 1]), torch.ones(2))


def threads() -> int:
    return sum(thread.name.startswith("negsift-batches") for thread in threading.enumerate())


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_batches_come_in_order_and_few_are_prepared_early(count: int) -> None:
    begun: list[int] = []
    for number, batch in enumerate(prepared_ahead(batches(count, begun), lambda tensor: tensor)):
        assert batch.bags[0, 0] == number  # type: ignore[index]  # a tensor
        assert len(begun) <= number + 4
    assert begun == list(range(count))
    assert threads() == 0


def test_every_tensor_is_pinned_and_nothing_else_changes() -> None:
    bags = bag_set([2, 1])
    whole = TrainingBatch(bags.gather(torch.arange(2).numpy()), torch.tensor([0, 1]), torch.ones(2), 1.5)
    seen: list[int] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(threading.get_ident())
        return tensor.clone()

    (found,) = prepared_ahead(iter([whole]), pin)
    assert len(seen) == 3
    assert threading.get_ident() not in seen
    assert isinstance(found.bags, BagBatch)
    assert isinstance(whole.bags, BagBatch)
    assert torch.equal(found.bags.instances, whole.bags.instances)
    assert (found.bags.sizes == whole.bags.sizes).all()
    assert found.bag_count == 1.5


def test_an_error_comes_after_the_batches_before_it() -> None:
    source = prepared_ahead(batches(9, [], fails=5), lambda tensor: tensor)
    assert [int(next(source).bags[0, 0]) for _ in range(5)] == list(range(5))  # type: ignore[index]  # tensors
    with pytest.raises(OSError, match="batch 5 is gone"):
        next(source)
    assert threads() == 0


def test_a_pass_that_is_given_up_prepares_no_more() -> None:
    begun: list[int] = []
    source = prepared_ahead(batches(1000, begun), lambda tensor: tensor)
    next(source)
    source.close()  # type: ignore[attr-defined]  # a generator
    assert len(begun) <= 5
    assert threads() == 0
