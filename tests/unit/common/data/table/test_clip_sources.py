"""From AudioSet's lists and clips to bag tables: unchanged bytes, every label, and omitted clips."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from negsift.common.data.audioset.classes import Vocabulary
from negsift.common.data.table.bags import open_positives
from negsift.common.data.table.build import build_table
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.data.table.sources.clips import label_names
from negsift.common.data.table.sources.kinds import kind_of
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.data.table.statistics import count_bags, describe_table
from negsift.common.errors import BadData, BadInput, UnknownName
from tests.unit.clip_tables import CLIPS, LABELS, build, features
from tests.unit.clips import (
    LOW,
    NAMES,
    clip_id,
    encode,
    encoded_clip,
    sound,
    tags_of,
    write_folder,
    write_list,
    write_parquet,
)

TRAIN, TEST = range(12), range(1000, 1004)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "audioset", len(TRAIN), len(TEST))


def rows(where: Location) -> dict[str, dict[str, Any]]:
    """What a table has of each clip."""
    tables = [pq.read_table(where.path_of(file.name)) for file in read_manifest(where).files]
    return {row["bag_id"]: row for row in pa.concat_tables(tables).to_pylist()}


def test_every_clip_is_a_row_with_its_bytes_and_all_its_labels(root: Path) -> None:
    found = rows(build(root, root.parent / "t"))
    assert list(found) == [clip_id(number) for number in (*TRAIN, *TEST)]
    for number in (*TRAIN, *TEST):
        row = found[clip_id(number)]
        assert row["audio"] == {"bytes": encoded_clip(number), "path": f"{clip_id(number)}.flac"}
        assert row["labels"] == sorted(LABELS[tag] for tag in tags_of(number))
        assert (row["split"], row["group_id"]) == ("train" if number < 1000 else "test", clip_id(number))


def test_parquet_files_give_the_same_clips(root: Path, tmp_path: Path) -> None:
    one = rows(build(root, tmp_path / "one"))
    hub = write_parquet(tmp_path / "hub", len(TRAIN), len(TEST))
    (hub / "class_labels_indices.csv").write_text(NAMES)
    other = rows(build(hub, tmp_path / "other"))
    for row in (*one.values(), *other.values()):
        row["audio"].pop("path")
    assert one == other


def test_one_list_or_one_parquet_file_is_a_source(root: Path, tmp_path: Path) -> None:
    listed = rows(build(root / "eval_segments.csv", tmp_path / "eval"))
    assert {name: row["split"] for name, row in listed.items()} == {clip_id(number): "test" for number in TEST}
    hub = write_parquet(tmp_path / "hub", len(TRAIN), len(TEST)) / "bal_train"
    stored = build(hub / "00.parquet", tmp_path / "train")
    build(hub / "01.parquet", tmp_path / "train", append=True)
    assert {name: row["split"] for name, row in rows(stored).items()} == {clip_id(n): "train" for n in TRAIN}


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "OPUS", "MP3"])
def test_clips_are_read_in_every_encoding(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").mkdir()
    container, subtype = ("OGG", "OPUS") if kind == "OPUS" else (kind, None)
    clip = encode(sound(0.7, rate=48_000), 48_000, container, subtype)
    write_list(tmp_path / "a" / "unbalanced_train_segments.csv", [1])
    (tmp_path / "a" / f"{clip_id(1)}.{kind.lower()}").write_bytes(clip)
    where = build(tmp_path / "a" / "unbalanced_train_segments.csv", tmp_path / "t")
    np.testing.assert_array_equal(torch.stack(list(open_positives(where, LOW))), features([clip]))


def test_missing_broken_and_silent_clips_are_left_out_and_listed(root: Path) -> None:
    files = [root / "train" / f"{clip_id(number)}.flac" for number in range(6)]
    files[0].unlink()
    files[1].write_bytes(b"")
    files[2].write_bytes(b"no sound")
    files[3].write_bytes(files[3].read_bytes()[:3000])
    files[4].write_bytes(encode(np.full(4000, np.nan), kind="WAV", subtype="FLOAT"))
    files[5].write_bytes(encode(np.zeros(4000)))
    where = build(root, root.parent / "t")
    assert list(rows(where)) == [clip_id(number) for number in (*TRAIN[6:], *TEST)]
    left_out = read_manifest(where).left_out
    expected_lines = [
        "no file",
        "an empty file",
        "not recognised",
        "s of the 0.90 s|decoder|sync",
        "4000 samples not finite",
        "but silence",
    ]
    assert len(left_out) == len(expected_lines)
    for number, (line, words) in enumerate(zip(left_out, expected_lines, strict=True)):
        assert line.startswith(clip_id(number))
        assert any(word in line for word in words.split("|")), line
    text = describe_table(where, read_manifest(where), count_bags(where, read_manifest(where)))
    assert f"left out when it was built: 6\n  {left_out[0]}\n" in text


def test_a_table_of_mostly_broken_clips_is_not_made(root: Path) -> None:
    for path in (root / "train").iterdir():
        path.write_bytes(b"no sound")
    with pytest.raises(BadData, match=r"12 of 16 clips missing or unusable \(first: .*correct --from"):
        build(root, root.parent / "t")
    assert not Location.of(root.parent / "t").files()


def test_what_was_left_out_of_earlier_versions_is_kept(root: Path, tmp_path: Path) -> None:
    (root / "train" / f"{clip_id(3)}.flac").unlink()
    (root / "eval" / f"{clip_id(1002)}.flac").unlink()
    build(root / "balanced_train_segments.csv", tmp_path / "t")
    where = build(root / "eval_segments.csv", tmp_path / "t", append=True)
    names = [[line.split("_30000")[0] for line in read_manifest(where, version).left_out] for version in (1, 2)]
    first = [clip_id(3), f"eval/: {len(TEST) - 1} of its clips not used"]
    assert names == [first, [*first, clip_id(1002), f"train/: {len(TRAIN) - 1} of its clips not used"]]


def test_two_classes_of_one_name_keep_their_mids() -> None:
    vocabulary = Vocabulary(("/m/a", "/m/b", "/m/c", "/m/d"), {"/m/a": "Bell", "/m/b": "Bell", "/m/c": "Dog"})
    assert label_names(vocabulary) == {"/m/a": "/m/a", "/m/b": "/m/b", "/m/c": "Dog", "/m/d": "/m/d"}


@pytest.mark.parametrize("classes", ["all", "audioset40", "top:5"])
def test_a_class_list_of_train_is_no_class(root: Path, classes: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"classes={classes}; expected names of classes"):
        build_table(tmp_path / "t", root, dataclasses.replace(CLIPS, classes=(classes,)))


def test_other_sources_have_no_clips(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    pq.write_table(pa.table({"bag_id": ["a"], "features": [[1.0]]}), tmp_path / "x.parquet")
    (tmp_path / "bags.csv").write_text("bag_id,x\n")
    kinds = [kind_of(path, BuildConfig()) for path in (tmp_path, tmp_path / "x.parquet", tmp_path / "bags.csv")]
    assert kinds == ["features"] * 3


def test_a_folder_without_the_list_names_the_keys_of_build(root: Path) -> None:
    expected_lines = "neither unbalanced_train_segments.csv .*correct --from or train_set$"
    with pytest.raises(BadData, match=expected_lines):
        build(root, root.parent / "t", dataclasses.replace(CLIPS, train_set="unbalanced"))
    assert not Location.of(root.parent / "t").files()


def test_a_list_without_a_clip_is_reported(root: Path) -> None:
    write_list(root / "balanced_train_segments.csv", [77, 78])
    with pytest.raises(BadData, match=r"no clip of balanced_train_segments.csv \(2 listed.*; correct --from"):
        build(root, root.parent / "t")


@pytest.mark.parametrize(
    "settings",
    [{"sample_rate": 0}, {"seconds": 0.01}, {"seconds": float("nan")}, {"seconds": 4000.0}, {"mels": 2}, {"frames": 0}],
)
def test_parameters_out_of_range_are_reported(settings: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"found sample_rate=.*expected 1,000 Hz, 0.025 to 3,600 s, 4 mel bands"):
        BuildConfig(**settings)


def test_an_unknown_training_list_is_reported() -> None:
    with pytest.raises(UnknownName, match="train_set 'balance'.*did you mean 'balanced'"):
        BuildConfig(train_set="balance")
