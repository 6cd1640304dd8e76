"""What a plan is asked for, and the machines and rounds that follow from it and from the configuration."""

import os
from dataclasses import dataclass

import torch

from negsift.common.block_subset import BlockSubset
from negsift.common.errors import BadInput
from negsift.deploy.plan.workload import Machines, Rounds
from negsift.deploy.run_config import RunConfig
from negsift.service.config import FleetConfig
from negsift.service.fleet.even_share import even_share
from negsift.service.fleet.rebalance import room_for
from negsift.service.strategies import make_strategy
from negsift.service.strategies.full import Full

ASSUMED_POSITIVES = 100
"""Where the positives are not given, there is one for so many bags of the pool."""
_MOST = 10_000


@dataclass(frozen=True)
class Asked:
    """What the command line says besides the recipe and its settings; None where it is left open."""

    bags: int
    positives: int | None = None
    bag_bytes: float | None = None
    features: int | None = None
    gpus: float | None = None
    cpus: float | None = None
    nodes: int | None = None
    node_memory: float | None = None
    rate: float | None = None
    train_rate: float | None = None


def planned_machines(fleet: FleetConfig, asked: Asked) -> Machines:
    """The scorers on the GPUs or CPU cores that are asked for, or else those of a run on this machine. Raises BadInput
    for both at once, for more than there may be, and for scorers that need more than there is.
    """
    if asked.gpus and asked.cpus:
        raise BadInput("--gpus and --cpus", "one of them", "say on which of them bags are scored")
    gpus, cores = asked.gpus or 0.0, asked.cpus or float(len(os.sched_getaffinity(0)))
    if not asked.gpus and not asked.cpus and torch.cuda.is_available():
        gpus = float(torch.cuda.device_count())
    have, kind, each = (gpus, "gpus", fleet.gpus_per_shard) if gpus else (cores, "cpus", fleet.cpus_per_shard)
    on_ray = fleet.kind != "local" if asked.gpus or asked.cpus else fleet.on_ray
    scorers, nodes = fleet.shards or max(1, int(have)), asked.nodes or 1
    if scorers > _MOST or not 0 < nodes <= scorers:
        found = f"{scorers:,} scorers on {nodes} nodes"
        raise BadInput(found, f"at most {_MOST:,}, and one a node at least", "correct --nodes, or set fleet.shards")
    total = {kind[:3].upper(): have}
    if on_ray and each is not None and room_for(total, (0.0, each) if gpus else (each, 0.0)) < scorers:
        raise BadInput(
            f"{scorers} scorers of {each:g} {kind[:3].upper()} each with --{kind} {have:g}", f"at most {have:g} in all",
            f"lower fleet.{kind}_per_shard or fleet.shards, or raise --{kind}",
        )  # fmt: skip
    share = (max(even_share([total], (None, None), scorers)) or have / scorers) if each is None else each
    threads = int(cores) if not on_ray else 1 if gpus else max(1, int(share))
    return Machines(scorers, threads, nodes, min(1.0, share) if gpus else 0.0, on_ray)


def planned_rounds(config: RunConfig, asked: Asked) -> Rounds:
    """The rounds of a run on such a pool. Raises BadInput where it has fewer bags than are to be picked."""
    strategy, policy, bags = make_strategy(config.strategy), config.sampling, asked.bags
    positives = asked.positives or max(1, bags // ASSUMED_POSITIVES)
    picks = bags if isinstance(strategy, Full) else config.sampling.negatives(positives)
    if picks > bags:
        raise BadInput(
            f"{picks:,} negatives an epoch from a pool of {bags:,}", "no more than the pool has",
            "raise sampling.ratio or --bags, or lower --positives",
        )  # fmt: skip
    part = policy.candidates or policy.rescore
    blocks = BlockSubset(min(part, bags), 0, 0).size(bags, config.fleet.block_size) if part and strategy.need else None
    scored = bags if blocks is None else min(bags, blocks * config.fleet.block_size)
    also = positives * strategy.learns_from_positives + picks * strategy.learns_from_negatives
    most = scored if policy.rescore and strategy.need else picks
    trained = min(policy.positives or positives, positives) + picks
    block = config.fleet.block_size
    return Rounds(bags, positives, picks, scored, most, also, block, policy.every, policy.staleness, trained)
