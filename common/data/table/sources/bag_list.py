"""The list of a folder's bags: a CSV or parquet file beside their files, with the labels, split and group of each."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.sources.tabular_files import (
    describe_rows,
    is_table,
    label_reader,
    read_batches,
    require_same,
)
from negsift.common.errors import BadData

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
    """The rows of a list by id."""

    path: Path
    rows: Mapping[str, Described] = field(default_factory=dict)

    def match(self, files: Mapping[str, Path]) -> tuple[Mapping[str, Described], list[str]]:
        """The rows by those ids that `files` have, and a line for each row without a file. An id with the ending of a
        file means the one without it, unless there is such a file. Raises BadData for rows that mean one file and
        disagree, for a row that names one of several files but not which, and where more than half of the rows have no
        file: it may be the list of other files.
        """
        matched, missing = dict[str, Described](), list[str]()
        for id, row in self.rows.items():
            known = id if id in files else _without_ending(id)
            if known not in files:
                missing.append(id)
                continue
            other = matched.setdefault(known, row)
            for name, one, two in zip(Described._fields, other, row, strict=True):
                require_same(known, name, one, two)
        self._require_files(missing, files)
        return matched, [f"{id}: no file, but a row of {self.path.name}" for id in missing]

    def _require_files(self, missing: Sequence[str], files: Mapping[str, Path]) -> None:
        wanted, named = {_without_ending(id) for id in missing}, dict[str, list[Path]]()
        for path in dict.fromkeys(files.values()):
            if path.stem in wanted:
                named.setdefault(path.stem, []).append(path)
        for id, paths in named.items():
            names = ", ".join(f"{path.parent.name}/{path.name}" for path in paths[:3])
            found = f"bag {id!r} of {self.path}, which has the files {names}"
            raise BadData(found, "a file for each", "name files of one name by their folders")
        if len(missing) > len(self.rows) - len(missing):
            found = f"{len(missing)} of {len(self.rows)} rows of {self.path} without a file (first: {missing[0]})"
            expected = f"names of files, such as {', '.join(list(files)[:2])}, in most rows"
            raise BadData(found, expected, "correct it, or set id_column=NAME")


def find_list(root: Path, config: BuildConfig) -> Path | None:
    """The list that `config.labels` names, or else labels.csv, or else the only table in `root` itself, or None."""
    if config.labels:
        return Path(config.labels).expanduser()
    visible = (path for path in root.iterdir() if path.name[0] != "." and path.name not in _NO_LISTS)
    tables = sorted(path for path in visible if is_table(path) and not path.is_dir())
    named = [path for path in tables if path.name.lower().startswith("labels.")] or tables
    if len(named) == 1 and named[0].name != "labels.csv":
        log.info("labels are those of %s", named[0])
    return named[0] if len(named) == 1 else None


def read_list(path: Path, config: BuildConfig) -> BagList:
    """The list at `path`. Raises BadData for one that can't be read, and for two rows of a bag that disagree."""
    table = pa.concat_tables(read_batches(path, config, pa.string()))
    rows = dict[str, Described]()
    for row in describe_rows(table, config, label_reader(table.schema, path, config)).to_pylist():
        described = Described(row["labels"], row.get("split"), row.get("group_id"))
        for name, one, other in zip(
            Described._fields, rows.setdefault(row["bag_id"], described), described, strict=True
        ):
            require_same(row["bag_id"], name, one, other)
    return BagList(path, rows)


def _without_ending(id: str) -> str:
    path = Path(id)
    return id[: -len(path.suffix)] if path.suffix.lower() in _ENDINGS else id
