"""The Arrow schema `bags/1`: a row is a bag, with an id, labels, a split and one payload.

bag_id       string, unique
labels       list<string>: the classes it is positive for; [] for none, null for an unlabeled bag
split        string train, val, test (optional)
group_id     string; bags of one patient, video or speaker, which must share a split (optional)
n_instances  int32
features     large_list<fixed_size_list<float16 or float32>>, ragged    | exactly
instances    list<struct<bytes, path>>, encoded images                  | one of
image        struct<bytes, path>, a bag of one                          | these
audio        struct<bytes, path>, an encoded clip, a bag of one         |
instance_rows  list<int64>, rows of the instance table                  |
coords       large_list<fixed_size_list<float32, 2>>: where each instance of `features` lies, say in a slide (optional)
instance_labels  large_list<int8>: a label of each instance of `features`, 1 for a positive one (optional)

The instance table consists of other files in the same folder, of the same schema, with one image a row.
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
"""For each payload column, the dtypes and the number of axes that a decoded instance may have."""
ENCODED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
COLUMNS = {
    "bag_id": pa.string(), "labels": pa.list_(pa.string()), "split": pa.string(), "group_id": pa.string(),
    "n_instances": pa.int32(),
}  # fmt: skip
COORDS = pa.large_list(pa.list_(pa.float32(), 2))
OF_INSTANCES = {"coords": COORDS, "instance_labels": pa.large_list(pa.int8())}
"""What may be known of the instances of `features` besides."""
NEEDED = ("bag_id", "labels", "n_instances")
_REBUILD = "build the table with `negsift pool build`"


@dataclass(frozen=True)
class SoundFormat:
    """Samples a second and seconds to which clips are brought before their `features` are computed."""

    sample_rate: int
    seconds: float
    features: str = LOG_MEL

    def __post_init__(self) -> None:
        if self.features != LOG_MEL:
            raise BadData(f"clips for features {self.features}", LOG_MEL, _REBUILD)


@dataclass(frozen=True)
class Payload:
    """The column that holds the bags' content, dtype and shape of one decoded instance, and for clips the `sound`.
    Raises UnknownName for a column, BadData for a dtype or shape that does not go with it.
    """

    column: str
    dtype: str
    shape: tuple[int, ...]
    sound: SoundFormat | None = None

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
        """Whether bags contain row numbers of an instance table."""
        return self.column == "instance_rows"

    @property
    def kind(self) -> str:
        """What instances are: features, images or clips."""
        return {"features": "features", "audio": "clips"}.get(self.column, "images")

    @property
    def instance_payload(self) -> "Payload":
        """The payload of the instance table."""
        return Payload("image", self.dtype, self.shape) if self.views else self

    @property
    def decoded(self) -> tuple[str, tuple[int, ...]]:
        """Dtype and shape of an instance in a decoded row group; row numbers for bags of an instance table."""
        return ("int64", ()) if self.views else (self.dtype, self.shape)

    @property
    def output_dtype(self) -> str:
        """The dtype of gathered instances: features are widened to float32, the rest keeps its dtype."""
        return "float32" if self.column == "features" else self.decoded[0]

    @property
    def audio(self) -> AudioConfig:
        """The parameters of the clips' features; only for clips."""
        assert self.sound is not None
        frames, mels = self.shape
        return AudioConfig(sample_rate=self.sound.sample_rate, seconds=self.sound.seconds, frames=frames, mels=mels)

    @property
    def instance_bytes(self) -> int:
        """Memory of an instance in a decoded row group."""
        return prod(self.decoded[1]) * np.dtype(self.decoded[0]).itemsize

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
    """The schema with every optional column, and the payload in its metadata."""
    described = {"kind": payload.column, "dtype": payload.dtype, "shape": payload.shape}
    described |= dataclasses.asdict(payload.sound) if payload.sound else {}
    fields = [pa.field(name, kind, name not in NEEDED or name == "labels") for name, kind in COLUMNS.items()]
    # wlns was the project's first name; the keys stay so that older tables can be read.
    metadata = {"wlns.schema": SCHEMA, "wlns.instance": json.dumps(described)}
    fields.append(pa.field(payload.column, payload.type, False))
    more = OF_INSTANCES if payload.column == "features" else {}
    return pa.schema([*fields, *(pa.field(name, kind) for name, kind in more.items())], metadata)


def read_payload(schema: pa.Schema, name: str) -> Payload:
    """The payload that a file's schema states. Raises BadData, naming the file, for any other schema than `bags/1`."""
    stated = (schema.metadata or {}).get(b"wlns.schema", b"").decode()
    if stated != SCHEMA:
        raise BadData(f"{name} of schema {stated or 'unknown'}", SCHEMA, _REBUILD)
    missing = [column for column in NEEDED if column not in schema.names]
    payloads = [column for column in FORMS if column in schema.names]
    if missing or len(payloads) != 1:
        lacking = ", ".join(missing) or f"one of {', '.join(FORMS)} (has {', '.join(payloads) or 'none'})"
        raise BadData(f"{name} without column {lacking}", f"the columns of {SCHEMA}", _REBUILD)
    described = json.loads(schema.metadata[b"wlns.instance"])
    keys = [field.name for field in dataclasses.fields(SoundFormat)]
    sound = SoundFormat(*(described[key] for key in keys)) if payloads == ["audio"] else None
    payload = Payload(payloads[0], described["dtype"], tuple(described["shape"]), sound)
    for column, kind in {**COLUMNS, payload.column: payload.type, **OF_INSTANCES}.items():
        if column in schema.names and schema.field(column).type != kind:
            raise BadData(f"{name} with {column} of type {schema.field(column).type}", str(kind), _REBUILD)
    return payload
