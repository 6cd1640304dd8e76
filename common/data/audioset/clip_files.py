"""Finds the file of a clip in a folder, for all common ways to name clips.

For the id `I` and the segment from 30 to 40 s these are `I`, `I_30`, `I_000030`, `I_30.000`, `I_30000`, `I_30_40`,
`I_30.000_40.000`, `I_30000_40000`, and the pairs with `-` between them; all of them also with a `Y` before the id. Ids
have any length and may contain what divides a name, so a name is looked up by each id that it may begin with, and one
that is a listed id itself is the file of that id and of no other.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from negsift.common.data.audioset.segments import Segment
from negsift.common.data.files_below import endings_below

ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".webm", ".aac")
"""In order of preference. libsndfile can't read the last three; they are found so that the error names them."""
FORMS = "ID.wav, ID_30.wav, ID_000030.wav, ID_30000.wav (ms), ID_30_40.wav or YID_30.000-40.000.wav"

_WITH_NUMBER = re.compile(r"(.+)[_-](\d+(?:\.\d+)?)", re.ASCII | re.DOTALL)
_SAME_S = 0.05


@dataclass(frozen=True)
class ClipFile:
    """A file, and the number after the id if its name is read as one with a start."""

    path: Path
    start: str | None

    def begins_at(self, start_s: float) -> bool:
        """Whether the name states this start, in seconds or, without a point, perhaps in milliseconds."""
        if self.start is None:
            return True
        scales = (1.0,) if "." in self.start else (1.0, 1000.0)
        return any(abs(float(self.start) / scale - start_s) < _SAME_S for scale in scales)


ClipFiles = Mapping[str, Sequence[ClipFile]]
"""The files of a folder by each id that their names may begin with."""


def index_folder(root: Path) -> ClipFiles:
    """The clips below `root`; the files of an id are in order of preference. A path without ending is an id, too."""
    files: dict[str, list[ClipFile]] = {}
    for path in sorted(clips_below(root), key=_rank):
        if path.is_file():
            for id, start in read_name(path.stem):
                files.setdefault(id, []).append(ClipFile(path, start))
            if path.parent != root:
                below = path.relative_to(root).with_suffix("").as_posix()
                files.setdefault(below, []).append(ClipFile(path, None))
    return files


def clips_below(folder: Path) -> list[Path]:
    """The files of sound below a folder."""
    found = endings_below(folder)
    return [path for ending in ENDINGS for path in found.get(ending, ())]


def is_clip(path: Path) -> bool:
    """Whether a file is one of sound, as its name says."""
    return path.suffix.lower() in ENDINGS


def read_name(stem: str) -> Iterator[tuple[str, str | None]]:
    """Each id that a file's name may state, and the start after it: none, the last number, or the last but one."""
    yield stem, None
    one = _WITH_NUMBER.fullmatch(stem)
    if one:
        yield one[1], one[2]
        two = _WITH_NUMBER.fullmatch(one[1])
        if two:
            yield two[1], two[2]


def find_file(segment: Segment, files: ClipFiles, listed: Collection[str] = ()) -> tuple[Path | None, str]:
    """The segment's file, and a remark if there is no file or more than one. Files called by one of the `listed` ids
    are those of that id.
    """
    named = [*files.get(segment.id, ()), *files.get(f"Y{segment.id}", ())]
    free = [file for file in named if file.start is None or file.path.stem not in listed]
    fitting = [file for file in free if _fits(file, segment)]
    if not fitting:
        return None, f"only {free[0].path.name}, another segment" if free else "no file"
    best, *others = sorted(fitting, key=lambda file: (file.path.stem != segment.id, file.start is None))
    return best.path, f"{best.path.name} used, {others[0].path.name} ignored" if others else ""


def _fits(file: ClipFile, segment: Segment) -> bool:
    return file.start is None if segment.start_s is None else file.begins_at(segment.start_s)


def _rank(path: Path) -> tuple[int, Path]:
    return ENDINGS.index(path.suffix.lower()), path
