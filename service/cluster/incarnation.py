"""What Ray's own records say of the restarts of actors."""

from dataclasses import dataclass
from typing import Any, Self

import ray
from ray._private.state import actors  # the public form needs the dashboard


@dataclass(frozen=True)
class Incarnation:
    """An actor, and how often Ray had restarted it when this process of it began."""

    actor: str
    restarts: int

    @classmethod
    def of_this_process(cls) -> Self:
        """That of the actor which runs in this process."""
        actor = str(ray.get_runtime_context().get_actor_id())
        return cls(actor, int(actors(actor)["NumRestarts"]))


def being_restarted() -> set[str]:
    """The actors of this job whose process is gone and not there again; calls to them fail seconds later only."""
    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    return set(actors(job_id=job, actor_state_name="RESTARTING"))


def actor_id(handle: Any) -> str:  # Any: an actor handle
    """The actor's name in those records."""
    return str(handle._actor_id.hex())
