"""What an exception of Ray's means: repeat the call, an error of ours, or the user's own exception, unchanged."""

from typing import TypeVar

import ray
from ray import ObjectRef
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

T = TypeVar("T")

TRANSIENT = (
    RayActorError, ObjectLostError, NodeDiedError, WorkerCrashedError, OutOfMemoryError, GetTimeoutError,
    ActorUnschedulableError,
)  # fmt: skip
"""A process or a node is gone, or an answer was lost with it: the call can be repeated."""
_FULL = (ObjectStoreFullError, OutOfDiskError)


def reason_to_repeat(error: RayError, name: str) -> str:
    """The reason for which a call to `name` is to be repeated.

    Raises ServiceError where repeating is no use, and what the user's own code raised, unchanged.
    """
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, ActorDiedError):
        raise ServiceError(f"{name} is gone for good ({cause})", "start the sampler again") from error
    if isinstance(cause, _FULL):
        raise _full(f"the answer of {name}") from error
    if isinstance(cause, TRANSIENT):
        return type(cause).__name__
    raise cause from error


def put(value: T, name: str) -> ObjectRef[T]:
    """A reference to `value` in the object store; raises ServiceError if neither it nor the disk has room."""
    try:
        return ray.put(value)
    except _FULL as error:
        raise _full(name) from error


def get(reference: ObjectRef[T], timeout_s: float | None, name: str, remedy: str) -> T:
    """The value of a reference that the actor `name` answers with.

    Raises TimeoutError after `timeout_s`, ServiceError with `remedy` if the actor is gone, and what was raised
    in it, unchanged.
    """
    try:
        return ray.get(reference, timeout=timeout_s)
    except GetTimeoutError:
        raise TimeoutError from None
    except RayTaskError as error:
        raise error.cause from error
    except (RayActorError, ObjectLostError) as error:
        raise ServiceError(f"{name} is gone ({error})", remedy) from error


def _full(name: str) -> ServiceError:
    return ServiceError(
        f"no room for {name} in Ray's object store, nor on its disk",
        "start Ray with a larger --object-store-memory, free the disk, or lower k or --set fleet.gather_mb",
    )
