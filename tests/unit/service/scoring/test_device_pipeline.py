"""A device kept busy: blocks in order, few on the way, errors and interruptions as they come, the bits of the CPU."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from negsift.common.arrays import Array
from negsift.common.errors import ServiceError
from negsift.common.models.embed import to_numpy
from negsift.service.scoring.device_lanes import Download, HostLanes, Mark
from negsift.service.scoring.device_pipeline import READERS, BlockSteps, DevicePipeline, Ready
from negsift.service.scoring.scoring_config import ScoringConfig
from tests.unit.service.scoring.test_scoring_config import LAST, how, with_other_head
from tests.unit.service.test_sampler import CASES, K
from tests.unit.toys import NegativeSampler, assert_same, select

SHARE = (0, 1)


class SlowLanes(HostLanes):
    """Lanes of a device that has done nothing until it is waited for; `log` has what it was asked, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def upload(self, tensor: Tensor) -> Tensor:
        self.log.append("upload")
        return tensor.clone()

    def mark(self) -> Mark:
        return _Moment(self.log)

    def download(self, rows: Sequence[Sequence[Tensor]]) -> Download:
        self.log.append(f"download {len(rows)}")
        return _Later(self.log, rows)

    def release(self) -> None:
        self.log.append("release")


class _Moment:
    def __init__(self, log: list[str]) -> None:
        self._log = log

    def synchronize(self) -> None:
        self._log.append("wait")


class _Later:
    def __init__(self, log: list[str], rows: Sequence[Sequence[Tensor]]) -> None:
        self._log, self._rows = log, rows

    def arrays(self) -> list[list[Array]]:
        self._log.append("fetch")
        return [[to_numpy(part) for part in parts] for parts in self._rows]


class Work:
    """Steps that square numbers; what each was called with is in `read_blocks` and `computed`."""

    def __init__(self, kept: Sequence[int] = (), fails: dict[str, Any] | None = None) -> None:
        self.kept, self.fails, self.lock = kept, dict(fails or {}), threading.Lock()
        self.read_blocks: list[int] = []
        self.computed: list[int] = []
        self.most_ahead = 0

    @property
    def steps(self) -> BlockSteps[float]:
        return BlockSteps(self.read, self.forward, self.finish, lambda block: f"block {block}", "lower fleet.block, ")

    def read(self, block: int) -> Tensor | Ready[float]:
        with self.lock:
            self.read_blocks.append(block)
            self.most_ahead = max(self.most_ahead, len(self.read_blocks) - len(self.computed))
        if block == self.fails.get("read"):
            raise OSError(f"block {block} is gone")
        return Ready(float(block**2)) if block in self.kept else torch.full((4, 2), float(block))

    def forward(self, block: int, batch: object) -> Sequence[Tensor]:
        assert isinstance(batch, Tensor)
        if block == self.fails.get("memory"):
            self.fails["times"] -= 1
            if self.fails["times"] == 0:
                del self.fails["memory"]
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        self.computed.append(block)
        return batch.square(), batch

    def finish(self, block: int, arrays: Sequence[Array]) -> float:
        squares, numbers = arrays
        assert (numbers == block).all()
        return float(squares[0, 0])


@pytest.fixture
def readers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as threads:
        yield threads


def run(lanes: HostLanes, readers: ThreadPoolExecutor, blocks: Sequence[int], work: Work) -> Iterator[float]:
    return DevicePipeline(lanes, readers, ScoringConfig()).run(blocks, work.steps, SHARE)


@pytest.mark.parametrize("blocks", [[], [7], range(5), range(100)], ids=len)
@pytest.mark.parametrize("kept", [(), (0, 2, 3), range(40, 80)], ids=["none kept", "some kept", "a run kept"])
def test_results_come_in_order_whoever_reads_them(
    readers: ThreadPoolExecutor, blocks: Sequence[int], kept: Sequence[int]
) -> None:
    work = Work(kept)
    assert list(run(SlowLanes(), readers, blocks, work)) == [float(block**2) for block in blocks]
    assert work.most_ahead <= READERS + 1 + len(kept)


def test_the_device_is_waited_for_once_in_many_blocks_and_asked_before() -> None:
    lanes = SlowLanes()
    with ThreadPoolExecutor(3) as readers:
        list(run(lanes, readers, range(100), Work()))
    assert lanes.log[:6] == ["upload"] * 4 + ["wait", "upload"]  # three blocks ahead of the device, no more
    fetches = [at for at, what in enumerate(lanes.log) if what == "fetch"]
    assert len(fetches) == len([what for what in lanes.log if what.startswith("download")]) == 7
    begun = lanes.log.index("download 16", lanes.log.index("download 16") + 1)
    assert begun < fetches[0]  # the second lot is on its way before the first is waited for


def test_an_error_of_a_reader_comes_unchanged_and_ends_the_reading(readers: ThreadPoolExecutor) -> None:
    work = Work(fails={"read": 20})
    with pytest.raises(OSError, match="block 20 is gone"):
        list(run(SlowLanes(), readers, range(1000), work))
    assert max(work.read_blocks) <= 20 + READERS
    assert max(work.computed) == 19
    assert readers.submit(int, "3").result() == 3


def test_an_iteration_that_is_given_up_stops_the_reading(readers: ThreadPoolExecutor) -> None:
    work = Work()
    results = run(SlowLanes(), readers, range(1000), work)
    assert next(results) == 0.0
    results.close()  # type: ignore[attr-defined]  # a generator
    readers.submit(int).result()
    assert len(work.read_blocks) < 60
    assert len(work.read_blocks) - len(work.computed) <= READERS


def test_a_block_without_memory_is_tried_again_once_the_device_is_empty(
    readers: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    lanes, work = SlowLanes(), Work(fails={"memory": 5, "times": 1})
    assert list(run(lanes, readers, range(9), work)) == [float(block**2) for block in range(9)]
    assert lanes.log[lanes.log.index("release") - 2 :][:4] == ["download 5", "fetch", "release", "upload"]
    assert caplog.messages == ["no memory for block 5; tried again with nothing beside it"]


def test_a_block_that_never_fits_is_named_with_the_knob(readers: ThreadPoolExecutor) -> None:
    work = Work(fails={"memory": 5, "times": 2})
    with pytest.raises(ServiceError, match=r"no memory to embed block 5.*CUDA out of memory.*; lower fleet\.block"):
        list(run(SlowLanes(), readers, range(9), work))


def test_reading_without_memory_is_tried_again_alone_and_then_a_line(readers: ThreadPoolExecutor) -> None:
    class Short(Work):
        """Finds no memory to read a block, some times."""

        def read(self, block: int) -> Tensor | Ready[float]:
            if block == 5 and self.fails["reads"] > 0:
                self.fails["reads"] -= 1
                raise MemoryError
            return super().read(block)

    assert list(run(SlowLanes(), readers, range(9), Short(fails={"reads": 1}))) == [float(b**2) for b in range(9)]
    with pytest.raises(ServiceError, match=r"no memory to embed block 5.*MemoryError"):
        list(run(SlowLanes(), readers, range(9), Short(fails={"reads": 2})))


def test_blocks_go_on_from_other_memory_where_none_can_be_locked(readers: ThreadPoolExecutor) -> None:
    class Unlocked(SlowLanes):
        def pin(self, tensor: Tensor) -> Tensor:
            raise RuntimeError("CUDA error: out of memory")

    assert list(run(Unlocked(), readers, range(9), Work())) == [float(block**2) for block in range(9)]


@pytest.fixture
def on_lanes(monkeypatch: pytest.MonkeyPatch) -> SlowLanes:
    """Shards of this process embed as on a device."""
    lanes = SlowLanes()
    monkeypatch.setattr("negsift.service.scoring.shard.lanes_to", lambda *_: lanes)
    return lanes


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["badge", "entropy", "svm_margin", "random"])
def test_picks_and_scores_are_those_of_the_cpu(case: str, name: str, request: pytest.FixtureRequest) -> None:
    pool, positives, model = CASES[case]()
    plain = select(pool, model, name, K, positives=positives)
    lanes = request.getfixturevalue("on_lanes")
    assert_same(select(pool, model, name, K, positives=positives), plain)
    assert ("upload" in lanes.log) == (name != "random")


@pytest.mark.parametrize("case", LAST)
def test_kept_features_and_half_precision_are_those_of_the_cpu(case: str, request: pytest.FixtureRequest) -> None:
    pool, _, model = CASES[case]()
    options = how(frozen=True, precision="bfloat16", channels_last=True)
    weights = [model.state_dict(), with_other_head(model, LAST[case])]

    def selections() -> list[Any]:
        with NegativeSampler(pool, model, strategy="badge", k=K, shards=2, options=options) as sampler:
            return [sampler.select(each, epoch) for epoch, each in enumerate(weights)]

    plain = selections()
    lanes = request.getfixturevalue("on_lanes")
    for found, expected in zip(selections(), plain, strict=True):
        assert_same(found, expected)
    assert lanes.log.count("upload") > 0


def test_models_with_an_embed_of_their_own_are_asked_for_it(on_lanes: SlowLanes) -> None:
    pool, _, model = CASES["vectors"]()

    class Own(type(model)):  # type: ignore[misc]  # of whichever classifier
        def embed(self, bags: Any, index: Any, spec: Any) -> Any:
            found = super().embed(bags, index, spec)
            return type(found)(found.index, -found.logits, found.features)

    own = Own(model.encoder, model.head, model.pooling)
    best, worst = (select(pool, each, "kl_prob", 5, positives=pool[:4]) for each in (model, own))
    assert not np.array_equal(best.index, worst.index)
