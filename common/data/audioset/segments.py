"""AudioSet's segment lists: lines `YTID, start_seconds, end_seconds, "mid,mid"`, after comment lines with #."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from negsift.common.data.audio.recording import Recording
from negsift.common.data.audioset.text import fields, read_lines
from negsift.common.errors import BadData

_SEPARATORS = (",", "\t", ";", "|")
_OTHER_MARKS = re.compile("[;|']")
_LONGEST_S = 1e9
_HEADINGS = {"ytid", "video_id", "youtube_id", "segment_id", "id"}
_FORM = 'lines such as --PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"'


@dataclass(frozen=True)
class Segment:
    """A listed clip with its `tags` (mids), which nobody has told unless it is `labeled`; `start_s` is None if the list
    does not state it. Clips of one `group`, by default of one id, are never in different splits.
    """

    id: str
    start_s: float | None
    tags: tuple[str, ...]
    group: str | None = None
    labeled: bool = True

    @property
    def name(self) -> str:
        """The id with the start in ms, which distinguishes segments of one video; the id alone without a start."""
        return self.id if self.start_s is None else f"{self.id}_{round(self.start_s * 1000)}"


@dataclass(frozen=True)
class ClipList:
    """Segments with their recordings, the `missing` ones with a remark, display `names` by mid if stated, and a line
    for each other file of one of the segments.
    """

    segments: tuple[Segment, ...]
    recordings: tuple[Recording, ...]
    missing: tuple[tuple[Segment, str], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    def describe(self, number: int) -> str:
        """A clip's id and the place of its recording."""
        recording = self.recordings[number]
        row = "" if recording.row is None else f", row {recording.row}"
        return f"{self.ids[number]} ({recording.path.name}{row})"

    @functools.cached_property
    def ids(self) -> list[str]:
        """The id of each clip, with the segment's start added if some video has several segments."""
        plain = [segment.id for segment in self.segments]
        return plain if len(set(plain)) == len(plain) else [segment.name for segment in self.segments]


def read_segments(path: Path) -> list[Segment]:
    """The segments in file order. The separator is a comma, tab, semicolon or bar; a heading is allowed. Raises
    BadData, naming the line, for a malformed line and for a segment that is listed twice.
    """
    lines = enumerate(read_lines(path), 1)
    # No id contains #.
    kept = [(number, line) for number, line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not kept:
        raise BadData(f"{path} without a segment", _FORM, "download it again")
    # The last line: the first one may be a heading.
    separator = _separator(path, *kept[-1])
    segments: dict[str, Segment] = {}
    for number, line in kept:
        values = fields(line, separator)
        if number == kept[0][0] and values[0].strip().lower() in _HEADINGS:
            continue
        segment = _segment(path, number, values)
        if segment.name in segments:
            raise BadData(f"{segment.name} a second time in {path}, line {number}", "each segment once", "remove one")
        segments[segment.name] = segment
    _require_divided(path, {tag for segment in segments.values() for tag in segment.tags})
    return list(segments.values())


def _require_divided(path: Path, tags: set[str]) -> None:
    """Raise BadData for a tag that holds another one, beside a separator or a quotation mark of another kind."""
    for tag in sorted(tags):
        inside = ({part.strip() for part in _OTHER_MARKS.split(tag)} - {tag}) & tags
        if inside:
            found = f"the tag {tag!r} in {path}, which holds the tag {min(inside)!r}"
            raise BadData(found, 'tags such as "/m/09x0r,/t/dd00088", divided by commas', "convert the list")


def _separator(path: Path, number: int, line: str) -> str:
    """The separator that divides a line into an id, two numbers and tags."""
    for separator in _SEPARATORS:
        values = fields(line, separator)
        if len(values) >= 4 and _is_number(values[1]) and _is_number(values[2]):
            return separator
    raise BadData(f"{path}, line {number}: {line[:60]!r}", _FORM, "convert the list")


def _segment(path: Path, number: int, values: Sequence[str]) -> Segment:
    if len(values) < 4 or not (_is_number(values[1]) and _is_number(values[2])):
        raise BadData(f"{path}, line {number}: {', '.join(values)[:60]!r}", _FORM, "correct that line")
    tags = (tag.strip() for value in values[3:] for tag in value.split(","))  # unquoted tags are several values
    return Segment(values[0].strip(), float(values[1]), tuple(sorted({tag for tag in tags if tag})))


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < _LONGEST_S
    except ValueError:
        return False
