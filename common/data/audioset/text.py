"""Reads the lines of AudioSet's text files, which are UTF-8, and their fields."""

import csv
from pathlib import Path

from negsift.common.errors import BadData
from negsift.common.regular_file import regular


def read_lines(path: Path) -> list[str]:
    """The file's lines. Raises BadData if it can't be read."""
    source = regular(path)
    try:
        return source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{path} unreadable ({error})", "text in UTF-8", "convert it, or correct its path") from None


def fields(line: str, separator: str = ",") -> list[str]:
    """The values of a line, without quotes. A line that csv refuses (over 131,072 characters) is one value."""
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except csv.Error:
        return [line]
