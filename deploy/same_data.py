"""Whether the data of a run are those that it began with, by digests that its folder keeps."""

import logging
from collections.abc import Callable

from negsift.common.data.config import DataConfig
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.errors import BadInput
from negsift.common.some_of import some_of
from negsift.trainer.folder import Json, RunFolder

log = logging.getLogger(__name__)
FILE = "digests.json"
Digests = Callable[[], Json]
"""Gives the digest of each part of a split."""


def data_digests(config: DataConfig, digests: Digests) -> Json:
    """What identifies the data, wherever they lie. Of a bag table its manifest says so, and no bag is opened; else it
    needs the `digests` of the split. Raises BadInput as the dataset's `load` does.
    """
    return _table_digest(config) if config.name == "table" else digests()


def require_same_data(folder: RunFolder, config: DataConfig, digests: Digests) -> None:
    """Raise BadInput where the folder has a run of other data, and as `data_digests`; the data of older runs are not
    known, and pass.
    """
    recorded = folder.read_json(FILE)
    if recorded is not None:
        _compare(folder, config, recorded, data_digests(config, digests))


def require_same_table(folder: RunFolder, config: DataConfig) -> None:
    """The same where it takes no bag: for a bag table."""
    recorded = folder.read_json(FILE)
    if recorded is not None and config.name == "table":
        _compare(folder, config, recorded, _table_digest(config))


def require_unchanged(folder: RunFolder, config: DataConfig, digests: Digests) -> None:
    """The same for a finished run, whose data may be gone: the log says that they can't be compared."""
    recorded = folder.read_json(FILE)
    if recorded is None:
        return
    try:
        now = data_digests(config, digests)
    except BadInput as error:
        log.info("whether its data are still the same can't be said: %s", error.found)
        return
    _compare(folder, config, recorded, now)


def record_data(folder: RunFolder, config: DataConfig, digests: Digests) -> None:
    """Keep the digests in the folder of a run that begins; those of one that goes on stay."""
    if folder.read_json(FILE) is None:
        folder.write_json(FILE, data_digests(config, digests))


def _table_digest(config: DataConfig) -> Json:
    return {"table": read_manifest(Location.of(config.root or ""), config.version).content}


def _compare(folder: RunFolder, config: DataConfig, recorded: Json, now: Json) -> None:
    others = [part for part in sorted(recorded.keys() | now.keys()) if recorded.get(part) != now.get(part)]
    if others:
        where = config.root or config.name
        raise BadInput(
            f"other data in {where} than the run in {folder.path} began with ({some_of(others)} changed)",
            "the same data", "restore them, choose another --out, or remove the run",
        )  # fmt: skip
