"""Lines of AudioSet's text files, in UTF-8, and their fields."""

import csv
from pathlib import Path

from negsift.common.errors import BadData


def read_lines(path: Path) -> list[str]:
    """The file's lines without their ends; raises BadData if it can't be read."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{path} unreadable ({error})", "a text in UTF-8", "save it so, or correct its path") from None


def fields(line: str, separator: str = ",") -> list[str]:
    """A line cut up, quotes off; whole where it has a field that csv takes for a mistake (131,072 characters)."""
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    except csv.Error:
        return [line]
