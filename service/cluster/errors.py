"""What an exception from Ray means: try again, an error of ours, or the user's own, as it is."""

from typing import Any

import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnschedulableError,
    GetTimeoutError,
    NodeDiedError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from negsift.common.errors import ServiceError

PASSING = (
    RayActorError, ObjectLostError, NodeDiedError, WorkerCrashedError, OutOfMemoryError, GetTimeoutError,
    ActorUnschedulableError,
)  # fmt: skip
"""A process or a node is gone, or an answer went with it: the call can be repeated."""
_FULL = (ObjectStoreFullError, OutOfDiskError)


def reason_to_repeat(error: RayError, who: str) -> str:
    """Why a call of `who` is to be repeated.

    Raises ServiceError where that is no use, and what the user's own code raised as it is.
    """
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, ActorDiedError):
        raise ServiceError(f"{who} is gone for good ({cause})", "start the sampler again") from error
    if isinstance(cause, _FULL):
        raise _full(f"the answer of {who}") from error
    if isinstance(cause, PASSING):
        return type(cause).__name__
    raise cause from error


def put(value: object, what: str) -> Any:  # Any: ray.ObjectRef
    """A reference to `value` in the object store; raises ServiceError if neither it nor the disk has room."""
    try:
        return ray.put(value)
    except _FULL as error:
        raise _full(what) from error


def cluster_line() -> str:
    """How many nodes are alive and what is free on them, for messages."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    free = ray.available_resources()  # type: ignore[no-untyped-call]  # the same
    alive = sum(node["Alive"] for node in nodes)
    gone = f", {len(nodes) - alive} gone" if len(nodes) > alive else ""
    return f"the cluster has {alive} nodes{gone}, {free.get('CPU', 0.0):g} CPU and {free.get('GPU', 0.0):g} GPU free"


def _full(what: str) -> ServiceError:
    return ServiceError(
        f"no room for {what} in Ray's object store, nor on its disk",
        "start Ray with a larger --object-store-memory, free the disk, or lower k or --set fleet.gather_mb",
    )
