"""Nodes killed: the round ends the same elsewhere, waits for a new node, or says what it lacks."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import ray

from negsift.common.errors import ServiceError
from negsift.common.types import Selection
from negsift.service import NegativeSampler
from negsift.service.cluster.service import CoordinatorActor
from negsift.service.config import FleetConfig
from negsift.service.points.shared_points import GatherLimits
from tests.cluster.chaos import alive
from tests.cluster.moments import HaltedBadge
from tests.cluster.nodes import OTHER, Nodes, three_nodes
from tests.cluster.serving import eventually
from tests.unit.toys import vector_model, vectors

POOL, MODEL = vectors([3] * 120), vector_model()
OPTIONS = FleetConfig(block=8, cache_mb=0, held_mb=0, cpus_per_shard=1.0, deadline_s=45.0)
STRATEGIES = ("entropy", "badge")
pytestmark = pytest.mark.usefixtures("no_local_ray")


@pytest.fixture(scope="module")
def expected() -> dict[str, Selection]:
    with NegativeSampler(POOL, MODEL, k=10, shards=1, options=OPTIONS) as sampler:
        return {name: sampler.sibling(name, k=10).select(MODEL.state_dict(), 0) for name in STRATEGIES}


@pytest.fixture(scope="module")
def crowded(no_local_ray: None) -> Iterator[tuple[Nodes, NegativeSampler]]:
    """Three scorers on three nodes of one CPU."""
    with (
        three_nodes(cpus=1) as nodes,
        NegativeSampler(POOL, MODEL, k=10, shards=3, fleet="ray", options=OPTIONS) as sampler,
    ):
        for name in STRATEGIES:
            sampler.sibling(name, k=10).select(MODEL.state_dict(), 0)
        yield nodes, sampler


@pytest.fixture
def one_lost(crowded: tuple[Nodes, NegativeSampler]) -> tuple[Nodes, NegativeSampler]:
    """One of the nodes is dead and known to be, so that a scorer finds no room."""
    if living() == 3:
        crowded[0].kill(0)
    assert eventually(lambda: living() == len(alive("scorer-")) == 2)
    return crowded


@pytest.fixture
def all_there(crowded: tuple[Nodes, NegativeSampler]) -> tuple[Nodes, NegativeSampler]:
    """All nodes are there, each with a scorer."""
    if living() == 2:
        crowded[0].replace(0)
    assert eventually(lambda: living() == len(alive("scorer-")) == 3)
    return crowded


def home(name: str) -> str | None:
    """The node that a living actor is on."""
    return next((each["Address"]["NodeID"] for each in alive(name)), None)


def living() -> int:
    """How many nodes the cluster takes to be alive."""
    return sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]  # Ray leaves it untyped


def assert_expected(found: Selection, expected: Selection) -> None:
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.score, expected.score)


@pytest.mark.parametrize("name", [pytest.param("entropy", marks=pytest.mark.slow), "badge"])
def test_the_blocks_of_a_scorer_without_room_are_scored_by_the_others(
    name: str, one_lost: tuple[Nodes, NegativeSampler], expected: dict[str, Selection]
) -> None:
    found = one_lost[1].sibling(name, k=10).select(MODEL.state_dict(), 0)
    assert_expected(found, expected[name])
    assert found.account.recovery.taken_over >= 1


def test_where_nobody_stands_in_in_time_the_deadline_says_who_is_missing_and_what_it_needs(
    one_lost: tuple[Nodes, NegativeSampler],
) -> None:
    service, limits = one_lost[1]._service, dataclasses.replace(OPTIONS.limits, round_s=3.0, needs="1 CPU")
    hasty = ray.remote(CoordinatorActor).remote(service.group.factory, 3, limits, GatherLimits(held_bytes=0), False)
    told = r"no answer from scorer-\d \(.*\) within 3 s; the cluster has 2 nodes, \d gone, 0 CPU and 0 GPU free, a "
    with (
        mock.patch.object(service, "coordinator", hasty),
        pytest.raises(ServiceError, match=told + "scorer needs 1 CPU; bring lost nodes back or add one"),
    ):
        one_lost[1].sibling("badge", k=10).select(MODEL.state_dict(), 0)


def test_a_new_node_gives_the_scorer_room_in_the_middle_of_a_round(
    one_lost: tuple[Nodes, NegativeSampler], expected: dict[str, Selection]
) -> None:
    pending = one_lost[1].sibling("badge", k=10).submit(MODEL.state_dict(), 0)
    one_lost[0].replace(0)
    assert_expected(pending.result(), expected["badge"])
    assert eventually(lambda: len(alive("scorer-")) == 3)


def test_a_coordinator_that_dies_with_its_node_begins_the_round_again_elsewhere(
    all_there: tuple[Nodes, NegativeSampler], expected: dict[str, Selection], tmp_path: Path
) -> None:
    (nodes, sampler), halted = all_there, HaltedBadge(marker=tmp_path / "halted")
    moving = (
        ray.remote(CoordinatorActor)
        .options(name="coordinator-moved", num_cpus=0, resources={OTHER: 0.5}, max_restarts=-1, max_task_retries=-1)
        .remote(sampler._service.group.factory, 3, OPTIONS.limits, GatherLimits(held_bytes=0), False)
    )
    with mock.patch.object(sampler._service, "coordinator", moving):
        pending = sampler.sibling(halted, k=10).submit(MODEL.state_dict(), 0)
        assert eventually(halted.marker.exists)
        doomed = home("coordinator-moved")
        number = [node.node_id for node in nodes.others].index(doomed)
        nodes.kill(number)
        nodes.replace(number)
        found = pending.result()
    assert_expected(found, expected["badge"])
    assert found.account.recovery.coordinator == 1
    assert home("coordinator-moved") not in (None, doomed)
