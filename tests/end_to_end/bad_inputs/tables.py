"""Bag tables that `pool inspect`, `train` and `pool build` are pointed at; their sources are told in the unit tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.end_to_end.bad_inputs.case import BAD_NAMES, NESTED, Case, Make, both, case, written
from tests.unit.tables import as_table, random_bags, third_positive, write

_READERS = {"inspect": "pool inspect t", "train": "train table data.root=t data.target=bird"}
_MANIFEST = "t/manifest-000001.json"


def _table() -> None:
    write("t", as_table(random_bags(20), third_positive(20)))


def _changed(change: Callable[[Any], object]) -> Make:
    def make() -> None:
        _table()
        values = json.loads(Path(_MANIFEST).read_text())
        changed = change(values)
        Path(_MANIFEST).write_text(json.dumps(values if changed is None else changed))

    return make


def _cut() -> None:
    _table()
    file = next(Path("t").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-9])


_MANIFESTS = {"cut short": "{", "a list": "[]", "a number": "1", "deep": NESTED, "empty": "", "latin-1": "é"}
_CHANGES: dict[str, Callable[[Any], object]] = {
    "no files": lambda values: values.pop("files") and None, "another schema": lambda values: values.update(schema="bags/9"),
    "no payload": lambda values: values.pop("payload") and None, "an unknown payload": lambda values: values["payload"].update(column="x"),
    "a shape of nothing": lambda values: values["payload"].update(shape=[]), "groups of numbers": lambda values: values["files"][0].update(groups=[1]),
    "another size": lambda values: values["files"][0].update(size_bytes=1),
}  # fmt: skip

_HUGE = (
    b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 64)}".ljust(117)
    + b"\n"
)
_SOURCES: dict[str, tuple[str, str, str]] = {
    "one label in two forms of Unicode": ("in.csv", "bag_id,label,f\na,\u00e9,1\nb,e\u0301,2\n", r"the class .* of t twice, spelt in two forms"),
    "a blank after an id": ("in.csv", "bag_id,label,f\na ,x,1\na,y,2\n", r"the bag_id 'a '; expected ids without blanks"),
}  # fmt: skip


def _lists(*labels: str) -> None:
    pq.write_table(pa.table({"bag_id": ["a", "b"], "labels": [list(labels), ["y"]], "f": [1.0, 2.0]}), "in.parquet")


CASES: dict[str, Case] = {
    **{f"build from {kind}": case(f"pool build t --from {name}", message, written(name, text.encode()))
       for kind, (name, text, message) in _SOURCES.items()},
    **{f"build from lists with the label {label!r}": case("pool build t --from in.parquet", rf"the label '{label}' in a list", lambda label=label: _lists("x", label))
       for label in ("", " ", "x ")},
    "build from an array larger than its file": case("pool build t --from in", r"in/a\.npy unreadable", both(written("in/a.npy", _HUGE), written("in/labels.csv", "bag_id,label\na,x\n"))),
    "inspect of labels that are no classes": case("pool inspect t", r"the label 'bird' in the files of \S*t; expected classes", _changed(lambda values: values.update(classes=["x", "y"]))),
    **{f"{name} of a manifest, {kind}": case(words, r"\bt\b", both(_table, written(_MANIFEST, text.encode("latin-1"))))
       for name, words in _READERS.items() for kind, text in _MANIFESTS.items() if kind != "deep"},
    **{f"{name} of a manifest with {kind}": case(words, r"found", _changed(change)) for name, words in _READERS.items() for kind, change in _CHANGES.items()},
    **{f"{name} of a table cut short": case(words, r"t/.*\.parquet", _cut) for name, words in _READERS.items()},
    **{f"{name} without its files": case(words, r"\bt\b", both(_table, lambda: [path.unlink() for path in Path("t").glob("*.parquet")]))
       for name, words in _READERS.items()},
    **{f"inspect {kind}": Case(("pool", "inspect", text), "found ") for kind, text in BAD_NAMES.items()},
    **{f"inspect {text}": case(f"pool inspect {text}", "found .*can't be opened|no bag table")
       for text in ("x://a/b", "file://host/a", "://", "ftp://a/b", "hdfs://nowhere-at-all:1/x", "~nobody-of-that-name/x")},
    "train of an unknown class": case("train table data.root=t data.target=x", "data.target 'x'", _table),
    "train of a version not there": case("train table data.root=t data.version=7", "no version 7 of t", _table),
    "train of a model for images": case("train table data.root=t data.target=bird model.name=resnet18", "resnet18", _table),
    "train of a file": case("train table data.root=f.csv", "found the file f.csv; expected the folder of a bag table", written("f.csv", "")),
    "build of files of another kind": case("pool build t --from in", r"labels.csv, s1.pkl below in, in all 1 of .csv, 1 of .pkl; expected one of the kinds images, audio", both(written("in/s1.pkl", ""), written("in/labels.csv", ""))),
    "build from nothing": case("pool build t --from in", "no file at in"),
    "build of an unknown kind": case("pool build t --from in kind=x", "kind 'x'", written("in/a", "")),
    "build from a text": case("pool build t --from in.txt", r"in\.txt", written("in.txt", "x")),
    "build from an empty folder": case("pool build t --from in", r"\bin\b", lambda: Path("in").mkdir()),
    "build of floats without labels": case("pool build t --from in", r"labels\.csv", lambda: (Path("in").mkdir(), np.save("in/a.npy", np.zeros((2, 3))))),
}  # fmt: skip
