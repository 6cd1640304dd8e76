"""The Arrow schema `bags/1`: a row is a bag, with an id, labels, a split and one payload.

bag_id       string, unique
labels       list<string>: the classes it is positive for; [] for none, null where nobody looked
split        string train, val, test (optional)
group_id     string that splits never cut: patient, video, speaker (optional)
n_instances  int32
features     large_list<fixed_size_list<float16 or float32>>, ragged    | exactly
instances    list<struct<bytes, path>>, encoded images                  | one of
image        struct<bytes, path>, a bag of one                          | these
audio        struct<bytes, path>, an encoded clip, a bag of one         |
instance_rows  list<int64>, rows of the instance table, see below       |

The instance table is other files of the same folder, in this very form, a row an image.
"""

import dataclasses
import json
from dataclasses import dataclass
from math import prod

import numpy as np
import pyarrow as pa

from negsift.common.data.audio.config import LOG_MEL, AudioConfig
from negsift.common.errors import BadData, UnknownName

SCHEMA = "bags/1"
SPLITS = ("train", "val", "test")
FORMS: dict[str, tuple[tuple[str, ...], int]] = {
    "features": (("float16", "float32"), 1), "instances": (("uint8",), 3), "image": (("uint8",), 3),
    "audio": (("float16",), 2), "instance_rows": (("uint8",), 3),
}  # fmt: skip
"""Payloads, with the dtypes and the number of axes that one decoded instance may have."""
ENCODED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
COLUMNS = {
    "bag_id": pa.string(), "labels": pa.list_(pa.string()), "split": pa.string(), "group_id": pa.string(),
    "n_instances": pa.int32(),
}  # fmt: skip
NEEDED = ("bag_id", "labels", "n_instances")
_REBUILD = "build the table with `python -m deploy pool build`"


@dataclass(frozen=True)
class Sound:
    """What clips are brought to before features are made of them: samples a second, and seconds."""

    sample_rate: int
    seconds: float
    features: str = LOG_MEL

    def __post_init__(self) -> None:
        if self.features != LOG_MEL:
            raise BadData(f"clips for {self.features}", LOG_MEL, _REBUILD)


@dataclass(frozen=True)
class Payload:
    """What bags are made of: the column, dtype and shape of one decoded instance; of clips also their `sound`."""

    column: str
    dtype: str
    shape: tuple[int, ...]
    sound: Sound | None = None

    def __post_init__(self) -> None:
        if self.column not in FORMS:
            raise UnknownName("payload", self.column, FORMS)
        known, axes = FORMS[self.column]
        sounds = (self.sound is not None) == (self.column == "audio")
        if self.dtype not in known or len(self.shape) != axes or min(self.shape) < 1 or not sounds:
            raise BadData(str(self), f"{' or '.join(known)}[…]", _REBUILD)

    @property
    def single(self) -> bool:
        """Whether a bag is one instance."""
        return self.column in ("image", "audio")

    @property
    def views(self) -> bool:
        """Whether bags hold the rows of their instances in another table."""
        return self.column == "instance_rows"

    @property
    def viewed(self) -> "Payload":
        """The payload of that table."""
        return Payload("image", self.dtype, self.shape) if self.views else self

    @property
    def kept(self) -> tuple[str, tuple[int, ...]]:
        """Dtype and shape of what a decoded row group holds of an instance."""
        return ("int64", ()) if self.views else (self.dtype, self.shape)

    @property
    def given(self) -> str:
        """The dtype in which that is gathered: as it is, but for features, which are widened."""
        return "float32" if self.column == "features" else self.kept[0]

    @property
    def audio(self) -> AudioConfig:
        """The parameters of clips' features."""
        assert self.sound is not None  # of clips only
        frames, mels = self.shape
        return AudioConfig(sample_rate=self.sound.sample_rate, seconds=self.sound.seconds, frames=frames, mels=mels)

    @property
    def instance_bytes(self) -> int:
        """What a decoded row group takes for an instance."""
        return prod(self.kept[1]) * np.dtype(self.kept[0]).itemsize

    @property
    def type(self) -> pa.DataType:
        """The column's Arrow type."""
        if self.column == "features":
            return pa.large_list(pa.list_(pa.from_numpy_dtype(self.dtype), self.shape[0]))
        if self.views:
            return pa.list_(pa.int64())
        return ENCODED if self.single else pa.list_(ENCODED)

    def __str__(self) -> str:
        clips = f" of {self.sound.seconds:g} s at {self.sound.sample_rate:,} Hz" if self.sound else ""
        return f"{self.column} {self.dtype}{list(self.shape)}{clips}"


def table_schema(payload: Payload) -> pa.Schema:
    """The schema with every optional column, and what readers need to know in its metadata."""
    described = {"kind": payload.column, "dtype": payload.dtype, "shape": payload.shape}
    described |= dataclasses.asdict(payload.sound) if payload.sound else {}
    fields = [pa.field(name, kind, name not in NEEDED or name == "labels") for name, kind in COLUMNS.items()]
    metadata = {"wlns.schema": SCHEMA, "wlns.instance": json.dumps(described)}
    return pa.schema([*fields, pa.field(payload.column, payload.type, False)], metadata)


def read_payload(schema: pa.Schema, name: str) -> Payload:
    """The payload that a file's schema states; raises BadData, naming the file, where it isn't `bags/1`."""
    stated = (schema.metadata or {}).get(b"wlns.schema", b"").decode()
    if stated != SCHEMA:
        raise BadData(f"{name} of schema {stated or 'unknown'}", SCHEMA, _REBUILD)
    missing = [column for column in NEEDED if column not in schema.names]
    payloads = [column for column in FORMS if column in schema.names]
    if missing or len(payloads) != 1:
        lacking = ", ".join(missing) or f"one of {', '.join(FORMS)} (has {', '.join(payloads) or 'none'})"
        raise BadData(f"{name} without column {lacking}", f"the columns of {SCHEMA}", _REBUILD)
    described = json.loads(schema.metadata[b"wlns.instance"])
    sound = Sound(*(described[field.name] for field in dataclasses.fields(Sound))) if payloads == ["audio"] else None
    payload = Payload(payloads[0], described["dtype"], tuple(described["shape"]), sound)
    for column, kind in {**COLUMNS, payload.column: payload.type}.items():
        if column in schema.names and schema.field(column).type != kind:
            raise BadData(f"{name} with {column} of type {schema.field(column).type}", str(kind), _REBUILD)
    return payload
