"""One trainer worker in this process or several on Ray, and the share of the cluster that scorers then have."""

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from negsift.common.errors import BadInput
from negsift.service.config import FleetConfig
from negsift.trainer.fit import fit
from negsift.trainer.folder import Json
from negsift.trainer.trainer import RunSpec, Trainer, TrainerConfig

log = logging.getLogger(__name__)


def trained(spec: RunSpec, config: TrainerConfig, seed: int, start_s: float) -> Json:
    """Train to the end, with `config.training.workers` workers, and return the summary.

    Several may take `start_s` seconds to get room; that they wait for it is told in the log.
    """
    workers = config.training.workers
    if workers == 1:
        return fit(Trainer(spec, config, seed))
    from negsift.service.cluster.waiting import waiting_told, workers_waiting  # imported here: one worker needs no Ray
    from negsift.trainer.workers import train_together, worker_needs

    with waiting_told(functools.partial(workers_waiting, workers, worker_needs()), start_s):
        return train_together(spec, config, seed, start_s)


def fleet_beside(workers: int, fleet: FleetConfig) -> FleetConfig:
    """The fleet beside `workers` trainer workers: with several it is on Ray, on what they leave of the cluster.

    In a placement group that confines this program it has what the group leaves; several workers are outside, since Ray
    Train makes a group of its own. Raises BadInput for a local fleet, which several workers can't share, and where
    there is too little.
    """
    if workers == 1:
        return fleet
    if fleet.kind == "local":
        raise BadInput(
            f"fleet.kind=local with training.workers={workers}", "scorers that several workers can share",
            "set fleet.kind=ray, or training.workers=1",
        )  # fmt: skip
    from negsift.service.cluster.connect import connect  # imported here: Ray is not needed otherwise
    from negsift.service.cluster.resources import node_resources, total_resources
    from negsift.service.cluster.room import find_room, room_outside

    connect(fleet.dashboard)
    total, group = total_resources(), find_room().group
    if group is None:
        return divided(total, workers, fleet, node_resources())
    _require_workers(room_outside(group), _kinds(total), workers, "beside a placement group that leaves them")
    return replace(fleet, kind="ray")


def tell_of_gpus() -> None:
    """Say so where this process trains on its CPU although the cluster, which it has joined, has GPUs."""
    from negsift.service.cluster.resources import total_resources

    gpus = total_resources().get("GPU", 0.0)
    if gpus and not torch.cuda.is_available():
        remedy = "`negsift submit --own-gpus 1` keeps one for it, and training.workers=2 has one for each"
        log.warning("this process trains without a GPU, of which the cluster has %g: %s", gpus, remedy)


def divided(
    have: Mapping[str, float], workers: int, fleet: FleetConfig, by_node: Sequence[Mapping[str, float]] = ()
) -> FleetConfig:
    """The fleet on what is left of `have`, by resource, once each worker has a CPU, and a GPU if there are any."""
    from negsift.service.cluster.resources import scorer_resources, shard_count

    kinds = _kinds(have)
    _require_workers(have, kinds, workers, "on a cluster with")
    left = {kind: have[kind] - workers for kind in kinds}
    shards = shard_count(left, fleet)
    try:
        cpus, gpus = scorer_resources(left, fleet, shards, by_node)
    except BadInput as error:
        raise BadInput(f"{error.found} beside {workers} trainer workers", error.expected, error.remedy) from None
    return replace(fleet, kind="ray", shards=shards, cpus_per_shard=cpus, gpus_per_shard=gpus)


def _kinds(total: Mapping[str, float]) -> Sequence[str]:
    """What each worker takes one of: a CPU, and a GPU if the cluster has any."""
    return ("CPU", "GPU") if total.get("GPU", 0.0) else ("CPU",)


def _require_workers(have: Mapping[str, float], kinds: Sequence[str], workers: int, where: str) -> None:
    for kind in kinds:
        if workers > have.get(kind, 0.0):
            raise BadInput(
                f"training.workers={workers} {where} {have.get(kind, 0.0):g} {kind}",
                f"at most one worker a {kind}", "lower training.workers, or add nodes",
            )  # fmt: skip
