"""Folders of images, of CIFAR-10 and of clips that can't be used."""

import io
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.end_to_end.bad_inputs.case import (
    BAD_NAMES,
    NESTED,
    Case,
    Make,
    both,
    case,
    no_texts,
    not_files,
    written,
)  # fmt: skip
from tests.unit.clips import encoded_clip

_ROOTED = {"images": "train images", "cifar10": "train cifar10", "clips": "train audio-scenes", "table": "train table"}
_CLIPS = (
    "train audio-scenes data.root=in data.audio.seconds=1 data.audio.frames=128 data.audio.mels=32 data.val_share=0.2"
)
_FOUND = r"(training clips.*\n|test clips.*\n|left out.*\n|.*classes without a name.*\n)*"


def _png(size: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((size, size, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def _images(*contents: bytes) -> Make:
    """Two classes, with these files each."""
    files = [written(f"in/{name}/{number}.png", data) for name in "ab" for number, data in enumerate(contents)]
    return both(*files)


def _irregular() -> Iterator[tuple[str, Make]]:
    for kind, make in not_files("in/a/0.png"):
        if kind != "folder":
            yield kind, both(written("in/b/x.txt", ""), lambda: Path("in/a").mkdir(), make)


def _parquet(path: str, **columns: object) -> Make:
    def make() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)

    return make


def _batch(content: object) -> Make:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    return both(*(written(f"in/{name}", pickle.dumps(content)) for name in names))


def _unlistable(*makes: Make) -> Make:
    return both(*makes, lambda: Path("in").chmod(0o600))


_IMAGE = [{"bytes": _png(32), "path": "a.png"}]
_CIFAR = {
    "other columns": {"a": [1]}, "labels of text": {"img": _IMAGE, "label": ["x"]}, "no label": {"img": _IMAGE},
    "a label too large": {"img": _IMAGE, "label": [10]}, "a negative label": {"img": _IMAGE, "label": [-1]},
    "a missing label": {"img": _IMAGE * 2, "label": [1, None]}, "images of text": {"img": ["a"], "label": [1]},
    "no bytes": {"img": [{"path": "a"}], "label": [1]}, "images of another size": {"img": [{"bytes": _png(8)}], "label": [1]},
    "bytes of text": {"img": [{"bytes": "a"}], "label": [1]}, "null images": {"img": pa.array([None], pa.struct([("bytes", pa.binary())])), "label": [1]},
    "nested labels": {"img": _IMAGE, "label": [[1]]}, "no rows": {"img": pa.array([], pa.struct([("bytes", pa.binary())])), "label": pa.array([], pa.int64())},
}  # fmt: skip
_BATCHES = {
    "a list": [1], "no labels": {b"data": np.zeros((1, 3072), np.uint8)}, "another width": {b"data": np.zeros((1, 7)), b"labels": [0]},
    "other labels": {b"data": np.zeros((1, 3072), np.uint8), b"labels": [99]}, "labels of text": {b"data": np.zeros((1, 3072), np.uint8), b"labels": ["x"]},
    "code": os.getcwd, "nothing": None, "too few labels": {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]},
}  # fmt: skip
_LIST = "balanced_train_segments.csv"
_SEGMENTS = {
    "one word": "abc\n", "two fields": "a, 1\n", "times of text": 'a, x, y, "/m/high"\n', "only comments": "# a\n# b\n",
    "a clip twice": 'a, 0, 1, "/m/high"\na, 0, 1, "/m/high"\n', "infinite times": 'a, inf, inf, "/m/high"\n',
    "nan": 'a, nan, nan, "/m/high"\n', "a field of 200,000": f'a, 0, 1, "{"x" * 200_000}\n', "an open quote": 'a, 0, 1, "/m/high\nb',
    "clips without files": 'zzzzzzzzzzz, 0.000, 10.000, "/m/high"\n', "JSON": NESTED[:50],
}  # fmt: skip
_ONTOLOGIES = {
    "an object": "{}x", "a number": "1", "numbers": "[1]", "texts": '["a"]', "no id": '[{"child_ids": []}]', "no children": '[{"id": "a"}]',
    "children of text": '[{"id": "a", "child_ids": "b"}]', "an id of lists": '[{"id": [], "child_ids": []}]', "deep": NESTED,
    "children of numbers": '[{"id": "a", "child_ids": [1]}]', "null": "null", "an id of objects": '[{"id": {}, "child_ids": []}]',
}  # fmt: skip
_INDICES = {
    "two columns": "0,/m/a\n",
    "a text for a number": "0,a,b\nx,c,d\n",
    "four columns": "index,mid,a,b\n",
    "JSON": "[1]\n",
}
_CLIP_FILES = {
    "other columns": {"a": [1]}, "ids of numbers": {"video_id": [1], "audio": [{"bytes": b""}], "labels": [["a"]]},
    "sound of text": {"video_id": ["a"], "audio": ["x"], "labels": [["a"]]}, "labels of text": {"video_id": ["a"], "audio": [{"bytes": b""}], "labels": ["a"]},
    "no id": {"video_id": pa.array([None], pa.string()), "audio": [{"bytes": b""}], "labels": [["a"]]},
    "an id twice": {"video_id": ["a", "a"], "audio": [{"bytes": b""}] * 2, "labels": [["a"]] * 2},
    "nested labels": {"video_id": ["a"], "audio": [{"bytes": b""}], "labels": [[["a"]]]},
    "labels of numbers": {"video_id": ["a"], "audio": [{"bytes": b""}], "labels": [[1]]},
}  # fmt: skip


def _lists(train: str | bytes, test: str | bytes = 'a, 0, 1, "/m/high"\n') -> Make:
    return both(written(f"in/{_LIST}", train), written("in/eval_segments.csv", test))


_LISTED = both(
    _lists('aaaaaaaaaaa, 0.000, 1.000, "/m/high"\n', 'bbbbbbbbbbb, 0.000, 1.000, "/m/high"\n'),
    lambda: written("in/bbbbbbbbbbb.flac", encoded_clip(0))(),
)
_CLIP = both(_LISTED, lambda: written("in/aaaaaaaaaaa.flac", encoded_clip(0))())


def _beside_lists(name: str, text: str | bytes) -> Make:
    return both(_CLIP, written(f"in/{name}", text))


CASES: dict[str, Case] = {
    **{f"{name} without a root": case(words, r"data\.root") for name, words in _ROOTED.items()},
    **{f"{name} in {kind}": Case((*words.split(), f"data.root={text}"), r"data\.root|found|a b")
       for name, words in _ROOTED.items() for kind, text in {**BAD_NAMES, "an empty name": "", "another user": "~nobody-of-that-name/x"}.items()},
    **{f"{name} in {kind}": case(f"{words} data.root=in", r"\bin\b", make)
       for name, words in _ROOTED.items() for kind, make in not_files("in")},
    **{f"{name} in a missing folder": case(f"{words} data.root=in", r"\bin\b") for name, words in _ROOTED.items()},
    **{f"{name} in an empty folder": case(f"{words} data.root=in", r"\bin\b", lambda: Path("in").mkdir()) for name, words in _ROOTED.items()},
    **{f"{name} in a folder that can't be listed": case(f"{words} data.root=in", r"[Pp]ermission", lambda: Path("in").mkdir(mode=0), unprivileged=True)
       for name, words in _ROOTED.items()},
    **{f"images: {kind}": case("train images data.root=in data.target=a data.bag_size=1", names, make, unprivileged=True) for kind, names, make in (
        ("one class", "1 class folder in in", written("in/a/0.png", _png())), ("a list", "in/labels.csv, a list .*; make a table: negsift pool build", both(_images(_png()), written("in/labels.csv", ""))), ("no image", "no image below in", both(written("in/a/x", ""), written("in/b/x", ""))),
        ("one image a class", "1 image of class 'a'", _images(_png())), ("text in pictures", "undecodable", _images(b"x", b"y")),
        ("empty pictures", "undecodable", _images(b"", b"")), ("pictures cut short", "undecodable", _images(_png(64)[:60], _png(64)[:70])),
        ("classes in one part only", "class b in only one of", both(*(written(f"in/{part}/0.png", _png()) for part in ("train/a", "train/b", "train/c", "test/a", "test/c")))),
        ("train alone empty", "in/train", both(written("in/train/x", ""), written("in/test/x", ""))),
        ("a class that can't be listed", "in/b", both(_images(_png(), _png()), lambda: Path("in/b").chmod(0))),
        ("pictures that can't be read", "undecodable .*[Pp]ermission", both(_images(_png(), _png()), lambda: [path.chmod(0) for path in Path("in").rglob("*.png")])),
    )},
    **{f"images: {kind}": case("train images data.root=in data.target=a", r"0\.png", make) for kind, make in _irregular()},
    **{f"CIFAR-10 as parquet: {kind}": case("train cifar10 data.root=in", r"\bin\b", both(_parquet("in/train.parquet", **columns), _parquet("in/test.parquet", **columns)))
       for kind, columns in _CIFAR.items()},
    **{f"CIFAR-10 as parquet: {kind}": case("train cifar10 data.root=in", r"train\.parquet", both(written("in/test.parquet", ""), make))
       for kind, make in (*no_texts("in/train.parquet"), *not_files("in/train.parquet")) if kind != "folder"},
    **{f"CIFAR-10 in batches: {kind}": case("train cifar10 data.root=in", "data_batch_1", _batch(content)) for kind, content in _BATCHES.items()},
    **{f"CIFAR-10 in batches: {kind}": case("train cifar10 data.root=in", "data_batch_1", both(*(written(f"in/data_batch_{number}", "") for number in range(2, 6)), make))
       for kind, make in (*no_texts("in/data_batch_1"), *not_files("in/data_batch_1")) if kind != "folder"},
    "CIFAR-10 with a batch missing": case("train cifar10 data.root=in", "data_batch_1", written("in/data_batch_2", "")),
    **{f"clips: a list of {kind}": case(_CLIPS, "segments|clip", _lists(text)) for kind, text in _SEGMENTS.items()},
    **{f"clips: a list, {kind}": case(_CLIPS, _LIST, both(written("in/eval_segments.csv", ""), make))
       for kind, make in (*no_texts(f"in/{_LIST}"), *not_files(f"in/{_LIST}")) if kind != "link to itself"},
    **{f"clips: an ontology, {kind}": case(_CLIPS, r"ontology\.json", _beside_lists("ontology.json", text)) for kind, text in _ONTOLOGIES.items()},
    **{f"clips: an ontology, {kind}": case(_CLIPS, r"ontology\.json", both(_CLIP, make))
       for kind, make in (*no_texts("in/ontology.json"), *not_files("in/ontology.json")) if kind != "link to itself"},
    **{f"clips: names, {kind}": case(_CLIPS, r"class_labels_indices\.csv", _beside_lists("class_labels_indices.csv", text)) for kind, text in _INDICES.items()},
    **{f"clips: names, {kind}": case(_CLIPS, r"class_labels_indices\.csv", both(_CLIP, make))
       for kind, make in (*no_texts("in/class_labels_indices.csv"), *not_files("in/class_labels_indices.csv")) if kind not in ("link to itself", "empty")},
    **{f"clips: classes, {kind}": case(f"{_CLIPS} data.audio.classes=classes.txt", r"classes\.txt|class in|data\.audio\.classes", both(_CLIP, make))
       for kind, make in (*no_texts("classes.txt"), *not_files("classes.txt"))},
    **{f"clips: classes={text[:9]}": Case((*_CLIPS.split(), f"data.audio.classes={text}"), r"data\.audio\.classes|classes in", _CLIP)
       for text in ("top:0", "top:x", "top:" + "9" * 5000, "top:-1", "forty", "", *BAD_NAMES.values(), "~nobody-of-that-name/x")},
    **{f"clips as parquet: {kind}": case(_CLIPS, r"\bin\b", both(_parquet("in/bal_train/0.parquet", **columns), _parquet("in/eval/0.parquet", **columns)))
       for kind, columns in _CLIP_FILES.items()},
    **{f"clips as parquet: {kind}": case(_CLIPS, r"0\.parquet", both(written("in/eval/0.parquet", ""), lambda: Path("in/bal_train").mkdir(), make))
       for kind, make in (*no_texts("in/bal_train/0.parquet"), *not_files("in/bal_train/0.parquet")) if kind != "folder"},
    **{f"clips of {kind}": case(_CLIPS, r"aaaaaaaaaaa", both(_LISTED, written("in/aaaaaaaaaaa.flac", data)), says=_FOUND)
       for kind, data in {"nothing": b"", "text": b"x" * 99, "a picture": _png(), "a FLAC cut short": encoded_clip(0)[:400]}.items()},
    "clips that are FIFOs": case(_CLIPS, "no clip of", both(_LISTED, lambda: os.mkfifo("in/aaaaaaaaaaa.flac"))),
}  # fmt: skip
