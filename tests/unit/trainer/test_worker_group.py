"""Workers of one run: what rank 0 does for all of them, and what all of them agree on."""

from collections.abc import Iterator

import pytest
import torch.distributed as dist

from negsift.common.errors import BadInput
from negsift.trainer.worker_group import TorchWorkerGroup, WorkerGroup
from tests.unit.toys import cnn


@pytest.fixture(params=[WorkerGroup, TorchWorkerGroup])
def group(request: pytest.FixtureRequest) -> Iterator[WorkerGroup]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield request.param()
    dist.destroy_process_group()


def test_all_ranks_get_the_result_of_rank_0(group: WorkerGroup) -> None:
    assert group.on_rank0(lambda: {"k": 3}) == {"k": 3}
    assert group.on_rank0(lambda: None) is None


def test_all_ranks_raise_the_error_of_rank_0(group: WorkerGroup) -> None:
    def fail() -> None:
        raise BadInput("a loss of nan", "a finite loss", "lower the learning rate")

    with pytest.raises(BadInput, match="a loss of nan; expected a finite loss"):
        group.on_rank0(fail)


def test_a_group_of_one_trains_as_a_single_worker(group: WorkerGroup) -> None:
    model = group.prepare(cnn())
    wrapped = group.wrap(model)
    assert (group.rank, group.size, group.mean(0.1)) == (0, 1, 0.1)
    assert [tuple(value.shape) for value in wrapped.parameters()] == [tuple(v.shape) for v in model.parameters()]
