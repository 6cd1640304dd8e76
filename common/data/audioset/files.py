"""Which file of a folder is which clip, in all the ways clips of AudioSet are named.

With the 11-character id `I` and a segment from 30 to 40 s: `I`, `YI`, `I_30.000_40.000`, `YI_30.000_40.000`,
`I_30000_40000`, `I_30000`, `I_30-40`; ids may hold and begin with `-`, `_` and `Y`, so names are not cut at `_`.
Where the name has none of these forms it is an id itself: clips of your own have ids of any length.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from negsift.common.data.audioset.segments import Segment

ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".webm", ".aac")
"""In order of preference; the last three are known to be clips, but libsndfile does not read them."""

_NAME = re.compile(
    r"(?P<id>[\w-]{11})"
    r"(?:_(?P<seconds>\d+\.\d+)_\d+\.\d+|_(?P<ms>\d+)(?:_\d+)?|_(?P<whole>\d+)-\d+)?",
    re.ASCII,
)
_SAME_S = 0.05


@dataclass(frozen=True)
class Named:
    """A file and the start that its name tells, in seconds."""

    path: Path
    start_s: float | None


Folder = Mapping[str, Sequence[Named]]


def index_folder(root: Path) -> Folder:
    """The clips below `root` by id, files of one id in order of preference."""
    found: dict[str, list[Named]] = {}
    for path in sorted(root.rglob("*"), key=_rank):
        if path.suffix.lower() in ENDINGS and path.is_file():
            name, start_s = read_name(path) or (path.stem, None)
            found.setdefault(name, []).append(Named(path, start_s))
    return found


def read_name(path: Path) -> tuple[str, float | None] | None:
    """The id and the start in seconds that a file's name tells; None if it is no clip's name."""
    matches = [_NAME.fullmatch(path.stem), _NAME.fullmatch(path.stem[1:]) if path.stem.startswith("Y") else None]
    match = next((match for match in matches if match), None)
    if match is None:
        return None
    start = match["seconds"] or match["whole"]
    return match["id"], float(start) if start else int(match["ms"]) / 1000 if match["ms"] else None


def find_file(segment: Segment, folder: Folder) -> tuple[Path | None, str]:
    """The segment's file and a remark: why there is none, or which others there are."""
    named = folder.get(segment.id, ())
    fitting = [each for each in named if _fits(each, segment)]
    if not fitting:
        others = f"only {named[0].path.name}, another segment" if named else "no file"
        return None, others
    exact = [each for each in fitting if each.start_s is not None] or fitting
    spare = f"{exact[0].path.name} taken, {exact[1].path.name} not" if len(exact) > 1 else ""
    return exact[0].path, spare


def _fits(named: Named, segment: Segment) -> bool:
    if named.start_s is None or segment.start_s is None:
        return True
    return abs(named.start_s - segment.start_s) < _SAME_S


def _rank(path: Path) -> tuple[int, Path]:
    ending = path.suffix.lower()
    return (ENDINGS.index(ending) if ending in ENDINGS else len(ENDINGS)), path
