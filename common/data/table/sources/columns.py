"""Which columns of a table have the bags' ids, labels and groups."""

import math
from collections.abc import Sequence
from pathlib import Path

from negsift.common.data.parquet_file import require_distinct
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData
from negsift.common.some_of import some_of

ID, LABEL, GROUP, SPLIT = "id_column", "label_column", "group_column", "split_column"
_USUAL = {
    ID: ("bag_id", "slide_id", "file_name"),
    LABEL: ("label", "labels"),
    GROUP: ("group_id", "case_id"),
    SPLIT: ("split",),
}
"""Each key's default, and the names that CLAM's lists and Hugging Face's folders of images have in its place."""
ID_NAME, LABEL_NAME = _USUAL[ID][0], _USUAL[LABEL][0]


def column(names: Sequence[str], config: BuildConfig, key: str) -> str:
    """The name of the column that `key` states, or its usual other name if that is the default and absent."""
    stated: str = getattr(config, key)
    default, *others = _USUAL[key]
    if stated != default or default in names:
        return stated
    return next((other for other in others if other in names), [*others, default][0])


def text_columns(names: Sequence[str], config: BuildConfig) -> tuple[str, ...]:
    """The columns that are no features: id, labels, group and split."""
    return tuple(column(names, config, key) for key in _USUAL)


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _guess(row: Sequence[str]) -> Sequence[str]:
    """What `columns` may be for a first row without a header: where names stand before numbers, as in UCI's files, the
    first is the bag's and the last number the label.
    """
    texts = next((place for place, name in enumerate(row) if _is_number(name)), 0)
    return (ID_NAME, *["-"] * (texts - 1), "*", LABEL_NAME) if texts else (ID_NAME, LABEL_NAME, "*")


def require_stated(names: Sequence[str], path: Path, config: BuildConfig) -> None:
    """Raise BadData where a column of groups or of splits is stated and absent."""
    for key in (GROUP, SPLIT):
        stated = getattr(config, key)
        if stated not in (_USUAL[key][0], *names):
            found = f"{path} without column {stated} (it has {some_of(names)})"
            raise BadData(found, f"the column that {key} names", "correct it, or leave it out")


def require_columns(names: Sequence[str], path: Path, config: BuildConfig, held: Sequence[str] | None = None) -> None:
    """Raise BadData for two columns of one name, and where the one of ids, of labels, or of groups or splits if one is
    stated, is absent. `held` are the names in the file, where they are others.
    """
    require_stated(names, path, config)
    missing = [name for name in (column(names, config, key) for key in (ID, LABEL)) if name not in names]
    if missing:
        named = {column(names, config, key): getattr(config, key) for key in (ID, LABEL)}
        lacking = ", ".join(named[name] for name in missing)
        found = f"{path} without column {lacking} (it has {some_of(held or names)})"
        remedy = "name them: id_column=NAME label_column=NAME"
        if any(map(_is_number, names)):
            remedy += f", or where there is no header all columns: columns={','.join(_guess(names))}"
        raise BadData(found, "columns for the bag's id and its labels", remedy)
    require_distinct(names, path)
