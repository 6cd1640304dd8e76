"""JSON objects with the file and line that they were read from, which error messages name."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from negsift.common.errors import BadData
from negsift.common.json_text import parse_json
from negsift.common.overrides import flat
from negsift.common.regular_file import regular

_MOST = 10**9
_REMEDY = "repair or delete that file, or delete the run's folder and run it again"
ALONE = "remove that file alone"
"""The remedy for files of a sweep's folder, which the next sweep writes again: the runs beside them stay."""


@dataclass(frozen=True)
class JsonRecord:
    """A JSON object and its `place`, file and line. Keys are dotted; a value of another type raises BadData, with the
    `remedy`.
    """

    values: Mapping[str, Any]  # Any: JSON
    place: str
    remedy: str = _REMEDY

    def number(self, key: str) -> float:
        """The number or truth value at `key`; NaN if it is absent, null or infinite."""
        value = self._find(key)
        if value is None:
            return math.nan
        if not isinstance(value, int | float):
            raise self.fault(f"{key}={value!r}", "a number or null")
        return float(value) if abs(value) <= sys.float_info.max else math.nan

    def whole(self, key: str) -> int:
        """The number at `key`, which is required: an integer of 0 or more, below a thousand million."""
        value = self._find(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST:
            raise self.fault(f"{key}={value!r}", "an integer of 0 or more")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of strings at `key`; empty if absent."""
        value = self._find(key) or []
        if not isinstance(value, list):
            raise self.fault(f"{key}={value!r}", "a list")
        return tuple(str(item) for item in value)

    def leaves(self, key: str = "") -> dict[str, str]:
        """All values below `key` as text, by dotted key; empty if absent."""
        value = self._find(key) if key else self.values
        if value is not None and not isinstance(value, Mapping):
            raise self.fault(f"{key}={value!r}", "an object")
        values = flat(value or {})
        return {name: text if isinstance(text, str) else json.dumps(text) for name, text in values.items()}

    def fault(self, found: str, expected: str) -> BadData:
        """A BadData about this record."""
        return BadData(f"{self.place}: {found}", expected, self.remedy)

    def _find(self, key: str) -> object:
        value: object = self.values
        for part in key.split("."):
            if value is not None and not isinstance(value, Mapping):
                raise self.fault(f"{value!r} on the way to {key}", "an object")
            value = None if value is None else value.get(part)
        return value


def read_object(path: Path, remedy: str = _REMEDY) -> JsonRecord:
    """The JSON object that is a file's content. Raises BadData, with that remedy."""
    return _parse(_read(path, remedy), path, 0, remedy)


def read_lines(path: Path) -> list[JsonRecord]:
    """The JSON objects of a file with one per line. Raises BadData."""
    return [_parse(line, path, number) for number, line in enumerate(_read(path).splitlines()) if line.strip()]


def _read(path: Path, remedy: str = _REMEDY) -> str:
    source = regular(path)
    try:
        return source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadData(f"{path}: {reason}", "a readable text file", remedy) from None


def _parse(text: str, path: Path, lines_before: int, remedy: str = _REMEDY) -> JsonRecord:
    try:
        values = parse_json(text)
    except json.JSONDecodeError as error:
        place = f"{path}, line {lines_before + error.lineno}"
        raise BadData(f"{place}: {error.msg} at column {error.colno}", "JSON", remedy) from None
    record = JsonRecord(values if isinstance(values, dict) else {}, f"{path}, line {lines_before + 1}", remedy)
    if not isinstance(values, dict):
        raise record.fault(f"a {type(values).__name__}", "an object")
    return record
