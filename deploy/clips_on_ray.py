"""Decodes clips on the nodes of a Ray cluster that see both the clips and the cache folder."""

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from negsift.common.data.audio.store import CachePlan, remote_decoding
from negsift.common.threads import torch_threads
from negsift.service.config import FleetConfig

log = logging.getLogger(__name__)
_PATIENCE_S = 180.0


@contextmanager
def decoded_on_ray(fleet: FleetConfig) -> Iterator[None]:
    """Within it, clips are decoded on the cluster if scorers are there too, else by this machine alone."""
    before = remote_decoding.set(parts_on_ray) if fleet.on_ray else None
    try:
        yield
    finally:
        if before is not None:
            remote_decoding.reset(before)


def parts_on_ray(plan: CachePlan, missing: Sequence[int]) -> Iterator[int]:
    """Have tasks of one CPU each make the missing parts, and yield the numbers of those made.

    A part that its node can't make, or that is lost with its node, is left out. So are all that remain once no
    part was made for `_PATIENCE_S`: the cluster has no room. Errors in decoding are raised as they are.
    """
    import ray  # imported here: without clips to decode there is no need to join a cluster yet

    from negsift.service.cluster.connect import connect

    connect()
    mark = plan.folder / f".{uuid.uuid4().hex}"
    mark.touch()
    try:
        plan_ref, make = ray.put(plan), ray.remote(make_part)
        waiting = [make.options(name="decode-clips", num_cpus=1).remote(plan_ref, part, mark) for part in missing]
        while waiting:
            ready, waiting = ray.wait(waiting, timeout=_PATIENCE_S)
            if not ready:
                log.warning("no part of the clips made on the cluster for %d s: the rest is made here", _PATIENCE_S)
                break
            part = _arrived(ready[0])
            if part is not None:
                yield part
        for reference in waiting:
            ray.cancel(reference, force=True)
    finally:
        mark.unlink(missing_ok=True)


def _arrived(reference: Any) -> int | None:  # Any: ray.ObjectRef
    """The part that was made, if it was."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        part: int | None = ray.get(reference)
        return part
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:  # lost with its worker or node
        log.warning("a part of the clips is made here, a worker was lost: %s", str(error).splitlines()[0])
        return None


def make_part(plan: CachePlan, part: int, mark: Path) -> int | None:
    """The part once it is made; None on a node that doesn't see `mark`'s folder or the clips."""
    recordings = plan.recordings[part * plan.size :][: plan.size]
    if not mark.exists() or not all(recording.path.exists() for recording in recordings):
        return None
    with torch_threads(1):  # as everywhere, so that the numbers are the same
        return plan[part]
