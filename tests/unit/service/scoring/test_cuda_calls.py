"""What is asked of CUDA, by a CUDA that does it at once on the CPU and writes down the order."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.models.embedder import as_embedder
from negsift.service.pool.bag_source import BagSource
from negsift.service.scoring import block_probe
from negsift.service.scoring.device_lanes import CudaLanes
from negsift.service.scoring.device_memory import kept_bytes
from negsift.service.scoring.shard_spec import ShardSpec
from tests.unit.service.test_sampler import CASES, K
from tests.unit.toys import MeanNet, assert_same, select, vectors

CPU = torch.device("cpu")
GIB = 1 << 30


class Cuda:
    """Its current stream, and the log of what streams were asked."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.current = Stream(self, "main")
        self.made = 0

    def new_stream(self, _: torch.device) -> "Stream":
        self.made += 1
        return Stream(self, ("there", "back")[self.made % 2 - 1])

    @contextmanager
    def on(self, stream: "Stream") -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before


class Stream:
    def __init__(self, cuda: Cuda, name: str) -> None:
        self._cuda, self.name = cuda, name

    def wait_stream(self, other: "Stream") -> None:
        self._cuda.log.append(f"{self.name} waits for {other.name}")

    def record_event(self) -> "Stream":
        self._cuda.log.append(f"event on {self.name}")
        return self

    def synchronize(self) -> None:
        self._cuda.log.append(f"host waits for {self.name}")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    made, to = Cuda(), Tensor.to

    def moved(tensor: Tensor, *where: Any, **how: Any) -> Tensor:
        if how.get("non_blocking"):
            made.log.append(f"copy on {made.current.name}")
            return to(tensor, *where).clone()
        return to(tensor, *where, **how)

    def recorded(tensor: Tensor, stream: Stream) -> None:
        made.log.append(f"kept for {stream.name}")

    monkeypatch.setattr("torch.cuda.Stream", made.new_stream)
    monkeypatch.setattr("torch.cuda.stream", made.on)
    monkeypatch.setattr("torch.cuda.current_stream", lambda _: made.current)
    monkeypatch.setattr("torch.cuda.device", lambda _: nullcontext())
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: made.log.append("release"))
    monkeypatch.setattr("torch.Tensor.to", moved)
    monkeypatch.setattr("torch.Tensor.record_stream", recorded)
    monkeypatch.setattr("torch.Tensor.pin_memory", lambda tensor: tensor.clone())
    return made


def test_a_copy_has_its_own_stream_and_its_memory_stays_until_it_was_read(cuda: Cuda) -> None:
    lanes = CudaLanes(CPU)
    assert torch.equal(lanes.upload(torch.ones(3)), torch.ones(3))
    assert cuda.log == ["copy on there", "main waits for there", "kept for main"]


def test_results_follow_what_was_computed_and_are_waited_for_when_they_are_read(cuda: Cuda) -> None:
    lanes = CudaLanes(CPU)
    lanes.mark().synchronize()
    download = lanes.download([[torch.ones(2), torch.zeros(2, dtype=torch.bfloat16)], [torch.full((3,), 2.0)]])
    assert cuda.log == [
        "event on main",
        "host waits for main",
        "back waits for main",
        *["copy on back"] * 3,
        "event on back",
    ]
    arrays = download.arrays()
    assert cuda.log[-1] == "host waits for back"
    assert [[array.dtype.name for array in row] for row in arrays] == [["float32", "float32"], ["float32"]]
    np.testing.assert_array_equal(arrays[1][0], [2.0, 2.0, 2.0])
    assert arrays[0][0].flags.owndata


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_what_is_computed_there_is_in_the_precision_that_was_named(cuda: Cuda, precision: str) -> None:
    with CudaLanes(CPU, tf32=precision == "tf32").running():
        found = torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision
    assert found == (("tf32", "tf32") if precision == "tf32" else ("ieee", "ieee"))
    assert torch.backends.cudnn.conv.fp32_precision == "tf32"  # as torch has it


@pytest.mark.parametrize("case", CASES)
def test_a_round_over_these_lanes_has_the_picks_of_the_cpu(
    case: str, cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, positives, model = CASES[case]()
    plain = select(pool, model, "badge", K, positives=positives)
    monkeypatch.setattr("negsift.service.scoring.shard.lanes_to", lambda *_: CudaLanes(CPU))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as blocks are embedded on a CPU
    found = select(pool, model, "badge", K, positives=positives)
    torch.set_num_threads(threads)
    assert_same(found, plain)
    assert cuda.log.count("copy on there") == cuda.log.count("main waits for there") > 3
    assert "copy on main" not in cuda.log


class Memory:
    """Counters of a GPU on which a batch takes 1 MiB a bag, and three times that while it is computed."""

    def __init__(self, free: int, total: int, share: float) -> None:
        self.free, self.total, self.share, self.tried = free, total, share, list[int]()
        self.reset = 0

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bags_of = BagSource.batch

        def batch(source: BagSource, index: Any) -> Any:
            self.tried.append(len(index))
            return bags_of(source, index)

        monkeypatch.setattr(BagSource, "batch", batch)
        values: dict[str, Any] = {
            "mem_get_info": lambda _: (self.free, self.total), "get_per_process_memory_fraction": lambda _: self.share,
            "reset_peak_memory_stats": lambda _: self._count(), "synchronize": lambda _: None,
            "memory_allocated": lambda _: (self.tried[-1] if len(self.tried) == self.reset else 0) << 20,
            "max_memory_allocated": lambda _: 3 * self.tried[-1] << 20,
        }  # fmt: skip
        for name, value in values.items():
            monkeypatch.setattr(f"torch.cuda.{name}", value)

    def _count(self) -> None:
        self.reset += 1


@pytest.mark.parametrize(
    ("free", "share", "expected"), [(64 * GIB, 1.0, 4096), (64 * GIB, 0.1, 512), (3 * GIB, 1.0, 256)]
)
def test_a_gpu_is_asked_for_its_memory_and_tried(
    free: int, share: float, expected: int, cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(free, 80 * GIB, share)
    memory.patch(monkeypatch)
    pool, model = vectors([3]) * 70_000, as_embedder(MeanNet())
    spec = ShardSpec(BagSource(pool, None, False), BagSource(()), model, 1, 64, 0, DecodingBudget(0))
    monkeypatch.setattr(block_probe, "lanes_to", lambda *_: CudaLanes(CPU))
    assert block_probe.device_block(spec, model, CPU) == expected
    assert memory.tried[:3] == [64, 64, 128]
    assert memory.tried[-1] == expected


def test_half_of_a_share_is_for_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        total_memory = 80 * GIB

    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: Properties)
    monkeypatch.setattr("torch.cuda.get_per_process_memory_fraction", lambda _: 0.25)
    assert kept_bytes(torch.device("cuda")) == 10 * GIB
