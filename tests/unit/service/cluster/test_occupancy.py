"""Who holds a cluster, and what a placement group leaves, as plain numbers."""

from negsift.service.cluster.occupancy import Holding, by_holder, described, holder
from negsift.service.cluster.room import bundles_left


def held_by(name: str, cpus: float, gpus: float = 0.0, *, is_own: bool = False) -> Holding:
    return Holding(holder(name, is_own) or f"actor {name}", {"CPU": cpus, "GPU": gpus})


def test_cpus_are_added_up_by_service_by_sampler_by_actor_and_by_trainer() -> None:
    known = [
        held_by("scorer-0-big-birds-ab12", 1.0), held_by("scorer-1-big-birds-ab12_0f3c", 1.5),
        held_by("scorer-0-ab12cd", 0.5), held_by("scorer-0-12ab34", 0.25, is_own=True), held_by("Trainer", 2.0),
        held_by("trainer-0f3c1b", 1.0, is_own=True), held_by("trainer-0f3c1b", 1.0, 1.0, is_own=True),
    ]  # fmt: skip
    found = by_holder(known, {"CPU": 10.0})
    assert {name: (amounts["CPU"], amounts["GPU"]) for name, amounts in found.items()} == {
        "service big-birds": (2.5, 0.0), "another program's sampler": (0.5, 0.0), "this program's sampler": (0.25, 0.0),
        "actor Trainer": (2.0, 0.0), "this program's trainer": (2.0, 1.0), "tasks": (2.75, 0.0),
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
