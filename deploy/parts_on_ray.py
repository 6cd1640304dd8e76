"""Writes the parts of a bag table on a Ray cluster, whose nodes see both the source and the table's folder."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from negsift.common.data.table.build import RunParts, one_by_one
from negsift.common.data.table.part import PartWriter, WrittenPart
from negsift.common.data.table.sources.source import Part
from negsift.common.errors import BadInput, ServiceError
from negsift.common.threads import torch_threads


def parts_on_ray(workers: int) -> RunParts:
    """What has parts written by tasks of one CPU each, at most `workers` at a time. Raises BadInput for no worker."""
    if workers < 1:
        raise BadInput(f"--workers {workers}", "1 or more", "correct it, or leave it out")

    def run(writer: PartWriter, parts: Mapping[int, Part]) -> Iterator[tuple[int, WrittenPart]]:
        apart = {number: part for number, part in parts.items() if part.files}
        if apart:
            yield from _on_ray(writer, apart, workers)
        yield from one_by_one(writer, {number: part for number, part in parts.items() if number not in apart})

    return run


def write_part(writer: PartWriter, number: int, part: Part) -> WrittenPart:
    """Write a part where this is called, with one thread: so many parts are written side by side."""
    with torch_threads(1):
        return writer.write(number, part.read())


def _on_ray(writer: PartWriter, parts: Mapping[int, Part], workers: int) -> Iterator[tuple[int, WrittenPart]]:
    """Errors in reading are raised as they are. Raises ServiceError for a part that is lost again and again, or whose
    files are not seen here.
    """
    import ray  # imported here: `pool build` alone needs no Ray

    from negsift.service.cluster.connect import connect

    connect()
    task = ray.remote(write_part).options(name="pool-part", num_cpus=1)
    shared, waiting = ray.put(writer), iter(parts.items())
    running, ready = dict[Any, int](), dict[int, Any]()  # Any: ray.ObjectRef

    def start() -> None:
        """Start the part that is ready, and have the next one sent while others are written."""
        running.update({task.remote(shared, number, sent): number for number, sent in ready.items()})
        ready.clear()
        ready.update({number: ray.put(part) for number, part in itertools.islice(waiting, 1)})

    for _ in range(workers + 1):
        start()
    try:
        while running:
            (done,), _ = ray.wait(list(running))
            number = running.pop(done)
            start()
            yield number, _arrived(done, writer)
    finally:
        for reference in running:
            ray.cancel(reference)  # as Ctrl-C: it removes what it was writing
        left = ray.wait(list(running), num_returns=len(running), timeout=_TO_END_S)[1] if running else []
        for reference in left:
            ray.cancel(reference, force=True)


def _arrived(reference: Any, writer: PartWriter) -> WrittenPart:  # Any: as above
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        written: WrittenPart = ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:
        raise ServiceError(f"a part was lost ({str(error).splitlines()[0]})", "start it again: it goes on") from error
    for file in written.files:
        if writer.location.size(file.name) != file.size_bytes:
            found = f"a part written on another node, but no {file.name} in {writer.location.name} here"
            raise BadInput(found, "a folder or URI that all nodes see", "choose another, or leave out --workers")
    return written


_TO_END_S = 10.0
