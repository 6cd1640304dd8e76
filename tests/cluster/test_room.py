"""Scorers stay in a placement group that confines their program, and whoever waits for room says so and why."""

import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import ray
import torch
from ray import cloudpickle
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from negsift.common.errors import BadInput, ServiceError
from negsift.deploy.workers import trainer_room
from negsift.service import NegativeSampler
from negsift.service.cluster import waiting
from negsift.service.cluster.reservation import reserved
from negsift.service.cluster.resources import shard_count
from negsift.service.cluster.room import find_room
from negsift.service.config import FleetConfig
from tests.cluster.serving import LIMIT_S, all_cpus_taken
from tests.unit.toys import MeanNet

pytestmark = pytest.mark.usefixtures("local_ray")
cloudpickle.register_pickle_by_value(sys.modules[__name__])
POOL = [torch.ones(5, 6) * position for position in range(30)]


class Said(logging.Handler):
    """What a logger is told, by its level and above."""

    def __init__(self, logger: str, level: int) -> None:
        super().__init__(level)
        self.lines = list[str]()
        logging.getLogger(logger).addHandler(self)
        logging.getLogger(logger).setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def trial(**fleet: Any) -> str:  # Any: FleetConfig's
    """What a sampler says of itself, once it has picked."""
    model, options = MeanNet(), FleetConfig(kind="ray", start_s=60.0, **fleet)
    said = Said("negsift.service.sampler", logging.INFO)
    with NegativeSampler(POOL, model, strategy="entropy", k=5, options=options) as sampler:
        assert len(sampler.select(model.state_dict(), 0).index) == 5
    return said.lines[0]


def beside_workers() -> int:
    """The scorers of a program that trains with two workers."""
    with trainer_room(2, FleetConfig(start_s=60.0)):
        return shard_count(find_room().resources, FleetConfig())


@contextmanager
def confined(  # Any: a remote function
    bundles: Sequence[dict[str, float]], cpus: float, work: Callable[..., object] = trial
) -> Iterator[Any]:
    """A function that runs `work` as Ray Tune runs a trial: in a placement group that captures its children."""
    group = placement_group(list(bundles))  # type: ignore[no-untyped-call]  # Ray's
    try:
        assert group.wait(LIMIT_S)
        strategy = PlacementGroupSchedulingStrategy(group, 0, placement_group_capture_child_tasks=True)
        yield ray.remote(work).options(num_cpus=cpus, scheduling_strategy=strategy).remote
    finally:
        remove_placement_group(group)


@pytest.mark.parametrize(
    ("bundles", "cpus", "said"),
    [([{"CPU": 1}] * 4, 1, "3 Ray scorers of 30 bags, 1 CPU"), ([{"CPU": 4}], 4, "1 Ray scorer of 30 bags, 0 CPU")],
)
def test_scorers_work_within_the_placement_group_though_it_is_all_of_the_cluster(
    bundles: Sequence[dict[str, float]], cpus: float, said: str
) -> None:
    with confined(bundles, cpus) as run:
        assert said in ray.get(run(), timeout=LIMIT_S)


def test_a_placement_group_too_small_for_what_is_asked_is_one_line_that_says_how_large_it_must_be() -> None:
    with confined([{"CPU": 1}], 1) as run, pytest.raises(BadInput) as found:
        ray.get(run(shards=2, cpus_per_shard=1.0), timeout=LIMIT_S)
    assert "2 scorers of 1 CPU each in a placement group that leaves them 0 CPU" in str(found.value)
    assert "expected 2 bundles of 1 CPU in the group, beside this program's own" in str(found.value)


def test_trainer_workers_have_what_the_placement_group_leaves_of_the_cluster() -> None:
    with confined([{"CPU": 1}] * 2, 1, beside_workers) as run:
        assert ray.get(run(), timeout=LIMIT_S) == 1  # which has the group's second CPU
    with confined([{"CPU": 1}] * 3, 1, beside_workers) as run, pytest.raises(BadInput) as found:
        ray.get(run(), timeout=LIMIT_S)
    assert "training.workers=2 beside a placement group that leaves them 1 CPU; expected at most" in str(found.value)


def test_waiting_for_room_is_said_with_who_holds_it_and_ends_in_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_FIRST_S", 0.5)
    hasty = FleetConfig(kind="ray", shards=2, cpus_per_shard=1.0, start_s=4.0)
    with all_cpus_taken(), caplog.at_level(logging.WARNING), pytest.raises(ServiceError) as found:
        NegativeSampler(POOL, MeanNet(), k=5, options=hasty)
    room = r"the cluster has 0 CPU and 0 GPU free; held by placement group \w+ \(4 CPU\)"
    assert re.search(f"2 scorers wait for 1 CPU each; {room}; at most 4 s", caplog.text)
    assert re.search(f"2 of 2 scorers not started within 4 s; {room}", str(found.value))


def test_workers_that_need_nothing_have_their_room_at_once() -> None:
    with reserved(3, {}, 1.0) as reservation:
        assert reservation.group is None
