"""The manifest: which Parquet files make up a version of a table, their row groups, and hashes of their content.

Files are only ever added; version n + 1 lists those of version n first, so that the place of a bag
never changes. A manifest is a JSON file `manifest-000001.json`, written last, under a name of its own.
"""

import dataclasses
import functools
import json
from dataclasses import dataclass
from typing import Any

from negsift.common.data.table.location import Location
from negsift.common.data.table.schema import SCHEMA, Payload, Sound
from negsift.common.errors import BadData

_NAME = "manifest-{:06d}.json"
_REBUILD = "bring it back, or build the table anew"


@dataclass(frozen=True)
class RowGroup:
    """A row group: where its bytes lie in the file, their SHA-256, its bags and their instances."""

    start: int
    size_bytes: int
    rows: int
    instances: int
    digest: str


@dataclass(frozen=True)
class File:
    """A Parquet file; `digest` is the SHA-256 of its footer, all that follows the last row group."""

    name: str
    size_bytes: int
    digest: str
    groups: tuple[RowGroup, ...]

    @property
    def footer(self) -> int:
        """Where the footer begins."""
        return max((group.start + group.size_bytes for group in self.groups), default=0)


@dataclass(frozen=True)
class Manifest:
    """One version of a table; `classes` are all labels of its bags, and those declared when it was built.

    `left_out` tells what of the sources is no bag, and why; `images` are the files of the instance table.
    """

    version: int
    payload: Payload
    classes: tuple[str, ...]
    files: tuple[File, ...]
    left_out: tuple[str, ...] = ()
    images: tuple[File, ...] = ()

    @functools.cached_property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """All row groups in order, each as (file, group in it)."""
        return tuple((number, group) for number, file in enumerate(self.files) for group in range(len(file.groups)))

    def group(self, place: tuple[int, int]) -> RowGroup:
        """The row group at (file, group in it)."""
        return self.files[place[0]].groups[place[1]]

    @property
    def viewed(self) -> "Manifest":
        """The instance table, as if it were a version of a table of its own."""
        return Manifest(self.version, self.payload.viewed, (), self.images)

    @property
    def rows(self) -> int:
        """How many bags."""
        return sum(group.rows for file in self.files for group in file.groups)

    @property
    def instances(self) -> int:
        """How many instances."""
        return sum(group.instances for file in self.files for group in file.groups)

    @property
    def size_bytes(self) -> int:
        """What the files take."""
        return sum(file.size_bytes for file in (*self.files, *self.images))


def versions(where: Location) -> list[int]:
    """The versions of the table at a place, ascending; none where there is no table."""
    found = [name[len("manifest-") : -len(".json")] for name in where.files() if name.startswith("manifest-")]
    return sorted(int(number) for number in found if number.isdigit())


def read_manifest(where: Location, version: int | None = None) -> Manifest:
    """A version's manifest, the newest by default; raises BadData if there is none, or it isn't one."""
    known = versions(where)
    if not known:
        raise BadData(f"no bag table at {where.name}", "a folder with a manifest", "make one with `pool build`")
    version = known[-1] if version is None else version
    if version not in known:
        raise BadData(f"no version {version} of {where.name}", f"one of {known[0]} to {known[-1]}", "ask for another")
    name = _NAME.format(version)
    try:
        return _from_json(json.loads(where.read(name).to_pybytes()))
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{where.name}/{name}, unreadable ({error!r})", f"a manifest of {SCHEMA}", _REBUILD) from None


def write_manifest(where: Location, manifest: Manifest) -> None:
    """Make a version visible; raises BadData if another writer took its number meanwhile."""
    name = _NAME.format(manifest.version)
    if name in where.files():
        raise BadData(
            f"version {manifest.version} of {where.name} already there", "one writer at a time", "append again"
        )
    text = json.dumps({"schema": SCHEMA, **dataclasses.asdict(manifest)}, indent=1)
    where.write(name, text.encode())


def _from_json(found: dict[str, Any]) -> Manifest:  # Any: JSON
    if found["schema"] != SCHEMA:
        raise KeyError(found["schema"])
    told = found["payload"]
    sound = Sound(**told["sound"]) if told.get("sound") else None
    payload = Payload(told["column"], told["dtype"], tuple(told["shape"]), sound)
    files, images = (tuple(map(_file, each)) for each in (found["files"], found.get("images", ())))
    return Manifest(
        found["version"], payload, tuple(found["classes"]), files, tuple(found.get("left_out", ())), images
    )  # fmt: skip


def _file(found: dict[str, Any]) -> File:  # Any: JSON
    return File(
        found["name"], found["size_bytes"], found["digest"], tuple(RowGroup(**group) for group in found["groups"])
    )
