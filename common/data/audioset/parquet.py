"""Reads clip lists from parquet files as on Hugging Face (agkphysics/AudioSet). The columns are video_id, audio
{bytes}, labels, and optionally human_labels.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from negsift.common.data.audio.recording import Recording
from negsift.common.data.audioset.segments import ClipList, Segment
from negsift.common.data.parquet_file import open_parquet, read_table
from negsift.common.errors import BadData
from negsift.common.some_of import some_of

log = logging.getLogger(__name__)
_FORM = "video_id: string, audio {bytes: binary}, labels: list of strings"


def read_parquet(paths: Sequence[Path]) -> ClipList:
    """The rows of some files, in order; display names come from `human_labels`. Rows without labels are left out.
    Raises BadData for other columns, a row without an id, and a repeated id.
    """
    segments, recordings, names, unlabelled = [], [], dict[str, str](), 0
    for path in paths:
        for row, (name, tags, tag_names) in enumerate(_rows(path)):
            if name is None:
                raise BadData(f"no video_id in row {row} of {path}", "an id in every row", "remove that row")
            if tags is None:
                unlabelled += 1
                continue
            segments.append(Segment(name, None, tuple(sorted({tag for tag in tags if tag}))))
            recordings.append(Recording(path, row))
            names |= {tag: word for tag, word in zip(tags, tag_names or (), strict=False) if tag and word}
    if unlabelled:
        log.warning("%d clips in %s have no labels and are left out", unlabelled, paths[0].parent)
    if len({segment.id for segment in segments}) < len(segments):
        raise BadData(f"a repeated id in {paths[0].parent}", "each clip once", "remove the copies")
    return ClipList(tuple(segments), tuple(recordings), names=names)


def is_audioset(schema: pa.Schema) -> bool:
    """Whether a file's columns are those of Hugging Face's copy of AudioSet."""
    return "video_id" in schema.names


def _rows(path: Path) -> Iterator[tuple[str | None, list[str | None] | None, list[str | None] | None]]:
    """The id, the labels and their names of each row."""
    table = _read(path)
    tag_names = table["human_labels"].to_pylist() if "human_labels" in table.column_names else [None] * len(table)
    return zip(table["video_id"].to_pylist(), table["labels"].to_pylist(), tag_names, strict=True)


def _read(path: Path) -> pa.Table:
    """All columns except the sound."""
    with open_parquet(path) as opened:
        types = {field.name: field.type for field in opened.schema_arrow}
    if _fits(types):
        words = _is_words(types.get("human_labels", pa.null()))
        return read_table(path, ["video_id", "labels", *(["human_labels"] if words else [])])
    columns = some_of(f"{name}: {kind}" for name, kind in types.items())
    raise BadData(f"columns {columns} in {path}", _FORM, "convert the columns")


def _fits(types: dict[str, pa.DataType]) -> bool:
    audio, id = types.get("audio", pa.null()), types.get("video_id", pa.null())
    if not pa.types.is_struct(audio) or audio.get_field_index("bytes") < 0:
        return False
    binary = audio.field("bytes").type in (pa.binary(), pa.large_binary())
    return binary and _is_string(id) and _is_words(types.get("labels", pa.null()))


def _is_words(kind: pa.DataType) -> bool:
    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and _is_string(kind.value_type)


def _is_string(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string())
