"""What Ray's own records say of actors and their restarts."""

from typing import Any

import ray
from ray._private.state import actors  # the public form needs the dashboard

from negsift.service.fleet.recovery_ledger import Incarnation


def own_incarnation() -> Incarnation:
    """That of the actor which runs in this process."""
    actor = str(ray.get_runtime_context().get_actor_id())
    return Incarnation(actor, int(actors(actor)["NumRestarts"]))


def being_restarted() -> set[str]:
    """The actors of this job whose process is gone and not there again; calls to them fail seconds later only."""
    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    return set(actors(job_id=job, actor_state_name="RESTARTING"))


def actor_id(handle: Any) -> str:  # Any: an actor handle
    """The actor's name in those records."""
    return str(handle._actor_id.hex())
