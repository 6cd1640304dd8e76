"""Whether all nodes of a cluster see one folder."""

import os
import tempfile
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from negsift.common.errors import BadInput
from negsift.service.cluster.connect import connect
from negsift.service.cluster.resources import nodes

_ANSWER_S = 15.0


def require_shared(folder: Path, option: str) -> None:
    """Raise BadInput if a node of the cluster does not see what this process writes to `folder`, given by `option`."""
    connect()
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-")  # noqa: SIM115  # closed below
    except OSError as error:
        found = f"{option} {folder} not writable ({error.strerror})"
        raise BadInput(found, "a folder to write to", f"choose another {option}") from None
    try:
        with probe:
            _require_seen(Path(probe.name), f"{option} {folder}", f"choose another {option}")
    except BadInput:
        if made:
            folder.rmdir()
        raise


def require_seen(path: Path, option: str) -> None:
    """Raise BadInput if a node of the cluster does not see the `path`, given by `option`."""
    _require_seen(path, f"{option}={path}", "copy it there, or put it on a disk that all nodes share")


def _require_seen(path: Path, what: str, remedy: str) -> None:
    """A node that does not answer in time is not waited for: whoever needs it will say what is wrong with it."""
    alive = [node for node in nodes() if node["Alive"]]
    if len(alive) < 2:
        return
    look = ray.remote(os.path.exists)
    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in alive]
    tasks = [look.options(num_cpus=0, name="look-for-folder", scheduling_strategy=place) for place in places]
    asked = [task.remote(str(path.absolute())) for task in tasks]
    answered, _ = ray.wait(asked, num_returns=len(asked), timeout=_ANSWER_S)
    names = {answer: node["NodeManagerHostname"] for answer, node in zip(asked, alive, strict=True)}
    blind = sorted(names[answer] for answer in answered if not ray.get(answer))
    if blind:
        found = f"{what}, which {len(blind)} of the {len(alive)} nodes don't see (first: {blind[0]})"
        raise BadInput(found, "a path that all nodes see", remedy)
