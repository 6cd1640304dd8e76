"""Workloads whose figures can be worked out by hand."""

from dataclasses import replace
from typing import Any

from negsift.deploy.plan.workload import BagForm, Machines, Rounds, Sizes, Workload
from negsift.service.config import FleetConfig
from negsift.service.strategies import STRATEGIES

IMAGES = BagForm(instances=5, decoded_bytes=1000, stored_bytes=1000, validated=0.1)
TABLE = BagForm(
    instances=5, decoded_bytes=992, stored_bytes=500, validated=0.1, group_bags=640, group_bytes=100 << 20,
    tensor_bytes=1984,
)  # fmt: skip
ROUNDS = Rounds(
    bags=64_000,
    positives=1_000,
    picks=1_000,
    scored=64_000,
    most=1_000,
    also=0,
    block=64,
    every=1,
    staleness=0,
    trained=2_000,
)
SIZES = Sizes(embedded=100, point=48, columns=10, weights=4_000)


def work(form: BagForm = IMAGES, strategy: str = "entropy", scorers: int = 10, **changes: Any) -> Workload:
    """Ten scorers on two nodes, unless changes say otherwise: fields of the rounds, of the machines, and of the fleet."""
    fleet = {name: value for name, value in changes.items() if name.endswith("_mb")}
    machines = {name: value for name, value in changes.items() if name in ("on_ray", "nodes", "gpu_share")}
    rounds = {name: value for name, value in changes.items() if name not in {*fleet, *machines}}
    return Workload(
        form, replace(ROUNDS, **rounds), STRATEGIES[strategy](),
        replace(Machines(scorers, 1, 2 if scorers > 1 else 1, 0.0, True), **machines), SIZES, FleetConfig(**fleet),
    )  # fmt: skip
