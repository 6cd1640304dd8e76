"""Files that say how many they are: `train-00000-of-00002.parquet`, and those that `save_to_disk` lists."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from negsift.common.errors import BadData
from negsift.common.json_text import parse_json

_NUMBERED = re.compile(r"(.*)-(\d+)-of-(\d+)\b.*")


def require_all(paths: Iterable[Path]) -> None:
    """Raise BadData where some of so many files are missing."""
    found = dict[tuple[Path, str, int], set[int]]()
    for path in paths:
        numbered = _NUMBERED.fullmatch(path.name)
        if numbered:
            found.setdefault((path.parent, numbered[1], int(numbered[3])), set()).add(int(numbered[2]))
    for (folder, name, count), numbers in found.items():
        if len(numbers) < count:
            missing = f"{len(numbers)} of the {count} files {name}-*-of-{count:05d} in {folder}"
            raise BadData(missing, "all of them", "download or copy the others")


def require_saved(paths: Iterable[Path], files: Iterable[Path]) -> None:
    """Raise BadData where the `paths` among `files` are others than `save_to_disk` lists."""
    names = dict[Path, set[str]]()
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name)
    for state in files:
        if state.name == "state.json" and (state.parent / "dataset_info.json").exists():
            _require_listed(state, names.get(state.parent, set()))


def _require_listed(state: Path, names: set[str]) -> None:
    try:
        listed = {_name(file) for file in parse_json(state.read_text(encoding="utf-8"))["_data_files"]}
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise BadData(f"{state} unreadable ({error!r:.80})", "what save_to_disk writes", "save it again") from None
    for name in sorted(listed ^ names):
        lacks = f"no {name}, which {state} lists" if name in listed else f"{name}, which {state} does not list"
        raise BadData(lacks, "the files of one save_to_disk", "save it again")


def _name(file: Any) -> str:  # Any: JSON
    return str(file["filename"])
