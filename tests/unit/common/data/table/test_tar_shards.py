"""WebDataset's shards: arrays, images and clips in tar files, with their labels."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.data.table.sources import array_file, tar_samples
from negsift.common.errors import BadData, BadInput
from tests.unit.clips import SMALL, encoded_clip
from tests.unit.sources import built, npy, png, shard

AUDIO = {"seconds": SMALL.seconds, "mels": SMALL.mels, "frames": SMALL.frames}


def bag(number: int) -> Any:
    return np.full((1 + number % 3, 4), number, np.float32)


def arrays(numbers: Sequence[int]) -> dict[str, bytes]:
    return {
        name: content
        for number in numbers
        for name, content in ((f"./s{number}.uni.npy", npy(bag(number))), (f"./s{number}.cls", b"%d" % (number % 2)))
    }


def left_out(root: Path) -> tuple[str, ...]:
    return read_manifest(Location.of(root / "table")).left_out


def test_arrays_of_all_shards_are_bags_with_their_classes_and_splits(tmp_path: Path) -> None:
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        shard(tmp_path / "wds" / f"{split}-000000.tar", arrays(numbers))
    (tmp_path / "wds" / "meta.json").write_text("{}")
    found = built(tmp_path / "wds")
    assert [(row["bag_id"], row["labels"], row["split"], row["features"]) for row in found] == [
        (f"s{number}", [str(number % 2)], "train" if number < 4 else "val", bag(number).tolist()) for number in range(6)
    ]


def test_keys_that_repeat_are_called_by_their_shards(tmp_path: Path) -> None:
    for number in range(2):
        shard(tmp_path / "wds" / f"{number:06d}.tar", {"a.npy": npy(bag(number)), "a.json": b'{"label": ["x", "y"]}'})
    assert [(row["bag_id"], row["labels"]) for row in built(tmp_path / "wds")] == [
        ("000000/a", ["x", "y"]), ("000001/a", ["x", "y"]),
    ]  # fmt: skip


def test_one_shard_is_a_source(tmp_path: Path) -> None:
    assert len(built(shard(tmp_path / "000000.tar", arrays(range(3))))) == 3


def test_images_and_clips_are_bags_of_their_bytes(tmp_path: Path) -> None:
    images = {f"c/{n}.{end}": content for n in range(4) for end, content in (("PNG", png(n)), ("cls", b"cat"))}
    found = built(shard(tmp_path / "images" / "x.tar", images).parent)
    assert {row["instances"][0]["bytes"] for row in found} == {png(number) for number in range(4)}
    clips = {f"{n}.{end}": content for n in range(3) for end, content in (("flac", encoded_clip(n)), ("cls", b"dog"))}
    (tmp_path / "table").rename(tmp_path / "images-table")
    found = built(shard(tmp_path / "clips" / "x.tar", clips | {"3.flac": encoded_clip(3)}).parent, **AUDIO)
    assert [(row["bag_id"], row["audio"]["bytes"]) for row in found] == [(str(n), encoded_clip(n)) for n in range(4)]
    assert [row["labels"] for row in found] == [["dog"]] * 3 + [None]


def test_members_that_are_no_files_are_listed_and_never_written(tmp_path: Path) -> None:
    link, device, folder = (tarfile.TarInfo(name) for name in ("l.npy", "d.npy", "folder"))
    link.type, link.linkname, device.type, folder.type = (
        tarfile.SYMTYPE,
        "/etc/passwd",
        tarfile.CHRTYPE,
        tarfile.DIRTYPE,
    )
    path = shard(
        tmp_path / "x.tar",
        arrays(range(2)) | {"../../up.npy": npy(bag(2)), "bare": b"", "a\n.npy": b""},
        link,
        device,
        folder,
    )
    assert [row["bag_id"] for row in built(path)] == ["s0", "s1", "../../up"]
    assert [line.partition(",")[2].partition(":")[0] for line in left_out(tmp_path)] == [
        " 'bare'",
        " 'a\\n.npy'",
        " 'l.npy'",
        " 'd.npy'",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table", "x.tar"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a.npy": npy(bag(0))[:-8], "a.cls": b"1"}, "a.npy.* unreadable"),
        ({"a.npy": npy(bag(0)), "a.json": b"{"}, r"a.json of .*x.tar .*; expected a label, or JSON of one"),
        ({"a.npy": npy(bag(0)), "a.cls": b"\xff"}, "a.cls of .*x.tar"),
        ({"a.npy": npy(bag(0)), "a.cls": b"x" * 100}, "100 bytes of a.cls of .*x.tar"),
        ({"a.npy": npy(np.array([{}], object)), "a.cls": b"1"}, r"found a.npy of \S*x.tar unreadable .no array of numbers"),
        ({"a.npy": npy(bag(0)), "a.json": b'{"class": 1, "x": 2}'}, r"no label in .*x.tar \(a.json has class, x\); .*; label_column=NAME"),
        ({"a.npy": npy(bag(0))}, r"no label in .*x.tar; expected a .cls, or a .json with label"),
        ({"a.npy": npy(bag(0)), "a.cls": b"1", "./a.npy": npy(bag(1))}, r"a.npy a second time in .*x.tar; expected each member once"),
    ],
)  # fmt: skip
def test_unusable_members_are_reported(
    content: dict[str, bytes], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_samples, "_MOST_LABEL_BYTES", 50)
    with pytest.raises(BadData, match=message):
        built(shard(tmp_path / "x.tar", content))


def test_an_array_that_says_it_is_larger_than_it_is_takes_no_memory(tmp_path: Path) -> None:
    header = npy(np.zeros((1, 4), np.float32)).replace(b"(1, 4)", b"(9999999, 4)")
    with pytest.raises(BadData, match=r"unreadable \(.*shape \(9999999, 4\)|unreadable"):
        built(shard(tmp_path / "x.tar", {"a.npy": header, "a.cls": b"1"}))
    assert array_file.MOST_BYTES == 1 << 32


@pytest.mark.parametrize("cut", [100, 700, 1024, 1300, 2048, 3072, 6144])
def test_a_cut_tar_is_reported(cut: int, tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", arrays(range(3)))  # a member is a block of header and one of content
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadData, match=r"x.tar.* unreadable"):
        built(path)


@pytest.mark.parametrize("place", [0, 2048])
def test_a_damaged_tar_is_reported(place: int, tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", arrays(range(3)))
    content = path.read_bytes()
    path.write_bytes(content[:place] + b"no tar" * 20 + content[place + 120 :])
    with pytest.raises(BadData, match=r"x.tar.* unreadable"):
        built(path)


def test_a_tar_beside_other_data_is_no_source(tmp_path: Path) -> None:
    shard(tmp_path / "bags" / "backup.tar", arrays(range(3)))
    np.save(tmp_path / "bags" / "a.npy", bag(0))
    (tmp_path / "bags" / "labels.csv").write_text("bag_id,label\na,1\n")
    assert [row["bag_id"] for row in built(tmp_path / "bags")] == ["a"]


def npz(**held: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **held)
    return stream.getvalue()


def sampled(root: Path, **members: bytes) -> Path:
    """A shard of one sample with a class, and members by their endings, `_` for a point."""
    return shard(
        root / "x.tar", {f"a.{name.replace('__', '.')}": one for name, one in members.items()} | {"a.cls": b"1"}
    )


def test_places_and_labels_of_instances_are_members(tmp_path: Path) -> None:
    places, labels = np.array([[5, 6], [7, 8]]), np.array([0, 1])
    path = sampled(tmp_path, coords__npy=npy(places), feats__npy=npy(bag(1)), patch_labels__npy=npy(labels))
    (found,) = built(path)
    assert (found["features"], found["coords"]) == (bag(1).tolist(), places.tolist())
    assert found["instance_labels"] == labels.tolist()


def test_of_several_arrays_of_a_sample_the_key_says_which(tmp_path: Path) -> None:
    path = sampled(tmp_path, uni__npy=npy(bag(1)), conch__npy=npy(bag(4)))
    with pytest.raises(BadData, match="members uni.npy, conch.npy of sample a; .*; name it: key=NAME"):
        built(path)
    with pytest.raises(BadInput, match="key=nope.npy of sample a; expected one of its members, uni.npy, conch.npy"):
        built(path, key="nope.npy")
    for key in ("conch", "conch.npy"):
        assert built(path, key=key)[0]["features"] == bag(4).tolist()
        (tmp_path / "table").rename(tmp_path / key)


def test_the_key_may_be_an_array_of_the_only_member(tmp_path: Path) -> None:
    path = sampled(tmp_path, npz=npz(uni=bag(1), conch=bag(4), coords=np.ones((2, 2))))
    with pytest.raises(BadData, match=r"arrays uni, conch among uni \(2, 4\), .*; name it: key=NAME"):
        built(path)
    assert built(path, key="conch")[0]["features"] == bag(4).tolist()


def test_a_key_of_a_sample_with_one_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="key=uni of sample a; expected one of its members, npy"):
        built(sampled(tmp_path, npy=npy(bag(1))), key="uni")


@pytest.mark.parametrize(
    ("ending", "one", "other"), [("png", png(1), png(2)), ("flac", encoded_clip(1), encoded_clip(2))]
)
def test_of_several_images_or_clips_the_plain_one_or_the_key_is_taken(
    ending: str, one: bytes, other: bytes, tmp_path: Path
) -> None:
    settings, column = (AUDIO, "audio") if ending == "flac" else ({}, "instances")
    path = sampled(tmp_path, **{f"left__{ending}": one, ending: other})
    for key, content in ((None, other), ("left", one)):
        found = built(path, key=key, **settings)[0][column]
        assert (found if ending == "flac" else found[0])["bytes"] == content
        (tmp_path / "table").rename(tmp_path / f"of {key}")
    with pytest.raises(BadData, match=f"members left.{ending}, right.{ending} of sample a"):
        built(sampled(tmp_path, **{f"left__{ending}": one, f"right__{ending}": other}), **settings)


def described(number: int, **more: Any) -> bytes:
    return json.dumps({"grade": number % 2, "split": "testing" if number > 2 else "train", **more}).encode()


def test_json_has_the_label_the_split_and_the_group(tmp_path: Path) -> None:
    members = {f"{n}.npy": npy(bag(n)) for n in range(4)}
    jsons = {f"{n}.json": described(n, patient=f"p{n}") for n in range(4)}
    path = shard(tmp_path / "x.tar", members | jsons | {f"{n}.cls": b"7" for n in range(4)})
    found = built(path, label_column="grade", group_column="patient")
    assert [(row["labels"], row["split"], row["group_id"]) for row in found] == [
        ([str(n % 2)], "test" if n > 2 else "train", f"p{n}") for n in range(4)
    ]
    (tmp_path / "table").rename(tmp_path / "first")
    assert {row["labels"][0] for row in built(path)} == {"7"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_column": "gread"}, r"no gread in .*x.tar \(0.json has grade, split\)"),
        ({"group_column": "patient"}, r"no patient in .*x.tar \(0.json has grade, split\)"),
        ({"id_column": "grade"}, "id_column=grade for samples of a tar file"),
    ],
)
def test_what_no_json_has_is_refused(settings: dict[str, str], message: str, tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", {"0.npy": npy(bag(0)), "0.json": described(0), "0.cls": b"1"})
    with pytest.raises(BadInput, match=message):
        built(path, **settings)


@pytest.mark.parametrize("content", [b'{"split": ["test"]}', b'{"split": 1.5}', b'{"case_id": true}', b"[1]"])
def test_what_is_no_text_in_json_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"a.json of .*x.tar"):
        built(sampled(tmp_path, npy=npy(bag(0)), json=content))


def test_classes_that_are_fractions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="labels that are numbers with fractions, such as .5, in .*x.tar"):
        built(shard(tmp_path / "x.tar", {"a.npy": npy(bag(0)), "a.cls": b".5"}))
