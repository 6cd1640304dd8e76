"""Where a run trains: in this process, or with workers of Ray Train, for which room on the cluster is kept."""

import functools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from negsift.common.errors import BadInput
from negsift.deploy.jobs.inside import is_job
from negsift.service.config import FleetConfig
from negsift.trainer.folder import Json

if TYPE_CHECKING:
    from negsift.service.cluster.reservation import Reservation
    from negsift.trainer.run_spec import RunSpec, TrainerConfig


@contextmanager
def trainer_room(workers: int, fleet: FleetConfig) -> "Iterator[Reservation | None]":
    """Room on the cluster for a run's trainer, to be had before its scorers start; None where this process trains.

    Several workers get it, and a single one beside scorers on Ray where the cluster has GPUs. Raises BadInput for a
    local fleet, which several workers can't share, and for a cluster too small for them; ServiceError where there is no
    room for `fleet.start_s` seconds.
    """
    each = worker_needs(workers, fleet)
    if not each:
        yield None
        return
    from negsift.service.cluster.reservation import reserved

    with reserved(workers, each, fleet.start_s) as reservation:
        yield reservation


def worker_needs(workers: int, fleet: FleetConfig) -> Mapping[str, float]:
    """What each worker of Ray Train takes: a CPU, and a GPU if the cluster has any; nothing where this process trains.

    The only GPU of a cluster is shared: a half is the trainer's. Raises BadInput as `trainer_room`.
    """
    if workers == 1 and not fleet.on_ray:
        return {}
    if fleet.kind == "local":
        raise BadInput(
            f"fleet.kind=local with training.workers={workers}", "scorers that several workers can share",
            "set fleet.kind=ray, or training.workers=1",
        )  # fmt: skip
    from negsift.service.cluster.connect import connect  # imported here: Ray is not needed otherwise
    from negsift.service.cluster.resources import total_resources
    from negsift.service.cluster.room import find_room, room_outside

    connect(fleet.dashboard)
    total, group = total_resources(), find_room().group
    if workers == 1:
        return {} if group is not None else _single_needs(total.get("GPU", 0.0))
    kinds = ("CPU", "GPU") if total.get("GPU", 0.0) else ("CPU",)
    have, where = (total, "on a cluster with")
    if group is not None:
        have, where = room_outside(group), "beside a placement group that leaves them"
    for kind in kinds:
        if workers > have.get(kind, 0.0):
            raise BadInput(
                f"training.workers={workers} {where} {have.get(kind, 0.0):g} {kind}",
                f"at most one worker a {kind}", "lower training.workers, or add nodes",
            )  # fmt: skip
    return dict.fromkeys(kinds, 1.0)


def _single_needs(gpus: float) -> Mapping[str, float]:
    """What a single worker takes of a cluster with so many GPUs; nothing where this process trains as well as it."""
    has_own = is_job() and bool(os.environ.get("CUDA_VISIBLE_DEVICES"))  # which Ray sets for `submit --own-gpus`
    if gpus == 0 or has_own or (gpus <= 1 and _has_gpu()):
        return {}
    return {"CPU": 1.0, "GPU": 1.0 if gpus > 1 else 0.5}


def _has_gpu() -> bool:
    import torch  # imported here: a dry run seldom needs it, and is to start fast

    return torch.cuda.is_available()


def trained(spec: "RunSpec", config: "TrainerConfig", seed: int, room: "Reservation | None", start_s: float) -> Json:
    """Train to the end, here or with workers in their room, and return the summary."""
    if room is None:
        from negsift.trainer.fit import fit  # imported here, as torch above
        from negsift.trainer.trainer import Trainer

        return fit(Trainer(spec, config, seed))
    from negsift.service.cluster.waiting import waiting_told, workers_waiting  # imported here: others need no Ray
    from negsift.trainer.workers import train_together

    room.give()
    with waiting_told(functools.partial(workers_waiting, room.workers, room.each), start_s):
        return train_together(spec, config, seed, room.each, start_s)
