"""What scorers count on: what is free, or all that they get if they wait."""

from collections.abc import Mapping

import pytest
from ray.util.placement_group import PlacementGroup

from negsift.common.errors import BadInput
from negsift.service.cluster.resources import shard_count
from negsift.service.cluster.room import Room
from negsift.service.config import FleetConfig

FOUR = {"CPU": 8.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("free", "most", "fleet", "expected"),
    [
        ([{"CPU": 6.0}], {"CPU": 8.0}, FleetConfig(), (6, 1.0, 0.0)),
        ([{"CPU": 0.5}], {"CPU": 8.0}, FleetConfig(), (8, 1.0, 0.0)),
        ([{"CPU": 0.0}], {"CPU": 0.0}, FleetConfig(shards=4), (4, 0.0, 0.0)),
        ([{"CPU": 2.0}, FOUR], {"CPU": 10.0, "GPU": 4.0}, FleetConfig(), (4, 1.0, 1.0)),
        ([FOUR | {"GPU": 1.0}, FOUR], {"CPU": 16.0, "GPU": 8.0}, FleetConfig(), (5, 1.0, 1.0)),
        ([FOUR | {"GPU": 0.5}], FOUR, FleetConfig(), (4, 1.0, 1.0)),
        ([{"CPU": 1.0, "GPU": 4.0}, {"CPU": 8.0}], {"CPU": 9.0, "GPU": 4.0}, FleetConfig(), (4, 0.25, 1.0)),
        ([FOUR | {"GPU": 3.0}], FOUR, FleetConfig(shards=4), (4, 1.0, 0.5)),
        ([FOUR], {"CPU": 8.0, "GPU": 4.0}, FleetConfig(gpus_per_shard=0.5), (4, 1.0, 0.5)),
    ],
)
def test_scorers_share_what_is_free_and_where_too_little_is_what_they_may_wait_for(
    free: list[Mapping[str, float]], most: Mapping[str, float], fleet: FleetConfig, expected: tuple[int, float, float]
) -> None:
    room = Room.of(free, most)
    shards = shard_count(room.resources, fleet)
    assert (shards, *room.needs(fleet, shards)) == expected


def test_what_no_waiting_brings_is_refused() -> None:
    room = Room.of([{"CPU": 1.0}], {"CPU": 2.0})
    assert room.needs(FleetConfig(cpus_per_shard=1.0), 2) == (1.0, 0.0)
    with pytest.raises(BadInput, match="3 scorers of 1 CPU each on a cluster with 2 for them; expected at most 2 CPU"):
        room.needs(FleetConfig(cpus_per_shard=1.0), 3)
    seven = Room.of([{"CPU": 32.0, "GPU": 7.0}], {"CPU": 32.0, "GPU": 7.0})
    with pytest.raises(BadInput, match=r"10 scorers of 0.7 GPU each .*; expected at most 7 GPU in all, .* room for 7;"):
        seven.needs(FleetConfig(gpus_per_shard=0.7), 10)


def test_scorers_in_a_placement_group_share_its_bundles_so_that_all_fit() -> None:
    bundles = [{"CPU": 1.0, "GPU": 1.0}, {"CPU": 1.0, "GPU": 1.0}]
    room = Room({"CPU": 2.0, "GPU": 2.0}, bundles=bundles, group=PlacementGroup.empty())
    assert room.needs(FleetConfig(), 3) == (0.5, 0.5)
