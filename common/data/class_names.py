"""Names of classes: those of numbers, from the metadata that Hugging Face's `datasets` writes into parquet files, and
the rule that two names must not look the same.
"""

import json
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from negsift.common.errors import BadData, BadInput, UnknownName
from negsift.common.some_of import some_of

HIDDEN = -1
"""The number that a ClassLabel has where the class is not told, as in the test sets of competitions."""


def class_names(schema: pa.Schema, column: str, path: Path) -> tuple[str, ...]:
    """The names of the classes in a column; empty where the file states none. Raises BadData for metadata of another
    form than any release of `datasets` has written.
    """
    try:
        stored = _mapping(json.loads((schema.metadata or {}).get(b"huggingface", b"{}")))
        features = _mapping(_mapping(stored.get("info", {})).get("features", {}))
        return _names(features.get(column, {}))
    except (ValueError, TypeError, RecursionError) as error:
        found = f"{path} with metadata of Hugging Face that can't be used ({error})"
        raise BadData(found, "names of classes, as `datasets` writes them", "write the file again") from None


def require_distinct_forms(classes: Iterable[str], place: str) -> None:
    """Raise BadData for names that differ only in how Unicode spells them, which would be two classes of one name."""
    known: dict[str, str] = {}
    for name in sorted(classes):
        other = known.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            found = f"the class {name!r} of {place} twice, spelt in two forms of Unicode ({other!a} and {name!a})"
            raise BadData(found, "one form", "normalise the labels to NFC")


def _names(feature: object) -> tuple[str, ...]:
    """Those of a ClassLabel, alone or in a list. Lists were `[feature]` in datasets 2 and 3, and are mappings in 4."""
    if isinstance(feature, list):
        (feature,) = feature
    described = _mapping(feature)
    if "feature" in described:
        return _names(described["feature"])
    names = described.get("names") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len({*names}) < len(names):
        raise TypeError(f"names {names!r:.60}")
    return tuple(names)


def _mapping(value: object) -> dict[str, Any]:  # Any: JSON
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.60} in place of a mapping")
    return value


def class_number(target: str, classes: tuple[str, ...]) -> int:
    """The number of a class that is given by its name or number. Raises UnknownName, and BadInput for none."""
    if target in classes:
        return classes.index(target)
    if target.isascii() and target.isdigit() and len(target) < 10 and int(target) < len(classes):
        return int(target)
    if not target:
        raise BadInput("no data.target", f"one of {some_of(classes)}", "say which class is positive")
    raise UnknownName("data.target", target, classes)
