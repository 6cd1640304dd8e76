"""A training or test list: its segments, and the place of each clip."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from negsift.common.data.audio.recording import Recording
from negsift.common.data.audioset.segments import Segment


@dataclass(frozen=True)
class ClipList:
    """Segments with their recordings, the `missing` ones with a remark, and display `names` by mid if stated."""

    segments: tuple[Segment, ...]
    recordings: tuple[Recording, ...]
    missing: tuple[tuple[Segment, str], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

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
