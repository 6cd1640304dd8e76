"""Block workers: one torch thread each; the settings of other threads stay."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from negsift.common.data.bagset import BagSet
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.common.threads import block_workers
from negsift.service.config import FleetConfig
from tests.unit.toys import assert_same, images, select, stack_bags


@pytest.fixture(params=[1, 2])
def outside(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of torch's threads outside the workers, put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_every_worker_computes_alone(outside: int) -> None:
    barrier = threading.Barrier(3)

    def report(_: int) -> int:
        barrier.wait(10.0)  # so that each of the three takes one
        return torch.get_num_threads()

    with block_workers(3) as workers:
        assert list(workers.map(report, range(3))) == [1, 1, 1]


def test_settings_of_other_threads_stay(outside: int) -> None:
    found: list[int] = []
    with block_workers(2):
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert [torch.get_num_threads(), *found] == [outside, outside]


def pool() -> BagSet:
    """Single images, five a block: some products in SimpleCNN round differently then on one thread and on two."""
    rows = [np.array([row]) for row in range(20)]
    return stack_bags(images(20, shape=(3, 32, 32)), rows, np.zeros(20, dtype=np.int64), "single")


MODEL = make_model(ModelConfig(), (3, 32, 32), seed=0).eval()


def features() -> bytes:
    with torch.inference_mode():
        return MODEL.encoder(pool().gather(np.arange(5)).instances).numpy().tobytes()  # type: ignore[no-any-return]  # torch's stub


def test_numbers_do_not_depend_on_the_threads_outside(outside: int) -> None:
    with block_workers(1) as alone:
        expected = alone.submit(features).result()
    torch.set_num_threads(3 - outside)
    with block_workers(2) as workers:
        assert list(workers.map(lambda _: features(), range(4))) == [expected] * 4


def test_workers_compute_alone_whatever_is_set_later(outside: int) -> None:
    with block_workers(1) as alone:
        expected = alone.submit(features).result()
        torch.set_num_threads(3 - outside)
        assert alone.submit(features).result() == expected


def test_scores_do_not_depend_on_the_threads_outside() -> None:
    before, found = torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(select(pool(), MODEL, "badge", 6, options=FleetConfig(block=5)))
    torch.set_num_threads(before)
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])
