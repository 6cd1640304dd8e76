"""Bag tables of clips: the features of a ClipSet, within the budget, and never mixed with other parameters."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.cache_folder import cache_folder
from negsift.common.data.catalogue import load_split
from negsift.common.data.table import decoded_row_group, row_group_cache, row_group_stream
from negsift.common.data.table.bags import TableBags, open_pool, open_positives
from negsift.common.data.table.decoded_row_group import working_bytes
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.data.table.memory_use import TRANSIENT_GROUPS, streaming_bytes
from negsift.common.data.table.row_group_stream import RowGroupStream
from negsift.common.data.table.schema import ENCODED, FORMS, Payload, SoundFormat
from negsift.common.data.table.writer import TableWriter
from negsift.common.errors import BadData
from tests.unit.clip_tables import CLIPS, LABELS, build, features
from tests.unit.clips import HIGH, SMALL, clip_id, data, encoded_clip, tags_of, write_folder

SCENES = Path(__file__).parents[3] / "shared" / "data" / "audio-scenes"
NUMBERS = [number for number in range(40) if HIGH not in tags_of(number)]
PAYLOAD = Payload("audio", "float16", (SMALL.frames, SMALL.mels), SoundFormat(SMALL.sample_rate, SMALL.seconds))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("clips") / "audioset")


@pytest.fixture(scope="module")
def where(root: Path) -> Location:
    return build(root, root.parent / "table")


@pytest.fixture
def pool(where: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TableBags:
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(row_group_cache, "IN_USE", WeakValueDictionary())  # nothing of other tests
    return open_pool(where, LABELS[HIGH])


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return features([encoded_clip(number) for number in NUMBERS])


def same_as_a_clip_set(bags: TableBags, clips: ClipSet) -> int:
    """How many clips of a ClipSet have the table's numbers, bit for bit; all must."""
    place = {name: at for at, name in enumerate(bags.bag_id(np.arange(len(bags))))}
    found = [bags[place[name]] for name in clips.bag_id(np.arange(len(clips)))]
    for one, other in zip(found, clips.gather(np.arange(len(clips))), strict=True):
        assert (one.dtype, torch.equal(one, other)) == (torch.float16, True)
    return len(found)


def test_clips_of_a_table_are_those_of_a_clip_set(root: Path, where: Location) -> None:
    split = load_split(data(root))
    assert isinstance(split.pool, ClipSet)
    assert isinstance(split.positives, ClipSet)
    assert same_as_a_clip_set(open_pool(where, LABELS[HIGH]), split.pool) == len(split.pool) > 10
    assert same_as_a_clip_set(open_positives(where, LABELS[HIGH]), split.positives) == len(split.positives) > 10


@pytest.mark.skipif(not SCENES.exists(), reason="no audio-scenes in ../shared/data")
def test_real_clips_of_a_table_are_those_of_a_clip_set(tmp_path: Path) -> None:
    for folder, name in (("train", "balanced_train_segments.csv"), ("eval", "eval_segments.csv")):
        (tmp_path / "a" / folder).mkdir(parents=True)
        kept = []
        for line in (SCENES / name).read_text().splitlines()[3:]:
            found = sorted((SCENES / folder).glob(f"*{line.split(',')[0]}*"))
            if found and len(kept) < 8:
                kept.append(line)
                shutil.copy(found[0], tmp_path / "a" / folder)
        (tmp_path / "a" / name).write_text("\n".join(kept))
    audio = AudioConfig(classes="all", sample_rate=22_050, mels=64)
    where = build(
        tmp_path / "a", tmp_path / "t", dataclasses.replace(CLIPS, sample_rate=22_050, mels=64, frames=1056, seconds=10)
    )
    target = min(read_manifest(where).classes)
    split = load_split(data(tmp_path / "a", target, audio, val_share=0.01))
    assert isinstance(split.pool, ClipSet)
    assert same_as_a_clip_set(open_pool(where, target), split.pool) > 0


def test_clips_are_gathered_as_models_take_them(pool: TableBags, expected: np.ndarray) -> None:
    assert pool.bag_id(np.arange(len(pool))) == [clip_id(number) for number in NUMBERS]
    batch = pool.gather(np.array([0, 5, 17]))
    assert isinstance(batch, torch.Tensor)
    np.testing.assert_array_equal(batch.numpy(), expected[[0, 5, 17]])
    (loaded,) = DataLoader(Subset(pool, [17, 0]), batch_size=2)  # type: ignore[arg-type]  # a map-style dataset
    np.testing.assert_array_equal(loaded.numpy(), expected[[17, 0]])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_numbers_do_not_depend_on_the_threads_outside(pool: TableBags, expected: np.ndarray, threads: int) -> None:
    outside = torch.get_num_threads()
    torch.set_num_threads(threads)
    found = torch.stack(list(pool))
    torch.set_num_threads(outside)
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize(("held", "disk"), [(0, 0), (0, 1 << 20), (100_000, 0), (100_000, 100_000), (1 << 20, 0)])
def test_clips_are_the_same_whatever_the_budget(pool: TableBags, expected: np.ndarray, held: int, disk: int) -> None:
    scan = RowGroupStream(
        pool.row_index, range(len(pool)), DecodingBudget(streaming_bytes(pool.row_index) + held, disk)
    )
    found = [scan.gather(np.arange(start, min(start + 4, len(pool)))) for start in range(0, len(pool), 4)]
    np.testing.assert_array_equal(np.concatenate(found), expected)
    size = sum(part.result().decoded.values.nbytes for part in scan.resident.values())
    assert (held > 0) <= (size > 0)
    assert size <= held
    assert len(scan.transient) <= TRANSIENT_GROUPS
    assert sum(path.stat().st_size for path in cache_folder().rglob("*.bags")) <= disk


def test_what_decoding_clips_takes_is_in_the_budget(pool: TableBags, monkeypatch: pytest.MonkeyPatch) -> None:
    one = streaming_bytes(pool.row_index)
    longer = dataclasses.replace(PAYLOAD, sound=SoundFormat(SMALL.sample_rate, 11.0))
    manifest = dataclasses.replace(pool.manifest, payload=longer)
    more = streaming_bytes(dataclasses.replace(pool.row_index, manifest=manifest))
    assert more - one == working_bytes(longer) - working_bytes(PAYLOAD) > 10 << 20
    seen: list[int] = []
    real = decoded_row_group.decode
    monkeypatch.setattr(decoded_row_group, "_MOST_CLIPS", 1)

    def decode(parts: Any, *more: Any) -> decoded_row_group.DecodedRowGroup:
        return real((seen.append(len(part)) or part for part in parts), *more)  # type: ignore[func-returns-value]  # None

    monkeypatch.setattr(row_group_stream, "decode", decode)
    list(pool)
    assert set(seen) == {1}
    assert len(seen) >= len(pool)


def test_decoded_clips_are_found_on_disk_again(
    where: Location, tmp_path: Path, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "cache"))
    shutil.copytree(where.path, tmp_path / "copy")
    list(open_pool(tmp_path / "copy", LABELS[HIGH]))
    again = open_pool(tmp_path / "copy", LABELS[HIGH])
    monkeypatch.setattr(row_group_stream, "decode", None)
    np.testing.assert_array_equal(torch.stack(list(again)).numpy(), expected)


@pytest.mark.parametrize("change", [{"seconds": 0.5}, {"sample_rate": 8000}])
def test_other_parameters_are_never_served_from_the_cache(
    root: Path, pool: TableBags, tmp_path: Path, change: dict[str, Any]
) -> None:
    list(pool)
    other = open_pool(build(root, tmp_path / "other", dataclasses.replace(CLIPS, **change)), LABELS[HIGH])
    clips = [encoded_clip(number) for number in NUMBERS]
    made = torch.stack(list(other)).numpy()
    np.testing.assert_array_equal(made, features(clips, dataclasses.replace(SMALL, **change)))
    assert [one.digest for one in other.manifest.files[0].groups] == [
        one.digest for one in pool.manifest.files[0].groups
    ]


def test_the_parameters_are_in_the_schema(where: Location) -> None:
    file = read_manifest(where).files[0].name
    stated = json.loads(pq.read_schema(where.path_of(file)).metadata[b"wlns.instance"])
    assert stated == {
        "kind": "audio", "dtype": "float16", "shape": [128, 32], "sample_rate": 16_000, "seconds": 1.0,
        "features": "log-mel/1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"seconds": 2.0}, r"audio float16\[128, 32\] of 2 s at 16,000 Hz"),
        ({"sample_rate": 8000}, r"audio float16\[128, 32\] of 1 s at 8,000 Hz"),
        ({"mels": 64}, r"audio float16\[128, 64\] of 1 s"),
        ({"frames": 96}, r"audio float16\[96, 32\] of 1 s"),
    ],
)
def test_clips_of_other_parameters_are_not_appended(root: Path, where: Location, change: Any, found: str) -> None:
    with pytest.raises(BadData, match=f"bags of {found}.*; expected audio float16.128, 32. of 1 s at 16,000 Hz, as in"):
        build(root, Path(where.path), dataclasses.replace(CLIPS, **change), append=True)
    assert len(where.files()) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"sample_rate": 16000', '"sample_rate": 8000', "of 1 s at 16,000 Hz; expected .* of 1 s at 8,000 Hz, as the manifest"),
        ('"log-mel/1"', '"log-mel/2"', "clips for features log-mel/2; expected log-mel/1"),
    ],
)  # fmt: skip
def test_a_manifest_of_other_parameters_is_reported(
    where: Location, tmp_path: Path, old: str, new: str, message: str
) -> None:
    shutil.copytree(where.path, tmp_path / "t")
    path = tmp_path / "t" / "manifest-000001.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BadData, match=message):
        open_pool(tmp_path / "t", LABELS[HIGH])


def test_an_undecodable_clip_is_reported_when_it_is_read(tmp_path: Path) -> None:
    audio = pa.array([{"bytes": b"text", "path": "a.flac"}], ENCODED)
    with TableWriter(Location.of(tmp_path / "t"), PAYLOAD) as writer:
        writer.add(pa.table({"bag_id": ["a"], "labels": [[]], "audio": audio}))
    with pytest.raises(
        BadData, match=r"clip 'a.flac' undecodable \(.*\); expected a readable clip; build the table without"
    ):
        open_pool(tmp_path / "t")[0]


@pytest.mark.parametrize("column", FORMS)
@pytest.mark.parametrize("sound", [None, SoundFormat(16_000, 1.0)])
def test_clips_and_nothing_else_have_a_sound(column: str, sound: SoundFormat | None) -> None:
    dtypes, axes = FORMS[column]
    if (column == "audio") == (sound is not None):
        assert Payload(column, dtypes[0], (4,) * axes, sound).shape == (4,) * axes
    else:
        with pytest.raises(BadData, match=f"{column} {dtypes[0]}"):
            Payload(column, dtypes[0], (4,) * axes, sound)
