"""Clips with lists of other forms than AudioSet's: ESC-50, FSD50K, VGGSound, DCASE, and a folder for each class."""

from pathlib import Path
from typing import Any

import pytest

from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.errors import BadData
from tests.unit.clips import SMALL, encode, encoded_clip, sound
from tests.unit.sources import built

FORM = {"seconds": SMALL.seconds, "mels": SMALL.mels, "frames": SMALL.frames}


def clip(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(sound(0.2, seed=number)) if path.suffix == ".wav" else encoded_clip(number))


def made(source: Path, **settings: Any) -> dict[str, tuple[Any, ...]]:
    found = built(source, **FORM | settings)
    return {bag["bag_id"]: (bag["labels"], bag["split"], bag["group_id"]) for bag in found}


def left_out(source: Path) -> tuple[str, ...]:
    return read_manifest(Location.of(source.parent / "table")).left_out


def test_esc_50(tmp_path: Path) -> None:
    root, lines = tmp_path / "ESC-50", ["filename,fold,target,category,esc10,src_file,take"]
    for number in range(6):
        name = f"{1 + number % 5}-100{number % 5}-A-{number % 3}"
        clip(root / "audio" / f"{name}.wav", number)
        lines.append(f"{name}.wav,{1 + number % 5},{number % 3},c{number % 3},True,100{number % 5},A")
    (root / "meta").mkdir()
    (root / "meta" / "esc50.csv").write_text("\n".join(lines))
    words = {"id_column": "filename", "label_column": "category", "group_column": "src_file"}
    found = made(root, labels=str(root / "meta" / "esc50.csv"), **words)
    assert found["1-1000-A-0"] == (["c0"], "train", "1000")
    assert len(found) == 6


def test_fsd50k(tmp_path: Path) -> None:
    root = tmp_path / "FSD50K"
    for part, numbers in (("dev", range(4)), ("eval", range(10, 12))):
        for number in numbers:
            clip(root / f"FSD50K.{part}_audio" / f"{number}.wav", number)
    (root / "FSD50K.ground_truth").mkdir()
    truth = root / "FSD50K.ground_truth"
    (truth / "dev.csv").write_text(
        "fname,labels,mids,split\n" + "".join(f'{n},"Bark,Dog",/m/x,{"val" if n == 3 else "train"}\n' for n in range(4))
    )
    (truth / "eval.csv").write_text("fname,labels,mids\n" + "".join(f"{n},Dog,/m/x\n" for n in range(10, 12)))
    words = {"id_column": "fname", "label_separator": ","}
    found = made(root, labels=str(truth / "dev.csv"), **words)
    assert [(row[:2]) for row in found.values()] == [(["Bark", "Dog"], "train")] * 3 + [(["Bark", "Dog"], "val")]
    (tmp_path / "table").rename(tmp_path / "dev")
    assert {row[:2][1] for row in made(root, labels=str(truth / "eval.csv"), **words).values()} == {"test"}


def test_vggsound(tmp_path: Path) -> None:
    root = tmp_path / "vgg"
    for number in range(4):
        clip(root / f"-Abc_ef9h{number:02}_{30 * number:06}.wav", number)
    rows = [f'-Abc_ef9h{n:02},{30 * n},"cattle, bovinae cooing",{"test" if n == 3 else "train"}' for n in range(5)]
    (root / "vggsound.csv").write_text("\n".join(rows) + "\n")
    found = made(root, labels=str(root / "vggsound.csv"), columns=("bag_id", "start", "label", "split"))
    assert [row[:2] for row in found.values()] == [
        (["cattle, bovinae cooing"], split) for split in ["train"] * 3 + ["test"]
    ]
    assert list(found) == [f"-Abc_ef9h{number:02}" for number in range(4)]
    assert left_out(root) == ("-Abc_ef9h04_120000: no file",)


def test_a_weak_list_of_dcase(tmp_path: Path) -> None:
    root, names = tmp_path / "dcase", [f"Y-Abc_ef9h{number:02}_30.000_40.000" for number in range(4)]
    for number, name in enumerate(names):
        clip(root / "audio" / "weak" / f"{name}.wav", number)
    (root / "weak.tsv").write_text(
        "filename\tevent_labels\n" + "".join(f"{name}.wav\tSpeech,Dishes\n" for name in names)
    )
    words = {"id_column": "filename", "label_column": "event_labels", "label_separator": ","}
    assert made(root, labels=str(root / "weak.tsv"), **words) == {
        name: (["Dishes", "Speech"], "train", name) for name in names
    }


def test_a_folder_of_clips_for_each_class(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number, name in enumerate(("dog", "cat")):
            clip(tmp_path / "clips" / split / name / f"{number}.flac", number)
    assert made(tmp_path / "clips") == {
        f"{split}/{name}/{number}": ([name], split, f"{split}/{name}/{number}")
        for split in ("train", "test") for number, name in ((1, "cat"), (0, "dog"))
    }  # fmt: skip


def test_the_only_table_is_the_list_and_may_name_paths(tmp_path: Path) -> None:
    root = tmp_path / "birds"
    for recorder in ("rec1", "rec2"):
        clip(root / recorder / "0001.flac", int(recorder[-1]))
    (root / "annotations.csv").write_text("bag_id,label\nrec1/0001.flac,wren\nrec2/0001.flac,robin\n")
    assert made(root) == {
        "rec1/0001": (["wren"], "train", "rec1/0001"), "rec2/0001": (["robin"], "train", "rec2/0001"),
    }  # fmt: skip


def test_clips_without_labels_are_not_taken_for_a_class(tmp_path: Path) -> None:
    clip(tmp_path / "clips" / "audio" / "a.flac")
    with pytest.raises(
        BadData, match="clips below .*, such as a.flac, and no labels; expected a list .*; set labels=FILE"
    ):
        made(tmp_path / "clips")


def test_missing_clips_of_a_list_and_clips_that_no_list_names_are_left_out_and_counted(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    for name in ("0", "1", "2", "x/8", "x/9"):
        clip(root / f"{name}.flac")
    (root / "list.csv").write_text("bag_id,label\n0,dog\n1,\n2,[]\n7,dog\n")
    assert made(root, labels=str(root / "list.csv")) == {
        "0": (["dog"], "train", "0"), "1": (None, "train", "1"), "2": ([], "train", "2"),
    }  # fmt: skip
    assert left_out(root) == ("7: no file", "x/: 2 of its clips not used")


def test_of_two_files_of_one_clip_one_is_taken_and_the_other_listed(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    clip(root / "a.wav")
    clip(root / "a_30.wav", 1)
    (root / "list.csv").write_text("bag_id,start,label\na,30,dog\n")
    (taken,) = built(root, **FORM)
    assert taken["audio"]["bytes"] == (root / "a.wav").read_bytes()
    assert left_out(root) == ("a.wav used, a_30.wav ignored", "./: 1 of its clips not used")


def test_a_clip_that_is_called_by_the_name_of_several_files_is_refused(tmp_path: Path) -> None:
    for folder in "ab":
        clip(tmp_path / "clips" / folder / "1.wav")
    (tmp_path / "clips" / "labels.csv").write_text("bag_id,label\n1,dog\n")
    with pytest.raises(BadData, match="clip '1' of labels.csv, which has the files a/1.wav, b/1.wav"):
        made(tmp_path / "clips")


def test_a_list_of_other_names_shows_three_and_how_many_more_and_the_forms_that_are_known(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    for number in range(5):
        clip(root / f"x{number}.flac", number)
    (root / "list.csv").write_text("bag_id,label\ny,dog\nz,cat\n")
    with pytest.raises(
        BadData,
        match=r"2 listed, such as y\) below .*, but x0.flac, x1.flac, x2.flac and 2 more; expected names such as ID.wav, ID_30.wav",
    ):
        made(root, labels=str(root / "list.csv"))


def test_a_clip_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    clip(tmp_path / "clips" / "a.flac")
    (tmp_path / "clips" / "list.csv").write_text("bag_id,label\na,dog\na.flac,cat\n")
    with pytest.raises(BadData, match="a a second time in .*list.csv; expected each clip once"):
        made(tmp_path / "clips", labels=str(tmp_path / "clips" / "list.csv"))
