"""A folder of images per class: images that are read, dropped or refused."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from negsift.common.data import decode_errors
from negsift.common.data.config import DataConfig
from negsift.common.data.images import decode_image, load
from negsift.common.data.instances import Instances
from negsift.common.data.table.build import build_table
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData


def paint(folder: Path, count: int, ending: str = "png", level: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.full((20, 24, 3), level, dtype=np.uint8)
        pixels[0, 0] = number
        Image.fromarray(pixels).save(folder / f"{level}-{number}.{ending}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    paint(tmp_path / "cat", 10, level=50)
    paint(tmp_path / "dog", 10, "jpg", level=200)
    return tmp_path


def read(root: Path, size: int = 16) -> tuple[Instances, Instances]:
    return load(DataConfig(name="images", root=str(root), image_size=size))


def test_a_fifth_of_every_class_is_for_testing(root: Path) -> None:
    train, test = read(root)
    assert np.bincount(train.labels).tolist() == [8, 8]
    assert np.bincount(test.labels).tolist() == [2, 2]


def test_images_are_resized_and_labelled_by_their_folder(root: Path) -> None:
    train, _ = read(root, size=16)
    assert train.images.shape == (16, 3, 16, 16)
    assert train.classes == ("cat", "dog")
    assert [round(float(image.mean()) / 50) for image in train.images] == [4 if label else 1 for label in train.labels]


def test_other_image_size_is_not_taken_from_the_cache(root: Path) -> None:
    assert [read(root, size)[0].images.shape[-1] for size in (16, 32)] == [16, 32]


def test_train_and_test_folders_are_kept_as_they_are(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("test", 3)):
        paint(tmp_path / part / "cat", count)
        paint(tmp_path / part / "dog", count)
    assert [len(part) for part in read(tmp_path)] == [8, 6]


def test_folders_beside_train_and_test_are_listed(tmp_path: Path) -> None:
    for part in ("train", "test"):
        paint(tmp_path / part / "cat", 4)
        paint(tmp_path / part / "dog", 4)
    paint(tmp_path / "bird", 2)
    assert read(tmp_path)[0].dropped == ("bird/: left out, since there are train/ and test/",)


def test_train_and_test_with_capitals_are_no_classes(tmp_path: Path) -> None:
    paint(tmp_path / "Train" / "cat", 4)
    paint(tmp_path / "TEST" / "cat", 4)
    with pytest.raises(BadData, match="the folders TEST, Train .*; expected train and test; write them in small"):
        read(tmp_path)


def test_train_and_test_folders_with_other_classes_are_bad_data(tmp_path: Path) -> None:
    paint(tmp_path / "train" / "cat", 3)
    paint(tmp_path / "train" / "dog", 3)
    paint(tmp_path / "test" / "ant", 3)
    paint(tmp_path / "test" / "dog", 3)
    with pytest.raises(BadData, match="ant"):
        read(tmp_path)


def test_smallest_folder_has_every_class_in_both_parts(tmp_path: Path) -> None:
    for name in ("ant", "cat", "dog"):
        paint(tmp_path / name, 2)
    assert [sorted(set(part.labels.tolist())) for part in read(tmp_path)] == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize(
    "content",
    [b"", b"no image at all", b"P6\n3i 32\n255\n", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x02IHDR\x00\x00"],
    ids=["empty", "text", "header of a ppm", "header of a png"],
)
def test_corrupt_file_is_dropped_and_listed(root: Path, content: bytes) -> None:
    (root / "cat" / "broken.png").write_bytes(content)
    train, test = read(root)
    assert len(train) + len(test) == 20
    assert [line.split(":")[0] for line in train.dropped] == ["cat/broken.png"]


def test_files_of_other_endings_are_listed_also_from_the_cache(root: Path) -> None:
    read(root)
    for name in ("cat/a.heic", "dog/b.SVG", "cat/._a.jpg"):
        (root / name).write_bytes(b"")
    train, _ = read(root)
    assert train.dropped == tuple(f"{name}: not a known ending of images" for name in ("cat/a.heic", "dog/b.SVG"))


def test_a_broken_exif_is_no_reason_for_a_warning(tmp_path: Path) -> None:
    cut = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=cut)
    with pytest.warns(UserWarning, match="EXIF"), Image.open(tmp_path / "a.jpg") as opened:
        opened.getexif()
    importlib.reload(decode_errors)  # tests begin with filters of their own
    assert decode_image(tmp_path / "a.jpg", 4, 4).shape == (3, 4, 4)


def test_truncated_file_is_dropped_and_listed(root: Path) -> None:
    path = sorted((root / "dog").iterdir())[0]
    path.write_bytes(path.read_bytes()[:-300])
    train, test = read(root)
    assert len(train) + len(test) == 19
    assert train.dropped[0].startswith(f"dog/{path.name}: ")


@pytest.mark.parametrize(("broken", "refused"), [(20, False), (21, True)])
def test_more_than_half_corrupt_is_bad_data(root: Path, broken: int, refused: bool) -> None:
    for number in range(broken):
        (root / "cat" / f"z{number:02d}.png").write_bytes(b"broken")
    if not refused:
        assert len(read(root)[0].dropped) == broken
        return
    with pytest.raises(BadData, match=r"21 of 41 images.*first: cat/z00\.png"):
        read(root)


def test_no_root_is_bad_data() -> None:
    with pytest.raises(BadData, match=r"no data\.root.*data\.root=FOLDER"):
        load(DataConfig(name="images"))


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no folder .*missing.*at least two classes"):
        read(tmp_path / "missing")


def test_one_class_only_is_bad_data(tmp_path: Path) -> None:
    paint(tmp_path / "cat", 3)
    with pytest.raises(BadData, match="1 class folder in"):
        read(tmp_path)


def test_folders_without_images_are_bad_data(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("no image")
    with pytest.raises(BadData, match="no image below"):
        read(tmp_path)


def test_class_with_a_single_image_is_bad_data(root: Path) -> None:
    paint(root / "cow", 1)
    with pytest.raises(BadData, match="1 image of class 'cow'; expected 2 or more"):
        read(root)


def test_hidden_files_and_folders_are_neither_images_nor_classes(root: Path) -> None:
    for folder in (".git", "__MACOSX", "cat/.ipynb_checkpoints"):
        paint(root / folder, 3)
    for name in (".DS_Store", "cat/.DS_Store", "cat/._0-0.png", "dog/.hidden.png"):
        (root / name).write_bytes(b"no image")
    train, test = read(root)
    assert (train.classes, len(train) + len(test), train.dropped) == (("cat", "dog"), 20, ())


def test_linked_class_folders_and_files_are_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    linked = tmp_path_factory.mktemp("linked")
    for name in ("cat", "dog"):
        (linked / name).symlink_to(root / name)
    assert [len(part) for part in read(linked)] == [len(part) for part in read(root)]


def test_dangling_links_and_folders_named_as_images_are_skipped(root: Path) -> None:
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "cat" / "folder.png").mkdir()
    train, _ = read(root)
    assert [line.split(":")[0] for line in train.dropped] == ["cat/gone.png"]


def test_class_folder_without_images_is_bad_data(root: Path) -> None:
    read(root)
    (root / "void").mkdir()
    with pytest.raises(
        BadData, match=f"no image of class 'void'; expected 2 or more; add images to {root}/void, or correct"
    ):
        read(root)


def decoded(tmp_path: Path, image: Image.Image, name: str = "odd.png", **options: object) -> np.ndarray:
    path = tmp_path / name
    image.save(path, **options)
    return decode_image(path, 16, 16)


RAMP = np.linspace(0, 255, 16 * 16).astype(np.uint8).reshape(16, 16)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_of_image_keeps_its_brightness(mode: str, tmp_path: Path) -> None:
    grey = Image.fromarray(RAMP)
    deep = Image.fromarray(RAMP.astype(np.uint16) << 8)
    image = deep if mode == "I;16" else grey.convert("RGB").convert(mode)
    found = decoded(tmp_path, image, "odd.tif" if mode == "CMYK" else "odd.png")
    assert found.shape == (3, 16, 16)
    assert np.abs(found.mean((0, 2)) - RAMP.mean(1)).max() < (130 if mode == "1" else 20)


def test_palette_with_transparency_is_read_without_a_warning(tmp_path: Path) -> None:
    image = Image.fromarray(RAMP).convert("P")
    found = decoded(tmp_path, image, transparency=bytes([0] * 10 + [255] * 200))
    assert np.abs(found[0].astype(int) - RAMP).max() < 3


def test_first_picture_of_an_animation_is_taken(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((16, 16), level, dtype=np.uint8)) for level in (200, 10)]
    assert decoded(tmp_path, frames[0], "film.gif", save_all=True, append_images=frames[1:]).min() == 200


def test_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    found = decoded(tmp_path, Image.fromarray(RAMP), "photo.png", exif=exif)
    np.testing.assert_array_equal(found[0], RAMP[::-1, ::-1])


@pytest.mark.parametrize("pixels", [RAMP.astype(np.float32) / 255, RAMP.astype(np.int32) << 16], ids=["float", "deep"])
def test_pixels_of_no_known_depth_are_dropped_and_listed(root: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(root / "cat" / "odd.tif")
    train, _ = read(root)
    assert [line.split(":")[0] for line in train.dropped] == ["cat/odd.tif"]
    assert "not of 8 or 16 bits" in train.dropped[0]


def test_file_names_may_be_of_any_script(root: Path) -> None:
    paint(root / "Käfer 日本", 4, level=90)
    Image.fromarray(RAMP).save(root / "Käfer 日本" / "été 🐞.PNG")
    train, test = read(root)
    assert train.classes == ("Käfer 日本", "cat", "dog")
    assert len(train) + len(test) == 25


def deep(levels: np.ndarray, path: Path, orientation: int = 1) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(levels.astype(np.uint16)).save(path, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_images_of_16_bits_are_turned_as_those_of_8_bits(orientation: int, ending: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    shallow = decoded(tmp_path, Image.fromarray(RAMP), f"shallow.{ending}", exif=exif)
    deep(RAMP.astype(np.uint16) << 8, tmp_path / f"deep.{ending}", orientation)
    np.testing.assert_array_equal(decode_image(tmp_path / f"deep.{ending}", 16, 16), shallow)


def test_images_of_12_bits_in_16_are_counted_and_told_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        deep(RAMP.astype(np.uint16) << 4, root / "cat" / f"faint{number}.png")
    deep(RAMP.astype(np.uint16) << 8, root / "cat" / "full.png")
    read(root)
    build_table(root.parent / "table", root, BuildConfig(image_size=16))
    told = [line for line in caplog.messages if "no value above 4,095" in line]
    assert [line.partition(" have")[0] for line in told] == ["3 images of 16 bits"] * 2  # one of each reader


@pytest.mark.parametrize("target", ["/dev/zero", "pipe"])
def test_an_image_that_is_no_regular_file_is_dropped_and_listed(root: Path, target: str) -> None:
    os.mkfifo(root / "pipe")
    (root / "cat" / "odd.png").symlink_to(root / target)
    train, _ = read(root)
    assert train.dropped[0].startswith("cat/odd.png: a ")
