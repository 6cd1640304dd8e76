"""The manifest: the Parquet files of one version of a table, their row groups, and hashes of their content.

What a manifest says is checked before any file is opened: it may come from somebody else, and name only files of its
own folder. Files are only ever added. Version n + 1 lists the files of version n first, so the position of a bag never
changes. A manifest is a JSON file such as `manifest-000001.json`, written after all files that it lists.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from negsift.common.data.class_names import class_number
from negsift.common.data.table.location import Location
from negsift.common.data.table.schema import SCHEMA, Payload, SoundFormat
from negsift.common.errors import BadData, BadInput

T = TypeVar("T")
_NAME = "manifest-{:06d}.json"
_REBUILD = "restore it, or rebuild the table"


@dataclass(frozen=True)
class RowGroup:
    """A row group: the range of its bytes in the file, their SHA-256, and its numbers of bags and instances."""

    start: int
    size_bytes: int
    rows: int
    instances: int
    digest: str

    def __post_init__(self) -> None:
        _require_count("start", self.start, 0)
        _require_count("size_bytes", self.size_bytes, 1)
        _require_count("rows", self.rows, 1)
        _require_count("instances", self.instances, self.rows)
        _require_digest(self.digest)


@dataclass(frozen=True)
class TableFile:
    """A Parquet file; `digest` is the SHA-256 of its footer, which is everything after the last row group."""

    name: str
    size_bytes: int
    digest: str
    groups: tuple[RowGroup, ...]

    def __post_init__(self) -> None:
        _require(_is_file_name(self.name), f"file name {self.name!r:.80}")
        _require_digest(self.digest)
        _require_count(f"size_bytes of {self.name}", self.size_bytes, self.footer + 1)
        for one, other in itertools.pairwise(self.groups):
            _require(one.start + one.size_bytes <= other.start, f"row groups of {self.name} that overlap")

    @property
    def footer(self) -> int:
        """The position in the file where the footer begins."""
        return max((group.start + group.size_bytes for group in self.groups), default=0)


@dataclass(frozen=True)
class Manifest:
    """One version of a table. `classes` are all labels of its bags and those that were declared when it was built.
    `left_out` has a line for everything in the sources that did not become a bag, with the reason; `images` are the
    files of the instance table.
    """

    version: int
    payload: Payload
    classes: tuple[str, ...]
    files: tuple[TableFile, ...]
    left_out: tuple[str, ...] = ()
    images: tuple[TableFile, ...] = ()

    @functools.cached_property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """All row groups in order, each as (file, group in it)."""
        return tuple((number, group) for number, file in enumerate(self.files) for group in range(len(file.groups)))

    def group(self, place: tuple[int, int]) -> RowGroup:
        """The row group at (file, group in it)."""
        return self.files[place[0]].groups[place[1]]

    @property
    def digest(self) -> str:
        """A hash of the manifest, which holds hashes of all files."""
        content = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    @property
    def content(self) -> str:
        """A hash of the bags in their order, whatever the names of the files: a table built again from the same sources
        by the same rules has the same one.
        """
        groups = [[group.digest for group in file.groups] for file in (*self.files, *self.images)]
        content = json.dumps([dataclasses.asdict(self.payload), self.classes, groups], sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    @property
    def instance_table(self) -> "Manifest":
        """The instance table as a table of its own, whose bags are single images."""
        return Manifest(self.version, self.payload.instance_payload, (), self.images)

    @property
    def dropped(self) -> tuple[str, ...]:
        """`left_out`, under the name that all descriptions of data have."""
        return self.left_out

    def class_of(self, target: str, name: str) -> int:
        """The number of a class by its name or number; messages call the table `name`. Raises UnknownName, BadInput for
        none, and BadData for a table without labels.
        """
        if not self.classes:
            raise BadData(f"no label in {name}", "at least one bag with a label", "rebuild the table with labels")
        return class_number(target, self.classes)

    @property
    def rows(self) -> int:
        """The number of bags."""
        return sum(group.rows for file in self.files for group in file.groups)

    @property
    def instances(self) -> int:
        """The number of instances, repeated ones included."""
        return sum(group.instances for file in self.files for group in file.groups)

    @property
    def size_bytes(self) -> int:
        """The size of all files, those of the instance table included."""
        return sum(file.size_bytes for file in (*self.files, *self.images))


def versions(location: Location) -> list[int]:
    """The versions of the table in a folder, ascending; empty where there is no table."""
    numbers = [name[len("manifest-") : -len(".json")] for name in location.files() if name.startswith("manifest-")]
    return sorted(int(number) for number in numbers if number.isdigit())


def read_manifest(location: Location, version: int | None = None) -> Manifest:
    """The manifest of a version, by default the newest. Raises BadData if it is missing or malformed."""
    known = versions(location)
    if not known:
        raise BadData(f"no bag table at {location.name}", "a folder with a manifest", "make one with `pool build`")
    version = known[-1] if version is None else version
    if version not in known:
        expected = f"one of {known[0]} to {known[-1]}"
        raise BadData(f"no version {version} of {location.name}", expected, "name another version")
    name = _NAME.format(version)
    try:
        return _from_json(json.loads(location.read(name).to_pybytes()), version)
    except BadInput:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else repr(error)
        found = f"{location.name}/{name}, unreadable ({reason:.200})"
        raise BadData(found, f"a manifest of {SCHEMA}", _REBUILD) from None


def write_manifest(location: Location, manifest: Manifest) -> None:
    """Publish a version. Raises BadData if another writer has taken its number in the meantime."""
    content = json.dumps({"schema": SCHEMA, **dataclasses.asdict(manifest)}, indent=1).encode()
    try:
        location.write(_NAME.format(manifest.version), content)
    except FileExistsError:
        found = f"version {manifest.version} of {location.name}, which another program has written in the meantime"
        raise BadData(found, "one writer at a time", "nothing was added; start it again") from None


def _from_json(content: dict[str, Any], version: int) -> Manifest:  # Any: JSON
    if content["schema"] != SCHEMA:
        raise KeyError(content["schema"])
    described = content["payload"]
    sound = SoundFormat(**described["sound"]) if described.get("sound") else None
    payload = Payload(described["column"], described["dtype"], _tuple(described["shape"], int), sound)
    files, images = (tuple(map(table_file, _tuple(content.get(key, []), dict))) for key in ("files", "images"))
    names = [file.name for file in (*files, *images)]
    _require(bool(files), "no files")
    _require(bool(images) == payload.views, f"{len(images)} files of images for {payload.column}")
    _require(len(names) == len(set(names)), "a file twice")
    _require(content["version"] == version, f"version {content['version']!r:.80}")
    classes, left_out = _tuple(content["classes"], str), _tuple(content.get("left_out", []), str)
    return Manifest(version, payload, classes, files, left_out, images)


def table_file(content: dict[str, Any]) -> TableFile:  # Any: JSON
    """A file as JSON describes it. Raises ValueError, KeyError or TypeError if that can't be."""
    groups = tuple(RowGroup(**group) for group in _tuple(content["groups"], dict))
    _require(bool(groups), "a file without row groups")
    return TableFile(content["name"], content["size_bytes"], content["digest"], groups)


def _tuple(value: object, kind: type[T]) -> tuple[T, ...]:
    """The parts of a JSON array, all of one kind."""
    _require(isinstance(value, list) and all(type(part) is kind for part in value), f"{value!r:.80}")
    return tuple(value)  # type: ignore[arg-type]  # a list, as was just required


def _is_file_name(name: object) -> bool:
    """Whether it is a name within the folder: no path, drive, URI or hidden file, nothing that a terminal acts on."""
    return isinstance(name, str) and name.isprintable() and bool(re.fullmatch(r"[^./\\:][^/\\:]{0,254}", name))


def _require_count(what: str, value: object, least: int) -> None:
    _require(type(value) is int and least <= value < 1 << 63, f"{what} {value!r:.80}")


def _require_digest(digest: object) -> None:
    """Require a SHA-256; it becomes a file name of the cache."""
    _require(isinstance(digest, str) and bool(re.fullmatch("[0-9a-f]{64}", digest)), f"digest {digest!r:.80}")


def _require(fits: bool, found: str) -> None:
    if not fits:
        raise ValueError(found)
