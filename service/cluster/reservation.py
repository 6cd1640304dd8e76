"""Keeps room on the cluster for a trainer until it starts, so that scorers which start before leave it."""

import functools
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ray.util import placement_group, remove_placement_group
from ray.util.placement_group import PlacementGroup

from negsift.common.errors import ServiceError
from negsift.service.cluster.occupancy import TRAINER
from negsift.service.cluster.resources import describe_room
from negsift.service.cluster.waiting import waiting_told, workers_waiting


@dataclass
class Reservation:
    """Room for `workers` that need `each`, on as few nodes as there can be; none once it is given to them."""

    workers: int
    each: Mapping[str, float]
    group: PlacementGroup | None = None

    def give(self) -> None:
        """Let the workers take it: to be called when they start."""
        if self.group is not None:
            remove_placement_group(self.group)
            self.group = None


@contextmanager
def reserved(workers: int, each: Mapping[str, float], limit_s: float) -> Iterator[Reservation]:
    """Keep the room, for no longer than the context.

    Workers that need nothing get nothing. Who waits for it, and for whom, is told in the log. Raises ServiceError where
    there is none for `limit_s` seconds.
    """
    if not any(each.values()):
        yield Reservation(workers, each)
        return
    group = placement_group([dict(each)] * workers, "PACK", f"{TRAINER}{uuid.uuid4().hex[:6]}")
    reservation = Reservation(workers, each, group)
    try:
        with waiting_told(functools.partial(workers_waiting, workers, each), limit_s):
            if not group.wait(limit_s):
                found = f"trainer workers had no room for {limit_s:g} s; {describe_room()}"
                raise ServiceError(found, "wait until there is, lower training.workers, or add nodes")
        yield reservation
    finally:
        reservation.give()
