"""What a training or a test list comes to: segments, and where their clips lie."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from negsift.common.data.audio.recording import Recording
from negsift.common.data.audioset.segments import Segment


@dataclass(frozen=True)
class Listing:
    """Segments with their recordings, those `missing` with a remark, display `names` by mid where told."""

    segments: tuple[Segment, ...]
    recordings: tuple[Recording, ...]
    missing: tuple[tuple[Segment, str], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def place(self, at: int) -> str:
        """A clip's name and where it lies."""
        recording = self.recordings[at]
        row = "" if recording.row is None else f", row {recording.row}"
        return f"{self.ids[at]} ({recording.path.name}{row})"

    @functools.cached_property
    def ids(self) -> list[str]:
        """A name for each clip: its id, with the start added if a video has several segments."""
        plain = [segment.id for segment in self.segments]
        return plain if len(set(plain)) == len(plain) else [segment.name for segment in self.segments]
