"""A pool by its path on Ray: the selections made in this process, also when it grows and when a scorer dies."""

import os
import signal
from pathlib import Path

import pytest

from negsift.common.errors import BadInput
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from tests.cluster.processes import alive
from tests.unit.tables import as_table, random_bags, third_positive, write
from tests.unit.toys import assert_same, vector_model

pytestmark = pytest.mark.usefixtures("local_ray")
GIVEN = {"k": 20, "strategy": "badge", "target_label": "bird"}


def test_a_pool_too_large_for_a_scorer_is_reported_as_locally(tmp_path: Path) -> None:
    write(tmp_path, as_table(random_bags(150), third_positive(150)))
    options = FleetConfig(block=8, pool_mb=1, cpus_per_shard=0.5)
    with pytest.raises(BadInput, match="a budget of 1 MiB for decoded bags.*raise fleet.pool_mb"):
        NegativeSampler(tmp_path, vector_model(), shards=2, options=options, fleet="ray", **GIVEN)


@pytest.mark.parametrize("shards", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_growing_table_gives_the_local_picks_on_ray(tmp_path: Path, shards: int) -> None:
    write(tmp_path, as_table(random_bags(150), third_positive(150)))
    model, options = vector_model(), FleetConfig(block=8)
    with (
        NegativeSampler(tmp_path, model, shards=2, options=options, **GIVEN) as here,
        NegativeSampler(tmp_path, model, shards=shards, options=options, fleet="ray", **GIVEN) as there,
    ):
        assert_same(here.select(model.state_dict(), 0), there.select(model.state_dict(), 0))
        write(tmp_path, as_table(random_bags(90, seed=1), [[]] * 90, first=150), append=True)
        assert here.refresh() == there.refresh() == 2
        assert_same(here.select(model.state_dict(), 1), there.select(model.state_dict(), 1))
        os.kill(alive("scorer-")[-1]["Pid"], signal.SIGKILL)
        restarted = there.select(model.state_dict(), 2)
        assert_same(here.select(model.state_dict(), 2), restarted)
        assert restarted.account.pool_version == 2
