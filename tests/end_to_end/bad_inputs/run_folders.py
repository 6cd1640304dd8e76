"""Runs' folders that were damaged: what `train` resumes and what `report` reads."""

import functools
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from negsift.deploy.main import main
from tests.end_to_end.bad_inputs.case import (
    DEEP_OBJECT,
    NESTED,
    Case,
    Make,
    both,
    case,
    no_texts,
    not_files,
    replaced,
    written,
)  # fmt: skip

_TRAIN = "train digits training.epochs=1 data.image_size=16 fleet.shards=1 --out run"
_LOADED = r"digits, class 8: .*\n"
_STATE = "checkpoint/last.pt"
_SELECTION = "selections/epoch=0000.parquet"


@functools.cache
def _files() -> Mapping[str, bytes]:
    """What a run of one epoch leaves."""
    with tempfile.TemporaryDirectory() as folder:
        words = _TRAIN.replace("--out run", f"--out {folder}").split()
        assert main(words) == 0
        paths = [path for path in Path(folder).rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _run(without: str = "") -> None:
    for name, data in _files().items():
        if name != without:
            written(f"run/{name}", data)()


def _unfinished() -> None:
    _run(without="summary.json")


def _damaged(name: str, make: Make, base: Make = _run) -> Make:
    return both(base, replaced(f"run/{name}", make))


def _changed(name: str, change: Callable[[Any], object]) -> Make:
    """The run with a JSON file changed."""

    def make() -> None:
        values = json.loads(_files()[name])
        written(f"run/{name}", json.dumps(change(values) or values))()

    return both(_run, make)


def _state(change: Callable[[Any], object]) -> Make:
    """The unfinished run with a checkpoint changed."""

    def make() -> None:
        state = torch.load(io.BytesIO(_files()[_STATE]), weights_only=True)
        changed = change(state)
        torch.save(state if changed is None else changed, f"run/{_STATE}")

    return both(_unfinished, make)


def _columns(**columns: object) -> Make:
    whole = {"index": [0, 1], "bag_id": ["a", "b"], "score": [0.0, 1.0], "weight": [1.0, 1.0]} | columns
    table = pa.table({name: values for name, values in whole.items() if values is not None})
    return both(_run, lambda: pq.write_table(table, f"run/{_SELECTION}"))


_JSON = {
    "cut short": '{"strategy"', "a list": "[]", "a number": "1", "null": "null", "a text": '"x"', "deep lists": NESTED,
    "deep objects": DEEP_OBJECT, "nested deeper than ours": '{"a":' * 200 + "1" + "}" * 200, "two values": "{}{}",
    "a key twice": '{"seed": 1, "seed": 2}', "a number of 5,000 digits": '{"seed": ' + "9" * 5000 + "}",
}  # fmt: skip
_SHAPES = {
    "test": lambda values: values.pop("test"), "last": lambda values: values.update(last=[1]),
    "strategy": lambda values: values.pop("strategy"), "ap": lambda values: values["test"].pop("ap"),
    "a text for a number": lambda values: values["last"].update(roc_auc="1"),
    "null for test": lambda values: values.update(test=None), "no value": lambda values: {"a": 1},
}  # fmt: skip
_CONFIGS = {
    "no data": lambda values: values.pop("data"), "a list of data": lambda values: values.update(data=[1]),
    "null for data": lambda values: values.update(data=None), "other keys": lambda values: {"a": {"b": 1}},
    "a text for data": lambda values: values.update(data="x"), "nothing": lambda values: {"": {}},
    "a long key": lambda values: values.update({"k" * 5000: 1}), "nan": lambda values: values.update(seed=float("nan")),
}  # fmt: skip
_STATES: dict[str, Callable[[Any], object]] = {
    "a list": lambda state: [1],
    "no progress": lambda state: state.pop("progress") and None,
    "no request ahead": lambda state: {name: state[name] for name in state if name != "ahead"},
    "progress as a list": lambda state: state | {"progress": []},
    "sampler as a text": lambda state: state | {"sampler": "x"},
    "null for all": lambda state: dict.fromkeys(state), "no history": lambda state: state["progress"].pop("history") and None,
    "another pool": lambda state: state["progress"].update(picked=torch.zeros(3, dtype=torch.bool)),
    "a selection of texts": lambda state: state["progress"].update(selection=["a", "b", "c"]),
    "history of numbers": lambda state: state["progress"].update(history=[3]),
    "without the best weights": lambda state: state["progress"].update(best_weights={}),
    "a best epoch not there": lambda state: state["progress"].update(best_epoch=7),
    "other weights": lambda state: state["learner"].update({next(iter(state["learner"])): {"a": torch.zeros(1)}}),
}  # fmt: skip
_LINES = {
    "cut short": '{"epoch": 0', "a list": "[0]", "a number": "0", "deep": NESTED, "deep objects": DEEP_OBJECT,
    "no epoch": "{}", "a text": '{"epoch": "0"}', "a fraction": '{"epoch": 0.5}', "negative": '{"epoch": -1}',
    "huge": '{"epoch": 1' + "0" * 400 + "}", "longer": '{"epoch": ' + "9" * 5000 + "}", "null": '{"epoch": null}',
    "a loss of text": '{"epoch": 0, "loss": "x"}', "a loss of lists": '{"epoch": 0, "loss": [1]}', "true": '{"epoch": true}',
    "val of text": '{"epoch": 0, "val": "x"}', "seconds of numbers": '{"epoch": 0, "seconds": 3}', "two": "{}{}",
    "a key twice": '{"epoch": 0, "epoch": 1}', "UTF-16": '{"epoch": 0}'.encode("utf-16").decode("latin-1"),
}  # fmt: skip

_SOME = ("empty", "FIFO", "link to /dev/zero", "link to itself")
"""Of the kinds of files, those that are tried where it takes a tenth of a second to reach the reader."""

CASES: dict[str, Case] = {
    **{f"{file}, {kind}, by {words.split()[0]}": case(words, file.replace(".", r"\."), _damaged(file, written(f"run/{file}", text)))
       for file in ("config.json", "summary.json") for kind, text in _JSON.items() for words in (_TRAIN, "report run")},
    **{f"{file}, {kind}, by {words.split()[0]}": case(words, file.replace(".", r"\."), _damaged(file, make))
       for file in ("config.json", "summary.json") for words in (_TRAIN, "report run")
       for kind, make in (*no_texts(f"run/{file}"), *not_files(f"run/{file}"))},
    **{f"a summary without {kind}": case(_TRAIN, r"summary\.json", _changed("summary.json", change))
       for kind, change in _SHAPES.items()},
    **{f"a configuration with {kind}": case(_TRAIN, r"another run in run .*differs in", _changed("config.json", change))
       for kind, change in _CONFIGS.items()},
    **{f"a checkpoint that is {kind}": case(_TRAIN, r"checkpoint|pool of 3 bags", _state(change), says=_LOADED)
       for kind, change in _STATES.items()},
    **{f"a checkpoint file, {kind}": case(_TRAIN, r"last\.pt", _damaged(_STATE, make, _unfinished), says=_LOADED)
       for kind, make in (*no_texts(f"run/{_STATE}"), *not_files(f"run/{_STATE}")) if kind in _SOME},
    "a checkpoint cut short": case(_TRAIN, r"last\.pt", both(_unfinished, lambda: written(f"run/{_STATE}", _files()[_STATE][:900])()), says=_LOADED),
    **{f"metrics, {kind}": case("report run", r"metrics\.jsonl", _damaged("metrics.jsonl", written("run/metrics.jsonl", text)))
       for kind, text in _LINES.items()},
    **{f"metrics, {kind}": case("report run", r"metrics\.jsonl", _damaged("metrics.jsonl", make))
       for kind, make in (*no_texts("run/metrics.jsonl"), *not_files("run/metrics.jsonl")) if kind != "empty"},
    **{f"selections, {kind}": case("report run", r"epoch=0000\.parquet", _damaged(_SELECTION, make))
       for kind, make in (*no_texts(f"run/{_SELECTION}"), *not_files(f"run/{_SELECTION}")) if kind in _SOME},
    "selections cut short": case("report run", r"epoch=0000\.parquet",
                                 both(_run, lambda: written(f"run/{_SELECTION}", _files()[_SELECTION][:-20])())),
    **{f"selections with {kind}": case("report run", r"epoch=0000\.parquet", make) for kind, make in {
        "no index": _columns(index=None), "nested indices": _columns(index=[[0], [1]]),
        "a missing index": _columns(index=[0, None]), "a negative index": _columns(index=[-1, 0]),
    }.items()},
    **{f"report of {kind}": case("report run", "found .*run", make) for kind, make in not_files("run") if kind != "folder"},
    "dry run in a sweep of another recipe": case("sweep digits --dry-run --out run", "a sweep of cifar10", written("run/sweep.json", '{"recipe": "cifar10"}')),
    "report of an empty folder": case("report run", "run, which contains no run", lambda: Path("run").mkdir()),
    "report of nothing": case("report run", "run, which is no folder"),
    **{f"report below {kind}": case(f"report {name}", "found ") for kind, name in {"a name too long": "n" * 300, "a long path": "a/" * 2500}.items()},
}  # fmt: skip
