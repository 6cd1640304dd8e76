"""Bags from a file each: every format, CLAM's and torchmil's folders, and the lists of their labels."""

import io
import pickle
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from negsift.common.data.table.bags import open_pool, open_positives
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.data.table.sources import array_file
from negsift.common.errors import BadData
from tests.unit.sources import built, npy

BAG = np.array([[1, 2], [3, 4.5], [5, 6]], np.float32)
PLACES = np.array([[0, 512], [512, 512], [70_000, 1]])
LABELS = "bag_id,label\na,1\nb,0\n"
Save = Callable[[Path, NDArray[Any]], object]


def in_h5(name: str, **more: NDArray[Any]) -> Save:
    def save(path: Path, bag: NDArray[Any]) -> None:
        with h5py.File(path, "w") as opened:
            for key, values in {name: bag, **more}.items():
                opened.create_dataset(key, data=values, compression="gzip")

    return save


def in_npz(name: str, **more: NDArray[Any]) -> Save:
    return lambda path, bag: np.savez(path, **{name: bag}, **more)


def in_pt(wrap: Callable[[torch.Tensor], Any] = lambda bag: bag) -> Save:
    return lambda path, bag: torch.save(wrap(torch.from_numpy(bag.copy())), path)


def upper_case(path: Path, bag: NDArray[Any]) -> None:
    stream = io.BytesIO()
    np.save(stream, bag)
    path.write_bytes(stream.getvalue())


FORMS: Mapping[str, tuple[str, Save]] = {
    "npy": (".npy", np.save),
    "npy of one more axis": (".npy", lambda path, bag: np.save(path, bag[None])),
    "npy, an upper-case ending": (".NPY", upper_case),
    "npz, features": (".npz", in_npz("features", other=BAG)),
    "npz without a name": (".npz", np.savez),
    "npz, the only one of two axes": (".npz", in_npz("x", mask=np.ones(3), coords=PLACES)),
    "h5, CLAM's": (".h5", in_h5("features", coords=PLACES)),
    "h5, CLAM's old": (".h5", lambda path, bag: in_h5("features")(path, bag[None])),
    "h5, STAMP's": (".h5", in_h5("feats", coords=PLACES.astype(np.float64))),
    "h5, in a group": (".hdf5", in_h5("slide/uni")),
    "pt, a tensor": (".pt", in_pt()),
    "pt, brain floats with a gradient": (".pth", in_pt(lambda bag: torch.nn.Parameter(bag.bfloat16()))),
    "pt, a dictionary": (".pt", in_pt(lambda bag: {"embeddings": bag, "slide": "s1", "coords": torch.zeros(3, 2)})),
    "pt, a list of instances": (".pt", in_pt(lambda bag: list(bag))),
}


def folder(root: Path, save: Save, ending: str, labels: str = LABELS) -> Path:
    (root / "bags").mkdir()
    save(root / "bags" / f"a{ending}", BAG)
    save(root / "bags" / f"b{ending}", BAG[::-1])
    (root / "bags" / "labels.csv").write_text(labels)
    return root / "bags"


def left_out(root: Path) -> tuple[str, ...]:
    return read_manifest(Location.of(root / "table")).left_out


@pytest.mark.parametrize("form", FORMS)
def test_a_bag_is_read_from_every_form(form: str, tmp_path: Path) -> None:
    ending, save = FORMS[form]
    found = built(folder(tmp_path, save, ending))
    assert [(bag["bag_id"], bag["labels"]) for bag in found] == [("a", ["1"]), ("b", ["0"])]
    assert [bag["features"] for bag in found] == [BAG.tolist(), BAG[::-1].tolist()]


@pytest.mark.parametrize("form", ["h5, CLAM's", "h5, STAMP's", "npz, the only one of two axes"])
def test_the_places_of_instances_are_kept(form: str, tmp_path: Path) -> None:
    ending, save = FORMS[form]
    built(folder(tmp_path, save, ending))
    (places,) = open_positives(tmp_path / "table", "1").coords(np.array([0]))
    np.testing.assert_array_equal(places, PLACES)


def test_bags_without_places_have_none(tmp_path: Path) -> None:
    built(folder(tmp_path, np.save, ".npy"))
    assert open_pool(tmp_path / "table", "1").coords(np.array([0])) == [None]


def test_places_of_another_number_than_instances_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"coords of shape \(2, 2\) for 3 instances in .*a.h5"):
        built(folder(tmp_path, in_h5("features", coords=PLACES[:2]), ".h5"))


SEVERAL: Mapping[str, Save] = {
    ".h5": in_h5("x", y=BAG), ".npz": in_npz("x", y=BAG), ".pt": in_pt(lambda bag: {"x": bag, "y": bag}),
}  # fmt: skip


@pytest.mark.parametrize("ending", SEVERAL)
def test_of_several_arrays_the_key_says_which(ending: str, tmp_path: Path) -> None:
    source = folder(tmp_path, SEVERAL[ending], ending)
    with pytest.raises(BadData, match=rf"arrays x, y among x \(3, 2\), y \(3, 2\) in .*a{ending}; .* key=NAME"):
        built(source)
    with pytest.raises(BadData, match=r"no array 'z' among x \(3, 2\), y \(3, 2\)"):
        built(source, key="z")
    assert built(source, key="x")[1]["features"] == BAG[::-1].tolist()


def test_a_file_of_places_alone_is_no_bag(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no array of features among coords \(3, 2\) in .*a.h5"):
        built(folder(tmp_path, lambda path, bag: in_h5("coords")(path, PLACES), ".h5"))


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path("harmed").touch, ()


@pytest.mark.parametrize("content", [Harmful(), {"features": torch.ones(1, 1), "x": Harmful()}])
def test_a_pt_file_that_would_run_code_is_refused_and_not_run(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadData, match=r"a.pt unreadable \(no array of numbers\); expected features"):
        built(folder(tmp_path, lambda path, bag: torch.save(content, path), ".pt"))
    (tmp_path / "bags" / "a.pt").write_bytes(pickle.dumps(content))
    with pytest.raises(BadData, match=r"a.pt unreadable \(no array of numbers\)"):
        built(tmp_path / "bags")
    assert not (tmp_path / "harmed").exists()


def test_what_a_file_says_of_its_size_is_believed_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_file, "MOST_BYTES", 1 << 16)
    large: Mapping[str, Save] = {
        ".npz": lambda path, bag: np.savez_compressed(path, np.zeros((10_000, 2))),
        ".h5": lambda path, bag: in_h5("features")(path, np.zeros((10_000, 2))),
        ".pt": in_pt(lambda bag: torch.zeros(1, 1).expand(1_000_000, 1_000_000)),  # four bytes in the file
    }
    for ending, save in large.items():
        (tmp_path / ending).mkdir()
        with pytest.raises(BadData, match=rf"an array of [\d,]+ bytes in .*a{ending}; expected at most 65,536"):
            built(folder(tmp_path / ending, save, ending))


def test_members_of_a_zip_are_never_written_anywhere(tmp_path: Path) -> None:
    source = folder(tmp_path, np.savez, ".npz")
    with zipfile.ZipFile(source / "a.npz", "a") as opened:
        opened.writestr("../../outside.npy", opened.read("arr_0.npy"))
    built(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bags", "table"]


def test_h5_without_its_library_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder(tmp_path, in_h5("features"), ".h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(BadData, match="no h5py installed, and HDF5 in .*a.h5; expected h5py; pip install h5py"):
        built(source)


def test_bags_without_instances_or_without_a_file_are_left_out_and_listed(tmp_path: Path) -> None:
    source = folder(tmp_path, np.save, ".npy", LABELS + "c,1\nd,1\n")
    np.save(source / "c.npy", np.zeros((0, 2), np.float32))
    assert [bag["bag_id"] for bag in built(source)] == ["a", "b"]
    assert left_out(tmp_path) == ("d: no file, but a row of labels.csv", "c: no instances")


def test_a_list_of_mostly_other_bags_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"3 of 4 rows of .*labels.csv without a file \(first: x\); .* such as a, b, in"):
        built(folder(tmp_path, np.save, ".npy", "bag_id,label\na,1\nx,1\ny,1\nz,0\n"))


@pytest.mark.parametrize("ending", [".npy", ".svs", ".SVS"])
def test_ids_of_a_list_may_have_a_files_ending(ending: str, tmp_path: Path) -> None:
    found = built(folder(tmp_path, np.save, ".npy", f"bag_id,label\na{ending},1\nb{ending},0\n"))
    assert [bag["labels"] for bag in found] == [["1"], ["0"]]


def test_rows_that_mean_one_file_must_agree(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"labels \['1'\] and \['0'\] for bag 'a'"):
        built(folder(tmp_path, np.save, ".npy", "bag_id,label\na,1\na.svs,0\n"))


def test_the_only_table_in_the_folder_is_the_list(tmp_path: Path) -> None:
    source = folder(tmp_path, np.save, ".npy")
    (source / "labels.csv").rename(source / "tumour.tsv")
    (source / "tumour.tsv").write_text(LABELS.replace(",", "\t"))
    assert [bag["labels"] for bag in built(source)] == [["1"], ["0"]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_list_may_have_any_separator(separator: str, tmp_path: Path) -> None:
    found = built(folder(tmp_path, np.save, ".npy", LABELS.replace(",", separator)))
    assert [bag["labels"] for bag in found] == [["1"], ["0"]]


def clam(root: Path, *folders: str) -> Path:
    """Six slides of three patients, as CLAM writes them."""
    rows = ["case_id,slide_id,label"]
    for number in range(6):
        bag, name = np.full((3 + number, 8), number, np.float32), f"slide_{number}"
        for place in folders:
            (root / place).mkdir(parents=True, exist_ok=True)
        if "feat/h5_files" in folders:
            in_h5("features", coords=np.full((3 + number, 2), number))(root / "feat/h5_files" / f"{name}.h5", bag)
        if "feat/pt_files" in folders:
            in_pt()(root / "feat/pt_files" / f"{name}.pt", bag)
        if "patches" in folders:
            in_h5("coords")(root / "patches" / f"{name}.h5", np.zeros((3, 2)))
        rows.append(f"patient_{number // 2},{name},{'normal_tissue' if number % 3 else 'tumor_tissue'}")
    (root / "tumor_vs_normal.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.mark.parametrize(
    ("folders", "below", "unused"),
    [
        (("feat/h5_files", "feat/pt_files"), "feat", ("pt_files/: 6 files not used",)),
        (("feat/h5_files", "feat/pt_files", "patches"), ".", ("feat/pt_files/: 6 files not used", "patches/: 6 files not used")),
        (("feat/pt_files", "patches"), ".", ("patches/: 6 files not used",)),
        (("feat/pt_files",), "feat/pt_files", ()),
    ],
)  # fmt: skip
def test_clams_folders_are_bags_with_labels_and_patients(
    folders: tuple[str, ...], below: str, unused: tuple[str, ...], tmp_path: Path
) -> None:
    root = clam(tmp_path / "results", *folders)
    found = built(root / below, labels=str(root / "tumor_vs_normal.csv"))
    assert [(bag["bag_id"], bag["n_instances"], bag["group_id"]) for bag in found] == [
        (f"slide_{number}", 3 + number, f"patient_{number // 2}") for number in range(6)
    ]
    assert [bag["labels"] for bag in found][:3] == [["tumor_tissue"], ["normal_tissue"], ["normal_tissue"]]
    assert all(set(map(tuple, bag["features"])) == {(number,) * 8} for number, bag in enumerate(found))
    assert read_manifest(Location.of((root / below).parent / "table")).left_out == unused


def test_columns_of_other_names_are_set(tmp_path: Path) -> None:
    root = clam(tmp_path / "results", "feat/pt_files")
    table = root / "tumor_vs_normal.csv"
    table.write_text(table.read_text().replace("case_id,slide_id,label", "person,image,site"))
    with pytest.raises(BadData, match="without column bag_id, label .*it has person, image, site.*id_column=NAME"):
        built(root / "feat", labels=str(table))
    words = {"id_column": "image", "label_column": "site", "group_column": "person"}
    assert {bag["group_id"] for bag in built(root / "feat", labels=str(table), **words)} == {
        "patient_0", "patient_1", "patient_2",
    }  # fmt: skip


def test_no_patient_is_in_two_splits(tmp_path: Path) -> None:
    root = clam(tmp_path / "results", "feat/pt_files")
    lines = (root / "tumor_vs_normal.csv").read_text().splitlines()
    splits = ["split", "training", "train", "validation", "val", "testing", "test"]
    whole = "\n".join(f"{line},{split}" for line, split in zip(lines, splits, strict=True))
    (root / "whole.csv").write_text(whole)
    assert [bag["split"] for bag in built(root, labels=str(root / "whole.csv"))] == sorted(
        ["train", "val", "test"] * 2, key=["train", "val", "test"].index
    )
    (root / "cut.csv").write_text(whole.replace("slide_1,normal_tissue,train", "slide_1,normal_tissue,test"))
    (tmp_path / "table").rename(tmp_path / "first")
    with pytest.raises(BadData, match="bags of group_id 'patient_0' in train and test; expected every group in one"):
        built(root, labels=str(root / "cut.csv"))
    assert not (tmp_path / "table").exists()


def torchmil(root: Path, *sets: str) -> Path:
    for number in range(6):
        arrays = {
            **{f"features/{name}": np.full((3 + number, 2), number, np.float32) for name in sets},
            "labels": np.array(number % 2), "inst_labels": np.full((3 + number, 1), 1),
            "coords": np.full((3 + number, 2), 777),
        }  # fmt: skip
        for place, array in arrays.items():
            (root / place).mkdir(parents=True, exist_ok=True)
            np.save(root / place / f"bag{number}.npy", array)
    return root


def test_torchmils_folders_are_bags_with_labels_and_places(tmp_path: Path) -> None:
    found = built(torchmil(tmp_path / "patches_512", "features_UNI"))
    assert [(bag["bag_id"], bag["labels"], bag["features"][0], bag["coords"][0]) for bag in found] == [
        (f"bag{number}", [str(number % 2)], [number] * 2, [777, 777]) for number in range(6)
    ]
    pool = open_pool(tmp_path / "table", "1")
    assert [labels.tolist() for labels in pool.instance_labels(np.arange(2)) if labels is not None] == [
        [1] * 3,
        [1] * 5,
    ]


def test_a_list_beside_torchmils_folders_is_preferred(tmp_path: Path) -> None:
    source = torchmil(tmp_path / "patches_512", ".")
    (source / "labels.csv").write_text("bag_id,label\n" + "".join(f"bag{number},cat\n" for number in range(6)))
    assert {tuple(bag["labels"]) for bag in built(source)} == {("cat",)}


def test_of_torchmils_sets_of_features_the_key_says_which(tmp_path: Path) -> None:
    source = torchmil(tmp_path / "patches_512", "features_UNI", "features_resnet50")
    with pytest.raises(
        BadData, match="2 sets of features in .*: features/features_UNI, features/features_resnet50;.*key="
    ):
        built(source)
    assert len(built(source, key="features_UNI")) == 6


def camelyon(root: Path, of_splits: str) -> Path:
    """As torchmil's own sets are: a folder for the size of patches, and a list of splits beside it."""
    base = torchmil(root / "patches_512", "features_UNI", "features_resnet50")
    (base / "inst_labels").rename(base / "patch_labels")
    (root / "splits.csv").write_text(of_splits)
    return root


SPLITS = "bag_name,split\n" + "".join(f"bag{number},{'test' if number > 3 else 'train'}\n" for number in range(6))


@pytest.mark.parametrize("key", ["features_UNI", "patches_512/features/features_UNI"])
@pytest.mark.parametrize("text", [SPLITS, SPLITS.replace("bag1,", "bag1.npy,")])
def test_torchmils_own_sets_have_patch_labels_and_splits(key: str, text: str, tmp_path: Path) -> None:
    found = built(camelyon(tmp_path / "set", text), key=key)
    assert [(bag["bag_id"], bag["labels"], bag["split"], bag["instance_labels"]) for bag in found] == [
        (f"bag{n}", [str(n % 2)], "test" if n > 3 else "train", [1] * (3 + n)) for n in range(6)
    ]
    left_out = read_manifest(Location.of(tmp_path / "table")).left_out
    assert left_out == ("patches_512/features/features_resnet50/: 6 files not used",)


def test_sets_of_several_sizes_of_patches_are_named_by_their_path(tmp_path: Path) -> None:
    root = camelyon(tmp_path / "set", SPLITS)
    torchmil(root / "patches_256", "features_UNI")
    with pytest.raises(
        BadData, match="2 sets of features in .*: patches_256/features/features_UNI, patches_512/.*path"
    ):
        built(root, key="features_UNI")
    assert len(built(root, key="patches_256")) == 6


def test_features_may_stand_beside_their_labels_by_name(tmp_path: Path) -> None:
    base = torchmil(tmp_path / "set", ".")
    for name in ("features", "inst_labels"):
        (base / name).rename(base / name.replace("inst", "patch").replace("features", "features_uni"))
    (base / "patch_labels").rename(base / "patch_labels_uni")
    (base / "patch_labels_other").mkdir()
    (base / "masks").mkdir()
    (base / "masks" / "bag0.png").write_bytes(b"")
    found = built(base)
    assert [(bag["bag_id"], bag["coords"][0], bag["instance_labels"][0]) for bag in found] == [
        (f"bag{number}", [777, 777], 1) for number in range(6)
    ]
    assert read_manifest(Location.of(tmp_path / "table")).left_out == ("masks/: 1 file not used",)


def test_a_set_of_several_arrays_in_a_file_is_named_by_its_folder(tmp_path: Path) -> None:
    for name in ("features_a", "features_b"):
        (tmp_path / "set" / "features" / name).mkdir(parents=True)
        np.savez(tmp_path / "set" / "features" / name / "s.npz", features=np.ones((2, 3)), other=np.ones((2, 3)))
    (tmp_path / "set" / "labels.csv").write_text("bag_id,label\ns,1\n")
    assert len(built(tmp_path / "set", key="features_b")) == 1


def test_folders_of_features_without_anything_beside_them_are_parts_of_one_set(tmp_path: Path) -> None:
    for number, name in enumerate(("features_old", "features_new")):
        (tmp_path / "set" / name).mkdir(parents=True)
        np.save(tmp_path / "set" / name / f"s{number}.npy", np.ones((2, 3)))
    (tmp_path / "set" / "labels.csv").write_text("bag_id,label\ns0,1\ns1,0\n")
    assert len(built(tmp_path / "set")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bag_name,fold\nbag0,1\n", "splits.csv of columns bag_name, fold; expected bag_name and split"),
        ("", "splits.csv of columns without a name; expected bag_name and split"),
        (SPLITS + "bag0,val\n", "split train and val for bag 'bag0'"),
        (SPLITS.replace(",test", ",later"), "a split other than train, val, test for bag 'bag4'"),
        ("bag_name,split\n" + "".join(f"s{number},test\n" for number in range(9)), "9 of 15 bags missing"),
    ],
)
def test_a_list_of_splits_that_does_not_fit_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=message):
        built(camelyon(tmp_path / "set", text), key="features_UNI")
    assert not (tmp_path / "table").exists()


def test_splits_stand_beside_a_list_of_labels(tmp_path: Path) -> None:
    source = torchmil(tmp_path / "set", ".")
    (source / "labels.csv").write_text("bag_id,label\n" + "".join(f"bag{number},cat\n" for number in range(6)))
    (source / "splits.csv").write_text(SPLITS)
    assert [(bag["labels"], bag["split"]) for bag in built(source)][4:] == [(["cat"], "test")] * 2


def test_a_list_below_the_folder_is_pointed_out(tmp_path: Path) -> None:
    source = torchmil(tmp_path / "set", ".") / "features"
    (source / "lists").mkdir()
    (source / "lists" / "of_labels.csv").write_text("bag_id,label\n")
    with pytest.raises(BadData, match="no .*labels.csv, but lists/of_labels.csv; expected"):
        built(source)


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x15]) + content[place + 1 :]


def _saved(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


DAMAGED = {
    "a header of npy": (".npy", _flipped(npy(np.ones((2, 3), np.float32)), 60), r"b.npy unreadable \(.*multi-line"),
    "a pickle": (".pt", _saved(torch.ones(2, 3)).replace(b"\x80\x02ctorch", b"\x80\x02.torch"), r"b.pt unreadable \("),
    "text": (".pt", b"junkjunk", r"b.pt unreadable \(no array of numbers\)"),
    "numpy in torch's form": (".pt", _saved(np.ones((2, 3))), r"arrays of numpy in .*b.pt; expected tensors; write torch.save"),
}  # fmt: skip


@pytest.mark.parametrize(("ending", "content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_one_line(ending: str, content: bytes, message: str, tmp_path: Path) -> None:
    source = tmp_path / "bags"
    source.mkdir()
    (source / f"a{ending}").write_bytes(_saved(torch.ones(2, 3)) if ending == ".pt" else npy(np.ones((2, 3))))
    (source / f"b{ending}").write_bytes(content)
    (source / "labels.csv").write_text("bag_id,label\na,1\nb,0\n")
    with pytest.raises(BadData, match=message):
        built(source)
