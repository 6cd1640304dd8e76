"""A `datasets.Dataset` as bags: features, images or clips, decoded as those of a bag table are.

A row is a bag. Nothing of the library is imported: a dataset gives rows of Arrow columns, many at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from negsift.common.data.arrow_files import has_image_lists, plain
from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.decode_errors import UNDECODABLE, decode_fault
from negsift.common.data.images import image_size
from negsift.common.data.table.decoded_row_group import decode
from negsift.common.data.table.schema import Payload, SoundFormat
from negsift.common.errors import BadData, BadInput
from negsift.common.regular_file import regular
from negsift.common.some_of import some_of

_ENCODED = {"image": "image", "img": "image", "audio": "audio"}


@dataclass(frozen=True)
class HubBags:
    """The rows of `dataset`, whose `column` has the bags, as a map-style dataset of tensors."""

    dataset: Any  # of a library that need not be there
    column: str
    payload: Payload

    @classmethod
    def of(cls, dataset: Any, audio: AudioConfig | None = None) -> "HubBags":  # Any: as above
        """Bags of the only column of them. A row is a list of instances, one instance, one encoded image or a list of
        them, scaled to the size of the first, or an encoded clip, as log-mel of the parameters `audio`. Raises BadInput
        without such rows.
        """
        if not len(dataset):
            raise BadInput("a datasets.Dataset of no row", "one row or more", "give another")
        first = plain(dataset.with_format("arrow")[:1])
        fitting = [name for name in first.column_names if _is_bag(name, first[name].type)]
        listed = any(has_image_lists(first[name].type) for name in fitting)
        preferred = [name for name in fitting if name in ("features", *_ENCODED)] or fitting
        preferred = fitting if listed else preferred
        if len(preferred) != 1:
            found = f"a datasets.Dataset with columns {some_of(first.column_names)}"
            raise BadInput(found, f"one column of bags: features, {', '.join(_ENCODED)}", "rename or remove columns")
        return cls(dataset, preferred[0], _payload(preferred[0], first[preferred[0]], audio or AudioConfig()))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> Tensor:
        """One bag: features (n, D), images (n, 3, H, W) uint8, or a clip (frames, mels). Raises IndexError."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"row {position} of {len(self)}")
        return self.__getitems__([position % len(self)])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[Tensor]:
        """The bags at `positions`, read at once. torch's DataLoader calls this to fetch a whole batch."""
        rows = plain(self.dataset.with_format("arrow")[[int(position) for position in positions]])
        column = rows[self.column].combine_chunks()
        if self.payload.column == "features":
            return _features(column, self.payload.shape[0])
        read = _named if self.payload.single else _named_list
        named = [read(item, f"row {position}") for item, position in zip(column.to_pylist(), positions, strict=True)]
        sizes = [1 if self.payload.single else len(bag) for bag in named]
        try:
            decoded = decode([pa.array(named, self.payload.type)], self.payload, len(named), sum(sizes)).values
        except BadData as error:
            raise BadData(error.found, error.expected, "give the dataset without it") from None
        instances = torch.from_numpy(decoded)
        return list(instances if self.payload.sound else torch.split(instances, sizes))

    def __iter__(self) -> Iterator[Tensor]:
        return (self[position] for position in range(len(self)))


def is_hub_dataset(dataset: object) -> bool:
    """Whether it is a `datasets.Dataset` whose rows are not made by a function of the user's."""
    kind = type(dataset)
    is_one = kind.__module__.startswith("datasets.") and kind.__name__ == "Dataset"
    return is_one and getattr(dataset, "format", {}).get("type") != "custom"


def _is_bag(name: str, kind: pa.DataType) -> bool:
    if has_image_lists(kind):
        return True
    if name in _ENCODED:
        return bool(pa.types.is_struct(kind))
    inner = kind
    while pa.types.is_nested(inner) and not pa.types.is_struct(inner):
        inner = inner.value_type
    is_whole = pa.types.is_integer(inner) and name == "features"  # of another column they may be labels
    return inner != kind and bool(pa.types.is_floating(inner) or is_whole)


def _payload(name: str, column: pa.ChunkedArray, audio: AudioConfig) -> Payload:
    listed = has_image_lists(column.type)
    if name not in _ENCODED and not listed:
        return Payload("features", "float32", (_features(column.combine_chunks(), None)[0].shape[1],))
    if not listed and _ENCODED[name] == "audio":
        return Payload("audio", "float16", (audio.frames, audio.mels), SoundFormat(audio.sample_rate, audio.seconds))
    try:
        first = _named_list(column[0].as_py(), "row 0")[0] if listed else _named(column[0].as_py(), "row 0")
        return Payload("instances" if listed else "image", "uint8", (3, *image_size(first["bytes"])))
    except UNDECODABLE as error:
        raise BadData(f"the image of row 0 ({decode_fault(error)})", "one that decodes", "remove the row") from None


def _features(column: pa.Array, width: int | None) -> list[Tensor]:
    """The rows as tensors (n, width). Raises BadData for instances of another width."""
    nested = pa.types.is_nested(column.type.value_type)
    sizes = column.value_lengths().fill_null(0).to_numpy() if nested else np.ones(len(column), np.int64)
    instances = column.flatten() if nested else column
    widths = np.unique(instances.value_lengths().fill_null(0).to_numpy()).tolist()
    width = width or (widths[0] if widths else 0)
    if widths != [width] or not width:
        raise BadData(f"instances of {some_of(widths)} features", f"{width or 'some'}", "repair the rows")
    numbers = instances.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return list(torch.split(torch.from_numpy(numbers.reshape(-1, width)), sizes.tolist()))


def _named(item: Any, name: str) -> dict[str, Any]:  # Any: an encoded file as Arrow gives it
    """An encoded file, called by its path or else `name`; what is a path alone is read, as the library does."""
    item = {"bytes": item} if isinstance(item, bytes) else item or {}
    path = item.get("path")
    content = item.get("bytes") or (regular(Path(path)).read_bytes() if path else b"")
    return {"bytes": content, "path": path or name}


def _named_list(items: Any, name: str) -> list[dict[str, Any]]:  # Any: as above, a list of them
    """The encoded images of a bag. Raises BadData if there are none."""
    if not items:
        raise BadData(f"{name} without an image", "one or more in each", "give the dataset without it")
    return [_named(item, f"{name} image {number}") for number, item in enumerate(items)]
