"""The Arrow schema `bags/1`: a row is a bag, with an id, labels, a split and one payload.

bag_id       string, unique
labels       list<string>: the classes it is positive for; [] for none, null where nobody looked
split        string train, val, test (optional)
group_id     string that splits never cut: patient, video, speaker (optional)
n_instances  int32
features     large_list<fixed_size_list<float16 or float32>>, ragged    | exactly
instances    list<struct<bytes, path>>, encoded images                  | one of
image        struct<bytes, path>, a bag of one                          | these
"""

import json
from dataclasses import dataclass
from math import prod

import numpy as np
import pyarrow as pa

from common.errors import BadData, UnknownName

SCHEMA = "bags/1"
SPLITS = ("train", "val", "test")
PAYLOADS = ("features", "instances", "image")
ENCODED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
COLUMNS = {
    "bag_id": pa.string(), "labels": pa.list_(pa.string()), "split": pa.string(), "group_id": pa.string(),
    "n_instances": pa.int32(),
}  # fmt: skip
NEEDED = ("bag_id", "labels", "n_instances")
_REBUILD = "build the table with `python -m deploy pool build`"


@dataclass(frozen=True)
class Payload:
    """What bags are made of: the column, and dtype and shape of one decoded instance."""

    column: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.column not in PAYLOADS:
            raise UnknownName("payload", self.column, PAYLOADS)
        known = ("float16", "float32") if self.column == "features" else ("uint8",)
        if self.dtype not in known or len(self.shape) != (1 if self.column == "features" else 3) or min(self.shape) < 1:
            raise BadData(f"{self.column} of {self.dtype}{list(self.shape)}", f"{' or '.join(known)}[…]", _REBUILD)

    @property
    def instance_bytes(self) -> int:
        """What one decoded instance takes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def type(self) -> pa.DataType:
        """The column's Arrow type."""
        if self.column == "features":
            return pa.large_list(pa.list_(pa.from_numpy_dtype(self.dtype), self.shape[0]))
        return ENCODED if self.column == "image" else pa.list_(ENCODED)

    def __str__(self) -> str:
        return f"{self.column} {self.dtype}{list(self.shape)}"


def table_schema(payload: Payload) -> pa.Schema:
    """The schema with every optional column, and what readers need to know in its metadata."""
    described = {"kind": payload.column, "dtype": payload.dtype, "shape": payload.shape}
    fields = [pa.field(name, kind, name not in NEEDED or name == "labels") for name, kind in COLUMNS.items()]
    metadata = {"wlns.schema": SCHEMA, "wlns.instance": json.dumps(described)}
    return pa.schema([*fields, pa.field(payload.column, payload.type, False)], metadata)


def read_payload(schema: pa.Schema, name: str) -> Payload:
    """The payload that a file's schema states; raises BadData, naming the file, where it isn't `bags/1`."""
    stated = (schema.metadata or {}).get(b"wlns.schema", b"").decode()
    if stated != SCHEMA:
        raise BadData(f"{name} of schema {stated or 'unknown'}", SCHEMA, _REBUILD)
    missing = [column for column in NEEDED if column not in schema.names]
    payloads = [column for column in PAYLOADS if column in schema.names]
    if missing or len(payloads) != 1:
        lacking = ", ".join(missing) or f"one of {', '.join(PAYLOADS)} (has {', '.join(payloads) or 'none'})"
        raise BadData(f"{name} without column {lacking}", f"the columns of {SCHEMA}", _REBUILD)
    described = json.loads(schema.metadata[b"wlns.instance"])
    payload = Payload(payloads[0], described["dtype"], tuple(described["shape"]))
    for column, kind in {**COLUMNS, payload.column: payload.type}.items():
        if column in schema.names and schema.field(column).type != kind:
            raise BadData(f"{name} with {column} of type {schema.field(column).type}", str(kind), _REBUILD)
    return payload
