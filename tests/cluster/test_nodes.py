"""Three nodes: shards are spread, late nodes are used; after a loss rounds give the same picks or name what lacks."""

import copy
import dataclasses
import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from negsift.common.errors import BadInput, ServiceError
from negsift.common.types import Selection
from negsift.deploy.serve import describe
from negsift.service import NegativeSampler, attach
from negsift.service.cluster.coordinator import CoordinatorActor
from negsift.service.cluster.programs import ended_programs
from negsift.service.cluster.references import SpecRef
from negsift.service.cluster.service import RayService, start_ray_service
from negsift.service.cluster.shared_folder import require_seen, require_shared
from negsift.service.config import FleetConfig
from negsift.service.points.shared_points import GatherLimits
from negsift.service.pool.bag_source import BagSource
from negsift.service.sampler_state import PendingSelection
from negsift.service.scoring.shard_spec import ShardSpec
from negsift.service.selection.task import Task
from negsift.service.serving import directory
from negsift.service.strategies import STRATEGIES as STRATEGY_TABLE
from negsift.service.strategies.badge import Badge
from negsift.service.strategies.base import Strategy
from tests.cluster.moments import HaltedBadge
from tests.cluster.nodes import OTHER, Nodes, three_nodes
from tests.cluster.processes import Asking, alive
from tests.cluster.serving import eventually
from tests.unit.tables import as_table, random_bags, third_positive, write
from tests.unit.toys import assert_same, vector_model, vectors

POOL, MODEL = vectors([3] * 120), vector_model()
OPTIONS = FleetConfig(shards=3, block=8, cache_mb=0, held_mb=0, cpus_per_shard=2.0, deadline_s=45.0)
ROOMY = dataclasses.replace(OPTIONS, kind="ray", cpus_per_shard=1.0, deadline_s=90.0)
STRATEGIES = ("entropy", "badge")
pytestmark = pytest.mark.usefixtures("no_local_ray")


@pytest.fixture(scope="module")
def expected() -> dict[str, Selection]:
    with NegativeSampler(POOL, MODEL, k=10, shards=1, options=OPTIONS) as sampler:
        return {name: sampler.sibling(name, k=10).select(MODEL.state_dict(), 0) for name in STRATEGIES}


@pytest.fixture(scope="module")
def nodes(no_local_ray: None) -> Iterator[Nodes]:
    with three_nodes(cpus=2) as running:
        yield running


def test_a_folder_that_a_node_does_not_see_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    require_shared(tmp_path, "--out")
    require_seen(tmp_path, "data.root")
    folder = os.open(tmp_path, os.O_RDONLY)
    opened = fcntl.fcntl(folder, fcntl.F_DUPFD_CLOEXEC, 900)
    os.close(folder)
    mine = Path(f"/proc/self/fd/{opened}")  # a worker has no file of so high a number
    with pytest.raises(
        BadInput, match=r"--out /proc/self/fd/\d+, which 3 of the 3 nodes don't see .*choose another --out"
    ):
        require_shared(mine, "--out")
    with pytest.raises(BadInput, match=r"data\.root=/proc/self/fd/\d+, which 3 of the 3 nodes don't see"):
        require_seen(mine, "data.root")
    os.close(opened)
    assert not list(tmp_path.iterdir())


def shown(status: str) -> list[str]:
    """The nodes of the scorers in what `serve status` says."""
    return [line.split()[1] for line in status.splitlines() if line.startswith("scorer-")]


@pytest.mark.slow
def test_a_service_spreads_over_nodes_and_survives_losing_one(nodes: Nodes, tmp_path: Path) -> None:
    write(tmp_path / "birds", as_table(random_bags(150, seed=2), third_positive(150)))
    service = directory.start(str(tmp_path / "birds"), "birds", ROOMY)
    ids = [node["NodeID"][:8] for node in ray.nodes()]  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    assert sorted(shown(describe(directory.ask(service)))) == sorted(ids)
    given = {"target_label": "bird", "strategy": "badge", "k": 20}
    with (
        NegativeSampler(tmp_path / "birds", MODEL, shards=1, options=OPTIONS, **given) as here,
        attach("birds", MODEL, **given) as there,
    ):
        assert_same(there.select(MODEL.state_dict(), 0), here.select(MODEL.state_dict(), 0))
        pending = there.submit(MODEL.state_dict(), 1)
        nodes.kill(0)
        assert_same(pending.result(), here.select(MODEL.state_dict(), 1))
        assert_same(there.select(MODEL.state_dict(), 2), here.select(MODEL.state_dict(), 2))
    directory.stop("birds")
    nodes.replace(0)


def test_programs_on_a_lost_node_are_known_to_have_ended(nodes: Nodes) -> None:
    lost, stays = (
        ray.remote(Asking)
        .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False))
        .remote()
        for node in nodes.others
    )
    programs = ray.get([lost.program.remote(), stays.program.remote()])
    assert ended_programs(programs) == set()
    nodes.kill(0)
    assert eventually(lambda: ended_programs(programs) == {programs[0]})
    nodes.replace(0)
    ray.kill(stays)


@pytest.fixture
def spread(nodes: Nodes) -> Iterator[NegativeSampler]:
    """Three scorers, begun while there are two nodes."""
    nodes.kill(0)
    assert eventually(lambda: living() == 2)
    with NegativeSampler(POOL, MODEL, fleet="ray", options=ROOMY, strategy="entropy", k=10) as sampler:
        yield sampler
    assert eventually(lambda: not alive("scorer-"))


def move_to_a_late_node(nodes: Nodes, sampler: NegativeSampler, expected: Selection) -> None:
    """Start the third node and have rounds run until a scorer has moved there."""
    assert len(homes()) == 2
    nodes.replace(0)

    def moved() -> bool:
        found = sampler.select(MODEL.state_dict(), 0)
        assert_same(found, expected)
        return found.account.recovery.moved == 1

    assert eventually(moved)
    assert eventually(lambda: len(alive("scorer-")) == 3)


def homes() -> set[str]:
    """The nodes that scorers live on."""
    return {each["Address"]["NodeID"] for each in alive("scorer-")}


def test_a_late_node_takes_a_scorer_between_two_rounds(
    nodes: Nodes, spread: NegativeSampler, expected: dict[str, Selection]
) -> None:
    assert_same(spread.select(MODEL.state_dict(), 0), expected["entropy"])
    move_to_a_late_node(nodes, spread, expected["entropy"])
    assert nodes.others[0].node_id in homes()


@pytest.mark.slow
def test_a_moved_scorer_lost_with_its_coordinator_is_replaced(
    nodes: Nodes, spread: NegativeSampler, expected: dict[str, Selection]
) -> None:
    spread.select(MODEL.state_dict(), 0)
    move_to_a_late_node(nodes, spread, expected["entropy"])
    os.kill(alive("coordinator-")[0]["Pid"], signal.SIGKILL)
    assert_same(spread.select(MODEL.state_dict(), 0), expected["entropy"])
    assert eventually(lambda: len(alive("scorer-")) == 3)


@pytest.fixture(scope="module")
def crowded(nodes: Nodes) -> Iterator[tuple[Nodes, RayService]]:
    """Three scorers of two CPUs each on three nodes of two CPUs."""
    spec = ShardSpec(BagSource(POOL), BagSource([]), MODEL, 3, OPTIONS.block, 0, OPTIONS.budget)
    service = start_ray_service(spec, OPTIONS)
    for name in STRATEGIES:
        begin(service, STRATEGY_TABLE[name]()).result()
    yield nodes, service
    service.close()


def begin(service: RayService, strategy: Strategy) -> PendingSelection:
    """A round of ten negatives, begun."""
    return NegativeSampler.over(service, POOL, Task(strategy, 10)).submit(MODEL.state_dict(), 0)


def with_coordinator(service: RayService, coordinator: Any) -> RayService:  # Any: an actor handle
    """The same scorers under another coordinator."""
    other = copy.copy(service)
    other.coordinator = coordinator
    return other


def test_scorers_say_how_large_their_blocks_may_be(crowded: tuple[Nodes, RayService]) -> None:
    spec = ShardSpec(BagSource(POOL), BagSource([]), MODEL, 3, OPTIONS.block_size, 0, OPTIONS.budget)
    assert crowded[1].group.largest_block(SpecRef("probe", [ray.put(spec)]), 60.0) == 64


@pytest.fixture
def one_lost(crowded: tuple[Nodes, RayService]) -> tuple[Nodes, RayService]:
    """One of the nodes is dead and known to be, so that a scorer finds no room."""
    if living() == 3:
        crowded[0].kill(0)
    assert eventually(lambda: living() == len(alive("scorer-")) == 2)
    return crowded


@pytest.fixture
def all_there(crowded: tuple[Nodes, RayService]) -> tuple[Nodes, RayService]:
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


@pytest.mark.parametrize("name", [pytest.param("entropy", marks=pytest.mark.slow), "badge"])
def test_blocks_of_a_scorer_without_room_are_scored_by_others(
    name: str, one_lost: tuple[Nodes, RayService], expected: dict[str, Selection]
) -> None:
    found = begin(one_lost[1], STRATEGY_TABLE[name]()).result()
    assert_same(found, expected[name])
    assert found.account.recovery.taken_over >= 1


def test_the_deadline_names_missing_scorers_and_their_needs(one_lost: tuple[Nodes, RayService]) -> None:
    service, limits = one_lost[1], dataclasses.replace(OPTIONS.limits, round_s=0.01, needs="1 CPU")
    hasty = ray.remote(CoordinatorActor).remote(service.group.factory, 3, limits, GatherLimits(held_bytes=0), False)
    message = (
        r"no answer from scorer-\d \(.*\) within 0.01 s; the cluster has 2 nodes, \d gone, 0 CPU and 0 GPU free, a "
    )
    with pytest.raises(ServiceError, match=message + "scorer needs 1 CPU; bring lost nodes back or add one"):
        begin(with_coordinator(service, hasty), Badge()).result()


def test_a_new_node_makes_room_for_a_scorer_during_a_round(
    one_lost: tuple[Nodes, RayService], expected: dict[str, Selection]
) -> None:
    pending = begin(one_lost[1], Badge())
    one_lost[0].replace(0)
    assert_same(pending.result(), expected["badge"])
    assert eventually(lambda: len(alive("scorer-")) == 3)


def test_a_coordinator_lost_with_its_node_restarts_the_round(
    all_there: tuple[Nodes, RayService], expected: dict[str, Selection], tmp_path: Path
) -> None:
    (nodes, service), halted = all_there, HaltedBadge(marker=tmp_path / "halted")
    moving = (
        ray.remote(CoordinatorActor)
        .options(name="coordinator-moved", num_cpus=0, resources={OTHER: 0.5}, max_restarts=-1, max_task_retries=-1)
        .remote(service.group.factory, 3, OPTIONS.limits, GatherLimits(held_bytes=0), False)
    )
    pending = begin(with_coordinator(service, moving), halted)
    assert eventually(halted.marker.exists)
    doomed = home("coordinator-moved")
    number = [node.node_id for node in nodes.others].index(doomed)
    nodes.kill(number)
    nodes.replace(number)
    found = pending.result()
    assert_same(found, expected["badge"])
    assert found.account.recovery.coordinator == 1
    assert home("coordinator-moved") not in (None, doomed)
