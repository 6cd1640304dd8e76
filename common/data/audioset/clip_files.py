"""Finds the file of a clip in a folder, for all common ways to name AudioSet's clips.

For the 11-character id `I` and the segment from 30 to 40 s these are `I`, `YI`, `I_30.000_40.000`,
`YI_30.000_40.000`, `I_30000_40000`, `I_30000` and `I_30-40`. An id may contain or begin with `-`, `_` or `Y`, so a
name is not simply split at `_`. A name of no such form is an id: clips of other origin have ids of any length.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from negsift.common.data.audioset.segments import Segment
from negsift.common.data.files_below import files_below

ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".webm", ".aac")
"""In order of preference. libsndfile can't read the last three; they are found so that the error names them."""

_NAME = re.compile(
    r"(?P<id>[\w-]{11})"
    r"(?:_(?P<seconds>\d+\.\d+)_\d+\.\d+|_(?P<ms>\d+)(?:_\d+)?|_(?P<whole>\d+)-\d+)?",
    re.ASCII,
)
_SAME_S = 0.05


@dataclass(frozen=True)
class ClipFile:
    """A file, and the segment's start in seconds if its name states one."""

    path: Path
    start_s: float | None


ClipFiles = Mapping[str, Sequence[ClipFile]]
"""The files of a folder by clip id."""


def index_folder(root: Path) -> ClipFiles:
    """The clips below `root`; the files of an id are in order of preference."""
    files: dict[str, list[ClipFile]] = {}
    for path in sorted(files_below(root), key=_rank):
        if path.suffix.lower() in ENDINGS and path.is_file():
            name, start_s = read_name(path) or (path.stem, None)
            files.setdefault(name, []).append(ClipFile(path, start_s))
    return files


def read_name(path: Path) -> tuple[str, float | None] | None:
    """The id and the start in seconds that a file name states; None for a name of no known form."""
    matches = [_NAME.fullmatch(path.stem), _NAME.fullmatch(path.stem[1:]) if path.stem.startswith("Y") else None]
    match = next((match for match in matches if match), None)
    if match is None:
        return None
    start = match["seconds"] or match["whole"]
    return match["id"], float(start) if start else int(match["ms"]) / 1000 if match["ms"] else None


def find_file(segment: Segment, files: ClipFiles) -> tuple[Path | None, str]:
    """The segment's file, and a remark if there is no file or more than one."""
    candidates = files.get(segment.id, ())
    fitting = [file for file in candidates if _fits(file, segment)]
    if not fitting:
        return None, f"only {candidates[0].path.name}, another segment" if candidates else "no file"
    exact = [file for file in fitting if file.start_s is not None] or fitting
    remark = f"{exact[0].path.name} used, {exact[1].path.name} ignored" if len(exact) > 1 else ""
    return exact[0].path, remark


def _fits(file: ClipFile, segment: Segment) -> bool:
    if file.start_s is None or segment.start_s is None:
        return True
    return abs(file.start_s - segment.start_s) < _SAME_S


def _rank(path: Path) -> tuple[int, Path]:
    ending = path.suffix.lower()
    return (ENDINGS.index(ending) if ending in ENDINGS else len(ENDINGS)), path
