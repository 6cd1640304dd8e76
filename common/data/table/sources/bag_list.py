"""The list of a folder's bags: a CSV or parquet file beside their files, with the labels, split and group of each."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from negsift.common.data.files_below import endings_below
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.sources.split_names import stated_split
from negsift.common.data.table.sources.tabular_files import (
    TABLE_ENDINGS,
    describe_rows,
    is_table,
    label_reader,
    read_batches,
    require_same,
)
from negsift.common.errors import BadData
from negsift.common.some_of import some_of

log = logging.getLogger(__name__)
_ENDINGS = (
    ".npy", ".npz", ".h5", ".hdf5", ".pt", ".pth", ".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".vms",
    ".dcm", ".czi", ".jpg", ".jpeg", ".png", ".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".webm", ".aac",
)  # fmt: skip
"""What lists leave on the ids of slides and clips."""
_NO_LISTS = ("class_labels_indices.csv",)
"""Tables of the names of classes."""


class Described(NamedTuple):
    """What a list says of a bag; `labels` is None for an unlabeled one."""

    labels: list[str] | None = None
    split: str | None = None
    group_id: str | None = None


@dataclass(frozen=True)
class BagList:
    """The rows of a list, or of several, by id."""

    paths: Sequence[Path]
    rows: Mapping[str, Described] = field(default_factory=dict)

    def match(self, files: Mapping[str, Path]) -> tuple[Mapping[Path, Described], list[str]]:
        """The rows by file, which may have several ids, and a line for each row without one. An id with the ending of a
        file means the one without it, unless there is such a file. Raises BadData for rows that mean one file and
        disagree, for a row that names one of several files but not which, and where more than half of the rows have no
        file: it may be the list of other files.
        """
        matched, missing = dict[Path, Described](), list[str]()
        for id, row in self.rows.items():
            known = id if id in files else without_ending(id)
            if known not in files:
                missing.append(id)
                continue
            other = matched.setdefault(files[known], row)
            for name, one, two in zip(Described._fields, other, row, strict=True):
                require_same(known, name, one, two)
        if missing:
            self._require_files(missing, files)
        names = some_of((path.name for path in self.paths), 3)
        return matched, [f"{id}: no file, but a row of {names}" for id in missing]

    def _require_files(self, missing: Sequence[str], files: Mapping[str, Path]) -> None:
        wanted, named = {without_ending(id) for id in missing}, dict[str, list[Path]]()
        for path in dict.fromkeys(files.values()):
            if path.stem in wanted:
                named.setdefault(path.stem, []).append(path)
        lists = some_of(self.paths, 3)
        for id, paths in named.items():
            names = some_of((f"{path.parent.name}/{path.name}" for path in paths), 3)
            found = f"bag {id!r} of {lists}, which has the files {names}"
            raise BadData(found, "a file for each", "name files of one name by their folders")
        if len(missing) > len(self.rows) - len(missing):
            found = f"{len(missing)} of {len(self.rows)} rows of {lists} without a file (first: {missing[0]})"
            expected = f"names of files, such as {some_of(files, 2)}, in most rows"
            raise BadData(found, expected, "correct it, or set id_column=NAME")


def find_lists(root: Path, config: BuildConfig, besides: Path | None = None) -> Sequence[Path]:
    """The lists that `config.labels` names, in the working directory or else in `root`; or else labels.csv, or else the
    only table in `root` itself, or else all tables there if the name of each states a split; `besides` is none. Raises
    BadData for a list that is not there, and for several that are called labels.
    """
    if config.labels:
        whole = any(path.exists() for path in _places(config.labels, root))
        return [_stated(name, root) for name in ([config.labels] if whole else config.labels.split(","))]
    tables = [path for path in tables_in(root) if path != besides]
    named = [path for path in tables if path.name.lower().startswith("labels.")]
    if len(named) > 1:
        names = " and ".join(path.name for path in named)
        raise BadData(f"{names} in {root}", "one list of labels", "say which: labels=FILE")
    return named or (tables if len(tables) == 1 or all(map(stated_split, tables)) else [])


def _places(name: str, root: Path) -> tuple[Path, Path]:
    """What a stated list may be: a path as it is, and one below `root`."""
    path = Path(name).expanduser()
    return path, root / path


def _stated(name: str, root: Path) -> Path:
    here, below = _places(name, root)
    if not here.exists() and not below.exists():
        tables = tables_in(root)
        beside = f", but {some_of(path.name for path in tables)}" if tables else ""
        raise BadData(f"no {name} in the working directory or in {root}{beside}", "a list of labels", "correct labels=")
    if here.exists() and below.exists() and not here.samefile(below):
        log.info("labels are those of %s in the working directory, not of %s", here, below)
    return here if here.exists() else below


def tables_in(root: Path) -> Sequence[Path]:
    """The visible tables in a folder itself, sorted, which may be lists."""
    found = endings_below(root)
    fitting = (path for ending in TABLE_ENDINGS for path in found.get(ending, ()))
    return sorted(path for path in fitting if path.parent == root and is_table(path) and path.name not in _NO_LISTS)


def read_lists(paths: Sequence[Path], config: BuildConfig) -> BagList:
    """The lists at `paths` as one. A bag without a split has the one that its list's name states. Raises BadData for a
    list that can't be read, and for two rows of a bag that disagree.
    """
    rows = dict[str, Described]()
    for path in paths:
        table = read_rows(path, config)
        for row in describe_rows(table, config, label_reader(table.schema, path, config)).to_pylist():
            described = Described(row["labels"], row.get("split") or stated_split(path), row.get("group_id"))
            for name, one, other in zip(
                Described._fields, rows.setdefault(row["bag_id"], described), described, strict=True
            ):
                require_same(row["bag_id"], name, one, other)
    return BagList(paths, rows)


def read_rows(path: Path, config: BuildConfig) -> pa.Table:
    """All rows of a list, columns besides ids and labels as text. Raises BadData as `read_batches` does."""
    if not config.labels and path.name != "labels.csv":
        log.info("labels are those of %s", path)
    try:
        return pa.concat_tables(read_batches(path, config, pa.string()))
    except BadData as error:
        remedy = error.remedy if config.labels else f"{error.remedy}; or move it away, if it is no list"
        raise BadData(error.found, error.expected, remedy) from None


def without_ending(id: str) -> str:
    """An id without the ending of a slide's, an image's, a clip's or an array's file."""
    path = Path(id)
    return id[: -len(path.suffix)] if path.suffix.lower() in _ENDINGS else id
