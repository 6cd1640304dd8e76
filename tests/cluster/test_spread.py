"""Services on three nodes: shards are spread, a lost node changes nothing, a late node is used."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from negsift.common.types import Selection
from negsift.deploy.serve import describe
from negsift.service import NegativeSampler, attach
from negsift.service.config import FleetConfig
from negsift.service.serving import directory
from tests.cluster.chaos import alive
from tests.cluster.nodes import Nodes, three_nodes
from tests.cluster.serving import eventually
from tests.unit.tables import as_table, random_bags, third_positive, write
from tests.unit.toys import assert_same, vector_model, vectors

SHARDS = FleetConfig(kind="ray", shards=3, cpus_per_shard=1.0, block=8, deadline_s=90.0)
POOL, MODEL = vectors([3] * 120), vector_model()
pytestmark = pytest.mark.usefixtures("no_local_ray")


@pytest.fixture(scope="module")
def nodes(no_local_ray: None) -> Iterator[Nodes]:
    with three_nodes(cpus=2) as running:
        yield running


@pytest.fixture
def all_three(nodes: Nodes) -> Iterator[Nodes]:
    """All nodes there now, and again afterwards."""
    yield nodes
    nodes.replace(0)


def shown(status: str) -> list[str]:
    """The nodes of the scorers in what `serve status` says."""
    return [line.split()[1] for line in status.splitlines() if line.startswith("scorer-")]


@pytest.mark.slow
def test_a_service_spreads_over_nodes_and_survives_losing_one(all_three: Nodes, tmp_path: Path) -> None:
    write(tmp_path / "birds", as_table(random_bags(150, seed=2), third_positive(150)))
    service = directory.start(str(tmp_path / "birds"), "birds", SHARDS)
    ids = [node["NodeID"][:8] for node in ray.nodes()]  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    assert sorted(shown(describe(directory.ask(service)))) == sorted(ids)
    given = {"target_label": "bird", "strategy": "badge", "k": 20}
    with (
        NegativeSampler(tmp_path / "birds", MODEL, shards=1, options=FleetConfig(block=8), **given) as here,
        attach("birds", MODEL, **given) as there,
    ):
        assert_same(there.select(MODEL.state_dict(), 0), here.select(MODEL.state_dict(), 0))
        pending = there.submit(MODEL.state_dict(), 1)
        all_three.kill(0)
        assert_same(pending.result(), here.select(MODEL.state_dict(), 1))
        assert_same(there.select(MODEL.state_dict(), 2), here.select(MODEL.state_dict(), 2))
    directory.stop("birds")


@pytest.fixture(scope="module")
def there(nodes: Nodes) -> Iterator[NegativeSampler]:
    """Three scorers, begun while there are two nodes."""
    nodes.kill(0)
    assert eventually(lambda: sum(node["Alive"] for node in ray.nodes()) == 2)  # type: ignore[no-untyped-call]
    with NegativeSampler(POOL, MODEL, fleet="ray", options=SHARDS, strategy="entropy", k=10) as sampler:
        yield sampler
    assert eventually(lambda: not alive("scorer-"))


@pytest.fixture(scope="module")
def expected() -> Selection:
    with NegativeSampler(POOL, MODEL, shards=1, options=SHARDS, strategy="entropy", k=10) as sampler:
        return sampler.select(MODEL.state_dict(), 0)


def homes() -> set[str]:
    """The nodes that scorers live on."""
    return {each["Address"]["NodeID"] for each in alive("scorer-")}


def test_a_late_node_takes_a_scorer_between_two_rounds(
    nodes: Nodes, there: NegativeSampler, expected: Selection
) -> None:
    assert_same(there.select(MODEL.state_dict(), 0), expected)
    assert len(homes()) == 2
    nodes.replace(0)

    def moved() -> bool:
        found = there.select(MODEL.state_dict(), 0)
        assert_same(found, expected)
        return found.account.recovery.moved == 1

    assert eventually(moved)
    assert eventually(lambda: len(alive("scorer-")) == 3)
    assert nodes.others[0].node_id in homes()


@pytest.mark.slow
def test_a_moved_scorer_lost_with_its_coordinator_is_replaced(there: NegativeSampler, expected: Selection) -> None:
    os.kill(alive("coordinator-")[0]["Pid"], signal.SIGKILL)
    assert_same(there.select(MODEL.state_dict(), 0), expected)
    assert eventually(lambda: len(alive("scorer-")) == 3)
