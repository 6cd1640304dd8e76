"""What a run is called outside its folder, so that a resumed run goes on as the same."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from negsift.common.overrides import flat
from negsift.trainer.folder import Json, RunFolder

_FILE = "loggers.json"


@dataclass(frozen=True)
class RunIdentity:
    """A run's `name`, and its `id` and `project` with the services that it logs to; `config` is sent there once."""

    id: str
    name: str
    project: str
    folder: Path
    config: Json


def identify(folder: RunFolder, project: str, config: Json) -> RunIdentity:
    """The identity of the run in a folder: the one it had before, or a new one, which is written there."""
    stored = folder.read_json(_FILE) or {"id": uuid.uuid4().hex}
    if not isinstance(stored.get("id"), str):
        raise folder.damaged(_FILE, "without an id")
    folder.write_json(_FILE, stored)
    path = folder.path.resolve()
    return RunIdentity(stored["id"], path.name, project, path, flat(config))
