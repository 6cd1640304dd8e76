"""Who holds a cluster, and what a placement group leaves, as plain numbers."""

from negsift.service.cluster.occupancy import ActorRecord, described, holdings
from negsift.service.cluster.room import bundles_left


def actor(name: str, cpus: float, *, is_ours: bool = False, is_placed: bool = True) -> ActorRecord:
    return ActorRecord(name, "Trainer", is_ours, {"CPU": cpus}, is_placed)


def test_cpus_are_added_up_by_service_by_sampler_by_actor_and_by_placement_group() -> None:
    known = [
        actor("scorer-0-big-birds-ab12", 1.0), actor("scorer-1-big-birds-ab12_0f3c", 1.5), actor("scorer-0-ab12cd", 0.5),
        actor("scorer-0-12ab34", 0.25, is_ours=True), actor("scorer-1-12ab34", 8.0, is_placed=False), actor("", 2.0),
        actor("service-big-birds", 0.0),
    ]  # fmt: skip
    held = holdings(known, {"placement group train": [{"CPU": 1.0}, {"CPU": 1.0, "GPU": 1.0}]}, {"CPU": 10.0})
    assert {holder: (amounts["CPU"], amounts["GPU"]) for holder, amounts in held.items()} == {
        "service big-birds": (2.5, 0.0), "another program's sampler": (0.5, 0.0), "this program's sampler": (0.25, 0.0),
        "actor Trainer": (2.0, 0.0), "placement group train": (2.0, 1.0), "tasks": (2.75, 0.0),
    }  # fmt: skip


def test_the_largest_holders_are_named_and_the_others_counted() -> None:
    held = {name: {"CPU": float(number), "GPU": 0.0} for number, name in enumerate("abcde", start=1)}
    held["a"]["GPU"] = 2.0
    assert described(held) == "held by a (1 CPU and 2 GPU), e (5 CPU), d (4 CPU), 2 others"
    assert described({}) == ""


def test_a_program_takes_its_share_of_the_first_bundle_that_can_hold_it() -> None:
    bundles = [{"CPU": 0.5}, {"CPU": 2.0, "GPU": 1.0}, {"CPU": 2.0}]
    left = [(bundle["CPU"], bundle["GPU"]) for bundle in bundles_left(bundles, {"CPU": 1.0})]
    assert left == [(0.5, 0.0), (1.0, 1.0), (2.0, 0.0)]
