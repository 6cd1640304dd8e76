"""Block workers: one torch thread each, and nobody else's settings touched."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from common.models.embed import Ask
from common.types import Need
from service.threads import block_workers
from tests.unit.toys import bag_set, cnn


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


def bits() -> list[bytes]:
    """Five images through SimpleCNN: products that round differently on one thread and on two."""
    pool, model = bag_set([1] * 5), cnn().eval()
    with torch.inference_mode():
        found = model.embed(pool.gather(np.arange(5)), np.arange(5), Ask(Need.FEATURES))
    return [found.logits.tobytes(), found.features.tobytes()]


def test_numbers_do_not_depend_on_the_threads_outside(outside: int) -> None:
    with block_workers(1) as alone:
        expected = alone.submit(bits).result()
    torch.set_num_threads(3 - outside)
    with block_workers(2) as workers:
        assert list(workers.map(lambda _: bits(), range(8))) == [expected] * 8
