"""The start of a group of scorers: each makes its shard, and again if it is killed before it is done."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import ActorDiedError, RayError

from negsift.common.errors import ServiceError
from negsift.service.cluster.actor_records import actor_id, being_restarted
from negsift.service.cluster.connect import require_importable
from negsift.service.cluster.errors import reason_to_repeat
from negsift.service.cluster.references import SpecRef

log = logging.getLogger(__name__)
_TICK_S = 0.2


class StartUp:
    """The scorers that are to make their shards of `spec`, those that do, and those that were lost meanwhile."""

    def __init__(self, scorers: Sequence[Any], spec: SpecRef | None) -> None:  # Any: actor handles
        self._scorers, self._spec = scorers, spec
        self._builds: dict[ObjectRef[None], int] = {}
        self._lost, self._losses = set(range(len(scorers))), Counter[str]()

    @property
    def missing(self) -> int:
        """The number of scorers that aren't ready."""
        return len(self._builds) + len(self._lost)

    def step(self) -> None:
        """Have scorers begin that don't, where their process isn't gone; then wait a moment for those that are done.

        Raises what goes wrong in a scorer, unchanged; ServiceError for one that can't be made.
        """
        gone = being_restarted() if self._losses else ()
        for number in [each for each in self._lost if actor_id(self._scorers[each]) not in gone]:
            self._lost.remove(number)
            self._builds[self._scorers[number].build.remote(self._spec)] = number
        for build in ray.wait(list(self._builds), timeout=_TICK_S)[0] if self._builds else ():
            self._take(build, self._builds.pop(build))
        if self._lost:
            time.sleep(_TICK_S)

    def describe_losses(self) -> str:
        """How often scorers were lost, and by what, in brackets; nothing if none was."""
        times = ", ".join(f"{reason} {count} times" for reason, count in self._losses.items())
        return f" (lost on the way: {times})" if times else ""

    def _take(self, build: ObjectRef[None], number: int) -> None:
        try:
            ray.get(build)
        except ActorDiedError as error:
            require_importable()
            raise ServiceError(f"a scorer can't be built ({error})", "see the cause above") from error
        except RayError as error:
            reason = reason_to_repeat(error, f"scorer-{number}")
            if not self._losses:
                require_importable()  # without negsift on its node, a scorer would be restarted again and again
            log.warning("scorer-%d is lost while it starts: %s", number, reason)
            self._lost.add(number)
            self._losses[reason] += 1
