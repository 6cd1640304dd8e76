"""AudioSet's segment lists: `YTID, start_seconds, end_seconds, "mid,mid"` after a few lines beginning with #."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from negsift.common.data.audioset.text import fields, read_lines
from negsift.common.errors import BadData

_SEPARATORS = (",", "\t", ";", "|")
_HEADINGS = {"ytid", "video_id", "youtube_id", "segment_id", "id"}
_FORM = 'lines such as --PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"'


@dataclass(frozen=True)
class Segment:
    """A clip as listed: `start_s` is None where the list doesn't tell; `tags` are mids."""

    id: str
    start_s: float | None
    tags: tuple[str, ...]

    @property
    def name(self) -> str:
        """The id; with the start, in ms, it would tell segments of one video apart."""
        return self.id if self.start_s is None else f"{self.id}_{round(self.start_s * 1000)}"


def read_segments(path: Path) -> list[Segment]:
    """The list in file order. Commas, tabs, semicolons or bars separate; comment lines and heading may be missing.

    Raises BadData, naming the line, for anything else, and for a segment that is listed twice.
    """
    lines = enumerate(read_lines(path), 1)
    kept = [(number, line) for number, line in lines if line.strip() and not _is_comment(line)]
    if not kept:
        raise BadData(f"{path} without a segment", _FORM, "fetch it anew")
    separator = _separator(path, *kept[-1])
    found: dict[tuple[str, float | None], Segment] = {}
    for number, line in kept:
        cut = fields(line, separator)
        if number == kept[0][0] and cut[0].strip().lower() in _HEADINGS:
            continue
        segment = _segment(path, number, cut)
        if (segment.id, segment.start_s) in found:
            raise BadData(f"{segment.name} a second time in {path}, line {number}", "each segment once", "remove one")
        found[segment.id, segment.start_s] = segment
    return list(found.values())


def _is_comment(line: str) -> bool:
    """Ids hold no #, so nothing else begins with it."""
    return line.lstrip().startswith("#")


def _separator(path: Path, number: int, line: str) -> str:
    """What cuts a line into an id, two numbers and tags."""
    for separator in _SEPARATORS:
        cut = fields(line, separator)
        if len(cut) >= 4 and _is_number(cut[1]) and _is_number(cut[2]):
            return separator
    raise BadData(f"{path}, line {number}: {line[:60]!r}", _FORM, "bring the list into that form")


def _segment(path: Path, number: int, cut: Sequence[str]) -> Segment:
    """Tags that were not quoted are several cut."""
    if len(cut) < 4 or not (_is_number(cut[1]) and _is_number(cut[2])):
        raise BadData(f"{path}, line {number}: {', '.join(cut)[:60]!r}", _FORM, "correct that line")
    tags = (tag.strip() for field in cut[3:] for tag in field.split(","))
    return Segment(cut[0].strip(), float(cut[1]), tuple(sorted({tag for tag in tags if tag})))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
