"""A selection under way in an actor."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray import ObjectRef

from negsift.common.errors import ServiceError, StillRunning
from negsift.common.types import Selection
from negsift.service.cluster.errors import get
from negsift.service.cluster.resources import describe_cluster


@dataclass(frozen=True)
class RayPending:
    """The answer of the actor `name`, which `read` makes into a selection; an error if it isn't there at `until`.

    `until` is in monotonic seconds, None: no limit. `weights` keeps their reference alive while the round may need it.
    """

    answer: ObjectRef[Any]  # Any: what `read` takes
    read: Callable[[Any], Selection]
    name: str
    remedy: str
    until: float | None = None
    weights: ObjectRef[Any] | None = None  # Any: weights

    def result(self, timeout_s: float | None = None, /) -> Selection:
        """Wait for it. Raises StillRunning after `timeout_s`; ServiceError if the actor is gone or its time is up."""
        if timeout_s is not None or self.until is None:
            return self.read(get(self.answer, timeout_s, self.name, self.remedy))
        try:
            return self.read(get(self.answer, max(0.0, self.until - time.monotonic()), self.name, self.remedy))
        except StillRunning:
            raise ServiceError(
                f"no answer from {self.name} within the time of its rounds; {describe_cluster()}",
                "bring lost nodes back or add one, or raise fleet.deadline_s",
            ) from None
