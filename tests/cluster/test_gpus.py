"""Scorers and a trainer on two nodes of GPUs, which are there for Ray alone, beside a head that has none."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest
import ray
from ray.util import placement_group, remove_placement_group

from negsift.deploy.workers import trainer_room, worker_needs
from negsift.service.cluster.resources import free_by_node, shard_count
from negsift.service.cluster.room import find_room
from negsift.service.cluster.scorer_factory import ScorerFactory, ScorerHandle
from negsift.service.config import FleetConfig
from tests.cluster.nodes import Nodes, three_nodes
from tests.cluster.serving import LIMIT_S

GPUS = 2
ON_RAY = FleetConfig(kind="ray")


@pytest.fixture(scope="module")
def nodes(no_local_ray: None) -> Iterator[Nodes]:
    with three_nodes(cpus=8, gpus=GPUS) as running:
        yield running


def homes(scorers: list[ScorerHandle]) -> Counter[tuple[str, int]]:
    """How many scorers are on each GPU, by its node and number."""

    def look(scorer: object) -> tuple[str, int]:
        return ray.get_runtime_context().get_node_id(), ray.get_gpu_ids()[0]

    return Counter(
        ray.get([scorer.__ray_call__.options(max_task_retries=-1).remote(look) for scorer in scorers], timeout=LIMIT_S)
    )


@pytest.mark.usefixtures("nodes")
def test_parts_of_a_gpu_are_spread_over_all_gpus_and_kept_by_a_restarted_scorer() -> None:
    factory = ScorerFactory((0.0, 0.25), "parts")
    scorers = factory.start(5)
    found = homes(scorers)
    assert sorted(found.values()) == [1, 1, 1, 2]
    ray.kill(scorers[3], no_restart=False)
    assert homes(scorers) == found
    for scorer in scorers:
        ray.kill(scorer)
    factory.release_all()
    assert {have.get("GPU", 0.0) for have in free_by_node().values()} == {0.0, GPUS}


@pytest.mark.usefixtures("nodes")
def test_a_trainer_of_one_process_has_a_gpu_that_scorers_leave() -> None:
    with trainer_room(1, ON_RAY) as room:
        assert room is not None
        assert room.each == {"CPU": 1.0, "GPU": 1.0}
        free = find_room()
        shards = shard_count(free.resources, ON_RAY)
        assert shards == 2 * GPUS - 1
        factory = ScorerFactory(free.needs(FleetConfig(gpus_per_shard=0.5), shards), "beside")
        found = homes(scorers := factory.start(shards))
        assert len(found) == shards
        group = placement_group([{"GPU": 1}])  # type: ignore[no-untyped-call]  # Ray's
        assert not group.wait(0.5)
        room.give()
        assert group.wait(LIMIT_S)
    remove_placement_group(group)
    for scorer in scorers:
        ray.kill(scorer)
    factory.release_all()


@pytest.mark.usefixtures("nodes")
def test_a_job_with_a_gpu_of_its_own_trains_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_needs(1, ON_RAY) == {"CPU": 1.0, "GPU": 1.0}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert worker_needs(1, ON_RAY) == {}
    os.environ.pop("CUDA_VISIBLE_DEVICES")
    assert worker_needs(2, ON_RAY) == {"CPU": 1.0, "GPU": 1.0}
