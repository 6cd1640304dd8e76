"""Nodes killed: the round ends the same elsewhere, waits for a new node, or says what it lacks."""

import dataclasses
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest
import ray

from common.errors import ServiceError
from common.types import Selection
from service import NegativeSampler
from service.ray_service import RoundsActor
from service.setup import FleetConfig
from service.shared_points import Layout
from tests.cluster.chaos import alive
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
    """Three scorers on three nodes of one CPU; one node is dead, so that a scorer finds no room."""
    with (
        three_nodes(cpus=1) as nodes,
        NegativeSampler(POOL, MODEL, k=10, shards=3, fleet="ray", options=OPTIONS) as sampler,
    ):
        for name in STRATEGIES:
            sampler.sibling(name, k=10).select(MODEL.state_dict(), 0)
        nodes.kill(0)
        yield nodes, sampler


def assert_expected(found: Selection, expected: Selection) -> None:
    np.testing.assert_array_equal(found.index, expected.index)
    np.testing.assert_array_equal(found.score, expected.score)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_blocks_of_a_scorer_without_room_are_scored_by_the_others(
    name: str, crowded: tuple[Nodes, NegativeSampler], expected: dict[str, Selection]
) -> None:
    found = crowded[1].sibling(name, k=10).select(MODEL.state_dict(), 0)
    assert_expected(found, expected[name])
    assert found.account.repairs.taken_over == 1


def test_where_nobody_stands_in_in_time_the_deadline_says_who_is_missing_and_what_it_needs(
    crowded: tuple[Nodes, NegativeSampler],
) -> None:
    service, limits = crowded[1]._service, dataclasses.replace(OPTIONS.limits, round_s=3.0, needs="1 CPU")
    hasty = ray.remote(RoundsActor).remote(service.crew, Layout(len(POOL), held_bytes=0), limits)
    told = r"no answer from scorer-\d \(.*\) within 3 s; the cluster has 2 nodes, 1 gone, 0 CPU and 0 GPU free, a "
    with (
        mock.patch.object(service, "coordinator", hasty),
        pytest.raises(ServiceError, match=told + "scorer needs 1 CPU; bring lost nodes back or add one"),
    ):
        crowded[1].sibling("badge", k=10).select(MODEL.state_dict(), 0)


def test_a_new_node_gives_the_scorer_room_in_the_middle_of_a_round(
    crowded: tuple[Nodes, NegativeSampler], expected: dict[str, Selection]
) -> None:
    pending = crowded[1].sibling("badge", k=10).submit(MODEL.state_dict(), 0)
    crowded[0].replace(0)
    assert_expected(pending.result(), expected["badge"])
    assert eventually(lambda: len(alive("scorer-")) == 3)


def test_a_coordinator_that_dies_with_its_node_begins_the_round_again_elsewhere(
    crowded: tuple[Nodes, NegativeSampler], expected: dict[str, Selection]
) -> None:
    nodes, service = crowded[0], crowded[1]._service
    service.coordinator = (
        ray.remote(RoundsActor)
        .options(name="coordinator-moved", num_cpus=0, resources={OTHER: 0.5}, max_restarts=-1, max_task_retries=-1)
        .remote(service.crew, Layout(len(POOL), held_bytes=0), OPTIONS.limits)
    )
    ray.get(service.coordinator.status.remote(), timeout=60.0)
    doomed = alive("coordinator-moved")[0]["Address"]["NodeID"]
    number = [node.node_id for node in nodes.others].index(doomed)
    pending = crowded[1].sibling("badge", k=10).submit(MODEL.state_dict(), 0)
    nodes.kill(number)
    nodes.replace(number)
    assert_expected(pending.result(), expected["badge"])
    assert alive("coordinator-moved")[0]["Address"]["NodeID"] != doomed
