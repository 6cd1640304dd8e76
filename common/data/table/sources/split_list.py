"""`splits.csv` beside files of bags, as torchmil has it: the split of each bag, and no labels."""

import csv
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from negsift.common.data.table.sources.bag_list import without_ending
from negsift.common.data.table.sources.columns import LABEL, SPLIT, column
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.sources.split_names import split_named
from negsift.common.data.table.sources.tabular_files import require_same
from negsift.common.errors import BadData
from negsift.common.regular_file import regular
from negsift.common.some_of import some_of

_NAME = "splits.csv"
_IDS = ("bag_name", "bag_id", "slide_id", "wsi_name", "file_name", "name")


def find_splits(root: Path, base: Path, config: BuildConfig) -> Path | None:
    """The list of splits in the folder of the bags or in those around it, up to `root`; None where there is none, or it
    is a list of labels, too.
    """
    places = [place for place in (base, *base.parents) if place == root or root in place.parents]
    path = next((place / _NAME for place in places if (place / _NAME).exists()), None)
    if path is None:
        return None
    names = next(_rows(path), [])
    return None if column(names, config, LABEL) in names else path


def read_splits(path: Path, config: BuildConfig, bags: Collection[str]) -> Mapping[str, str]:
    """The split of each bag, which may have a file's ending unless it is one of the `bags`. Raises BadData for a list
    without columns of bags and splits, and for a bag in two.
    """
    rows = _rows(path)
    names = next(rows, [])
    id = config.id_column if config.id_column in names else next((name for name in _IDS if name in names), None)
    of_split = column(names, config, SPLIT)
    if id is None or of_split not in names:
        found = f"{path} of columns {some_of(names) or 'without a name'}"
        raise BadData(found, f"{_IDS[0]} and {of_split}", "correct it, or move it away, if it has no splits")
    known = dict[str, str]()
    for row in rows:
        described = dict(zip(names, row, strict=False))
        split = split_named(described.get(of_split, ""))
        bag = described[id] if described[id] in bags else without_ending(described[id])
        require_same(bag, "split", known.setdefault(bag, split), split)
    return {id: split for id, split in known.items() if split}


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows, the names of the columns first; those that are empty are left out."""
    try:
        text = regular(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{path} unreadable ({error})", "a CSV in UTF-8", "repair it, or move it away") from None
    return (row for row in csv.reader(text.splitlines()) if row)
