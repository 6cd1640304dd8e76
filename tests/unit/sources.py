"""The same rows in every form that a bag table is built from."""

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from PIL import Image

from negsift.common.data.table.build import build_table
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.data.table.schema import ENCODED
from negsift.common.data.table.sources.kinds import kind_of
from negsift.common.data.table.sources.source import BuildConfig

ROWS = pa.table({"bag_id": ["a", "b", "c"], "label": ["cat", "dog", "cat"], "x": [1.0, 2.0, 3.0]})


def with_column(name: str, values: Any) -> pa.Table:
    """`ROWS` with another content of a column, or one more column."""
    if name not in ROWS.column_names:
        return ROWS.append_column(name, pa.array(values))
    return ROWS.set_column(ROWS.column_names.index(name), name, pa.array(values))


def csv(folder: Path, rows: pa.Table) -> Path:
    pyarrow.csv.write_csv(rows, folder / "bags.csv")
    return folder / "bags.csv"


def flat(folder: Path, rows: pa.Table) -> Path:
    pq.write_table(rows, folder / "flat.parquet")
    return folder / "flat.parquet"


def nested(folder: Path, rows: pa.Table) -> Path:
    features = pa.array([[[x]] for x in rows["x"].to_pylist()])
    pq.write_table(rows.drop_columns("x").append_column("features", features), folder / "nested.parquet")
    return folder / "nested.parquet"


def arrays(folder: Path, rows: pa.Table) -> Path:
    (folder / "arrays").mkdir()
    pyarrow.csv.write_csv(rows.drop_columns("x"), folder / "arrays" / "labels.csv")
    for name, x in zip(rows["bag_id"].to_pylist(), rows["x"].to_pylist(), strict=True):
        np.save(folder / "arrays" / f"{name}.npy", [[x]])
    return folder / "arrays"


def images(folder: Path, rows: pa.Table) -> Path:
    picture = pa.array([{"bytes": png(number), "path": None} for number in range(len(rows))], ENCODED)
    pq.write_table(rows.append_column("image", picture), folder / "images.parquet")
    return folder / "images.parquet"


def png(level: int, mode: str = "L", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (8, 8), level).save(stream, "PNG", **options)
    return stream.getvalue()


def npy(bag: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, bag)
    return stream.getvalue()


def shard(path: Path, samples: Mapping[str, bytes], *others: tarfile.TarInfo) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as opened:
        for name, content in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
        for member in others:
            opened.addfile(member)
    return path


FORMS: dict[str, Callable[[Path, pa.Table], Path]] = {
    "csv": csv, "flat": flat, "nested": nested, "arrays": arrays, "images": images,
}  # fmt: skip
WITH_FEATURES = ("csv", "flat", "nested", "arrays")
PARQUET = ("flat", "nested", "images")


def built(source: Path, **settings: Any) -> list[dict[str, Any]]:
    """The bags of a table that is built from `source`."""
    kind = kind_of(source, BuildConfig(**settings))
    small = {"bag_size": 1, "image_size": 8} if kind == "images" else {}
    build_table(source.parent / "table", str(source), BuildConfig(**small | settings))
    return bags(source.parent / "table")


def bags(where: Path) -> list[dict[str, Any]]:
    files = read_manifest(Location.of(where)).files
    return [row for file in files for row in pq.read_table(where / file.name).to_pylist()]
