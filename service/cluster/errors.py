"""What an exception of Ray's means: repeat the call, an error of ours, or the user's own exception, unchanged."""

from typing import TypeVar

import ray
from ray import ObjectRef, exceptions
from ray.exceptions import RayActorError, RayError, RayTaskError

from negsift.common.errors import ServiceError, StillRunning

T = TypeVar("T")

TRANSIENT = (
    RayActorError, exceptions.ObjectLostError, exceptions.NodeDiedError, exceptions.WorkerCrashedError,
    exceptions.OutOfMemoryError, exceptions.GetTimeoutError, exceptions.ActorUnschedulableError,
)  # fmt: skip
"""A process or a node is gone, or an answer was lost with it: the call can be repeated."""
_FULL = (exceptions.ObjectStoreFullError, exceptions.OutOfDiskError)


def reason_to_repeat(error: RayError, name: str) -> str:
    """Why a call to `name` is to be repeated; raises ServiceError if that is no use, and the user's own errors."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, exceptions.ActorDiedError):
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
    """The answer of the actor `name`.

    Raises StillRunning after `timeout_s`, ServiceError with `remedy` if it is gone, and its own errors, unchanged.
    """
    try:
        return ray.get(reference, timeout=timeout_s)
    except exceptions.GetTimeoutError:
        raise StillRunning(f"no answer from {name} within {timeout_s} s") from None
    except RayTaskError as error:
        raise error.cause from error
    except (RayActorError, exceptions.ObjectLostError) as error:
        raise ServiceError(f"{name} is gone ({error})", remedy) from error


def _full(name: str) -> ServiceError:
    return ServiceError(
        f"no room for {name} in Ray's object store, nor on its disk",
        "start Ray with a larger --object-store-memory, free the disk, or lower k or fleet.gather_mb",
    )
