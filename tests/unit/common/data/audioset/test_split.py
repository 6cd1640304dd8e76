"""From a folder or parquet to positives, pool, validation and test clips."""

import json
import logging
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.audioset.load import load
from negsift.common.data.audioset.split import split_clips, validation_rows
from negsift.common.data.catalogue import load_split
from negsift.common.data.config import DataConfig
from negsift.common.data.split import Split
from negsift.common.errors import BadData, BadInput, UnknownName
from tests.unit.clips import HIGH, LOW, NOISE, SMALL, clip_id, data, tags_of, write_folder, write_list, write_parquet

PARTS = ("positives", "pool", "val", "test")
SCENES = Path(__file__).parents[6] / "shared" / "data" / "audio-scenes"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("audioset"))


def clip_sets(split: Split) -> list[ClipSet]:
    found = [getattr(split, part) for part in PARTS]
    assert all(isinstance(each, ClipSet) for each in found)
    return found


def ids(bags: ClipSet) -> list[str]:
    return bags.bag_id(np.arange(len(bags)))


def test_every_clip_is_in_one_set_with_the_label_of_its_tags(root: Path) -> None:
    positives, pool, val, test = clip_sets(load_split(data(root)))
    assert sorted(ids(positives) + ids(pool) + ids(val)) == sorted(clip_id(n) for n in range(40))
    assert sorted(ids(test)) == sorted(clip_id(1000 + n) for n in range(20))
    wanted = {clip_id(n): int(HIGH in tags_of(n)) for n in [*range(40), *range(1000, 1020)]}
    assert all(
        wanted[id] == label
        for bags in (positives, pool, val, test)
        for id, label in zip(ids(bags), bags.label, strict=True)
    )
    assert (positives.label.min(), pool.label.max()) == (1, 0)


def test_csv_with_files_and_parquet_give_the_same_bags(root: Path, tmp_path: Path) -> None:
    for listed, stored in zip(
        clip_sets(load_split(data(root))), clip_sets(load_split(data(write_parquet(tmp_path)))), strict=True
    ):
        index = np.arange(len(listed))
        assert ids(listed) == ids(stored)
        np.testing.assert_array_equal(listed.label, stored.label)
        np.testing.assert_array_equal(listed.gather(index), stored.gather(index))
        np.testing.assert_array_equal(listed.waveforms(index), stored.waveforms(index))
        assert (listed.form, listed.instances.classes) == (stored.form, stored.instances.classes)


def test_all_targets_have_the_same_validation_clips(root: Path) -> None:
    train, test = load(data(root))
    splits = [clip_sets(split_clips(train, test, data(root, target))) for target in ("0", "Low tone", NOISE)]
    assert len({tuple(ids(split[2])) for split in splits}) == 1
    assert all(split[0].instances is train for split in splits)
    assert [split[0].name for split in splits] == ["train-class0", "train-class1", "train-class2"]


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_validation_holds_its_share_of_every_class(share: float, root: Path) -> None:
    train, _ = load(data(root))
    held = validation_rows(train, share, seed=0)
    for mid in (HIGH, LOW, NOISE):
        mine = train.tagged([mid])
        assert abs(mine[held].sum() - share * mine.sum()) <= 2
    assert len(np.setdiff1d(held, np.arange(40))) == 0
    assert not np.array_equal(held, validation_rows(train, share, seed=1))


def test_statistics_are_of_training_clips_without_padding(root: Path) -> None:
    positives, pool, _, test = clip_sets(load_split(data(root)))
    feats = np.concatenate([bags.gather(np.arange(len(bags))).numpy() for bags in (positives, pool)])[:, :98]
    assert positives.form.mean == pytest.approx(feats.astype(float).mean(), rel=1e-9)
    assert test.form.std == pytest.approx(feats.astype(float).std(), rel=1e-9)


def test_given_statistics_are_taken(root: Path) -> None:
    split = load_split(data(root, audio=replace(SMALL, stats="-5,4")))
    assert clip_sets(split)[0].form.mean == -5.0


def test_clips_without_a_listed_class_are_left_out_or_kept(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("High tone, beep\n")
    config = replace(SMALL, classes=str(tmp_path / "mine.txt"))
    with pytest.raises(BadData, match="no negative clip of 'High tone, beep' to choose from"):
        load_split(data(root, audio=config))
    kept = clip_sets(load_split(data(root, audio=replace(config, only_listed=False))))
    assert sum(map(len, kept)) == 60


def test_descendants_of_the_target_can_be_kept_out_of_the_pool(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    config = replace(SMALL, exclude_descendants=True)
    with pytest.raises(BadInput, match="without an ontology"):
        load_split(data(root, HIGH, config))
    (root / "ontology.json").write_text(json.dumps([{"id": NOISE, "child_ids": []}]))
    with pytest.raises(BadInput, match="exclude_descendants of /m/high, which is not in ontology.json"):
        load_split(data(root, HIGH, config))
    (root / "ontology.json").write_text(
        json.dumps([{"id": HIGH, "child_ids": [NOISE]}, {"id": NOISE, "child_ids": []}])
    )
    splits = [load_split(data(root, HIGH, audio)) for audio in (SMALL, config)]
    plain, without = (clip_sets(split) for split in splits)
    noisy = {clip_id(n) for n in range(40) if NOISE in tags_of(n)}
    assert set(ids(without[1])) == set(ids(plain[1])) - noisy
    assert set(ids(plain[1])) & noisy
    assert [split.descendants for split in splits] == [0, len(set(ids(plain[1])) & noisy)]
    assert [f"({splits[1].descendants} of its descendants left out)" in split.line for split in splits] == [False, True]
    assert [ids(bags) for bags in (without[0], without[2])] == [ids(bags) for bags in (plain[0], plain[2])]


def test_missing_and_corrupt_clips_are_counted_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_folder(tmp_path)
    train = root / "train"
    (train / f"{clip_id(1)}.flac").unlink()
    (train / f"{clip_id(2)}.flac").write_text("a text")
    (train / f"{clip_id(3)}.flac").write_bytes(b"")
    (train / f"{clip_id(4)}.flac").rename(train / f"{clip_id(4)}.m4a")
    (train / f"{clip_id(4)}.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    with caplog.at_level(logging.INFO):
        positives, *_ = clip_sets(load_split(data(root)))
    reasons = dict(line.split(": ", 1) for line in positives.instances.dropped)
    assert reasons.pop(f"{clip_id(1)}_30000") == "no file"
    assert reasons[f"{clip_id(3)} ({clip_id(3)}.flac)"] == "an empty file"
    assert "not recognised" in reasons[f"{clip_id(4)} ({clip_id(4)}.m4a)"]
    assert len(positives.instances) == 36
    assert "training clips: 39 found, 1 listed without a file, 3 not decodable" in caplog.text


def test_clips_in_both_lists_are_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    write_list(root / "eval_segments.csv", [3, *range(1000, 1020)])
    with pytest.raises(BadData, match=rf"1 clips in both lists of .* \(first: {clip_id(3)}_30000\)"):
        load_split(data(root))


def test_more_than_half_of_the_clips_missing_is_an_error(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    for number in range(21):
        (root / "train" / f"{clip_id(number)}.flac").unlink()
    with pytest.raises(BadData, match=r"21 of 40 training clips missing or undecodable \(first: .*at least half"):
        load_split(data(root))


def test_missing_clips_of_other_classes_do_not_count(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    others = [n for n in [*range(40), *range(1000, 1020)] if HIGH not in tags_of(n) and LOW not in tags_of(n)]
    for path in root.rglob("*.flac"):
        if path.stem in {clip_id(n) for n in others} or path.stem == clip_id(0):
            path.unlink()
    (tmp_path / "mine.txt").write_text(f"{HIGH}\n{LOW}\n")
    positives, *_ = clip_sets(load_split(data(root, audio=replace(SMALL, classes=str(tmp_path / "mine.txt")))))
    assert positives.instances.dropped == (f"{clip_id(0)}_30000: no file",)


def test_a_link_to_nowhere_is_a_missing_clip(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    path = root / "train" / f"{clip_id(1)}.flac"
    path.unlink()
    path.symlink_to(root / "nowhere")
    positives, *_ = clip_sets(load_split(data(root)))
    assert positives.instances.dropped == (f"{clip_id(1)}_30000: no file",)


def test_unknown_mids_are_reported(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = write_folder(tmp_path / "copy")
    (copy / "class_labels_indices.csv").write_text("0,/m/high,High\n")
    load_split(data(copy))
    assert "2 classes without a name (/m/low, /t/dd00001)" in caplog.text


def test_a_name_of_two_classes_is_reported_with_their_mids(tmp_path: Path) -> None:
    copy = write_folder(tmp_path / "copy")
    (copy / "class_labels_indices.csv").write_text("0,/m/high,Tone\n1,/m/low,Tone\n")
    with pytest.raises(BadInput, match="2 classes called 'Tone'; expected one; give its mid, one of /m/high, /m/low"):
        load_split(data(copy, "Tone"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "Beep"}, "data.target 'Beep'"),
        ({"target": "3"}, "data.target '3'"),
        ({"root": None}, "no data.root"),
        ({"root": "nowhere"}, "no folder nowhere"),
        ({"val_share": 0.0}, "val_share=0.0"),
        ({"audio": replace(SMALL, classes="audioset40")}, "none of 40 classes in the training list"),
    ],
)
def test_bad_input_is_reported(change: dict[str, object], message: str, root: Path) -> None:
    with pytest.raises((BadData, BadInput, UnknownName), match=message):
        load_split(replace(data(root), **change))  # type: ignore[arg-type]  # on purpose


def test_a_class_without_clips_of_a_kind_is_reported(tmp_path: Path) -> None:
    root = write_folder(tmp_path)
    write_list(root / "eval_segments.csv", [1001, 1002])
    with pytest.raises(BadData, match="no positive clip of 'High tone, beep' to test with"):
        load_split(data(root))


def test_a_clip_set_is_a_dataset_of_clips(root: Path) -> None:
    positives, pool, *_ = clip_sets(load_split(data(root)))
    feats, label = pool[-1]
    assert (tuple(feats.shape), label) == ((128, 32), 0)
    np.testing.assert_array_equal(feats, pool.gather(np.array([len(pool) - 1]))[0])
    assert len(list(positives)) == len(positives)
    with pytest.raises(IndexError):
        pool[len(pool)]
    joined = positives.joined(pool.subset(np.array([2, 0])))
    assert ids(joined) == [*ids(positives), ids(pool)[2], ids(pool)[0]]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pool)).gather(np.array([1])), pool.gather(np.array([1])))


def test_sets_of_two_tables_are_not_joined(root: Path) -> None:
    positives, _, _, test = clip_sets(load_split(data(root)))
    with pytest.raises(ValueError, match="clips of different tables"):
        positives.joined(test)


@pytest.mark.slow
@pytest.mark.skipif(not SCENES.exists(), reason="no audio-scenes in ../shared/data")
def test_real_clips_load_with_those_missing_listed() -> None:
    config = DataConfig("audioset", str(SCENES), "0", audio=replace(SMALL, classes="all"))
    positives, pool, val, test = clip_sets(load_split(config))
    assert [line.partition(": ")[2] for line in positives.instances.dropped] == ["no file"] * 3
    assert (len(positives) + len(pool) + len(val), len(test)) == (400, 200)
    assert positives.instances.classes[:2] == ("Speech, zero", "One")
