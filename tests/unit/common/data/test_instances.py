"""Instances decoded once: the cache, and the size of a pickled table."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from negsift.common.data.cache_folder import cache_folder
from negsift.common.data.instances import Instances, decode_once
from negsift.common.errors import BadInput
from tests.unit.toys import images


class Decoder:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Instances:
        self.calls += 1
        return Instances(np.array([0, 1, 1]), ("no", "yes"), ("x.png: broken",), in_memory=images(3, self.calls).images)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "source.bin").write_bytes(b"one")
    return tmp_path / "source.bin"


def test_second_start_reads_what_the_first_decoded(source: Path) -> None:
    decoder = Decoder()
    first, second = (decode_once("toy", [source], decoder, size=16) for _ in range(2))
    assert decoder.calls == 1
    np.testing.assert_array_equal(first.images, second.images)


def test_cached_table_is_the_decoded_one(source: Path) -> None:
    cached = decode_once("toy", [source], Decoder())
    np.testing.assert_array_equal(cached.images, images(3, 1).images)
    assert cached.labels.tolist() == [0, 1, 1]
    assert (cached.classes, cached.dropped) == (("no", "yes"), ("x.png: broken",))


def test_changed_source_is_decoded_again(source: Path) -> None:
    decoder = Decoder()
    decode_once("toy", [source], decoder)
    source.write_bytes(b"two")
    decode_once("toy", [source], decoder)
    assert decoder.calls == 2


def test_other_parameter_is_decoded_again(source: Path) -> None:
    decoder = Decoder()
    for size in (16, 32, 16):
        decode_once("toy", [source], decoder, size=size)
    assert decoder.calls == 2


def test_moved_source_is_not_decoded_again(source: Path) -> None:
    decoder = Decoder()
    decode_once("toy", [source], decoder)
    source.parent.joinpath("elsewhere").mkdir()
    decode_once("toy", [source.rename(source.parent / "elsewhere" / source.name)], decoder)
    assert decoder.calls == 1


def test_failed_decoding_leaves_nothing(source: Path) -> None:
    def fail() -> Instances:
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        decode_once("toy", [source], fail)
    assert not list(source.parent.glob("cache/*"))


def test_failed_writing_leaves_nothing(source: Path) -> None:
    lost = Instances(np.zeros(3, dtype=np.int64), ("no", "yes"), path=Path("nowhere.npy"))
    with pytest.raises(FileNotFoundError):
        decode_once("toy", [source], lambda: lost)
    assert not list(source.parent.glob("cache/*"))


def test_success_leaves_one_folder(source: Path) -> None:
    decode_once("toy", [source], Decoder())
    assert len(list(cache_folder().iterdir())) == 1


def test_pickled_table_with_a_path_carries_no_pixels(source: Path) -> None:
    table = decode_once("toy", [source], Decoder())
    assert table.images.nbytes > 2_000
    pickled = pickle.dumps(table)
    assert len(pickled) < 1_000
    np.testing.assert_array_equal(pickle.loads(pickled).images, table.images)


def test_pickled_table_without_a_path_carries_its_pixels() -> None:
    table = images(3)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(table)).images, table.images)


def test_subset_keeps_rows_in_the_order_given() -> None:
    table, rows = images(5), np.array([3, 0, 3])
    part = table.subset(rows)
    np.testing.assert_array_equal(part.images, table.images[[3, 0, 3]])
    assert part.labels.tolist() == table.labels[[3, 0, 3]].tolist()


def test_the_cache_is_in_the_users_cache_folder_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEGSIFT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
    assert cache_folder() == Path("/some/where/negsift")


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "table.json"])
@pytest.mark.parametrize("keep", [0, 0.5, None], ids=["empty", "half", "gone"])
def test_a_broken_table_is_decoded_again(name: str, keep: float | None, source: Path) -> None:
    decoder = Decoder()
    path = decode_once("toy", [source], decoder).path
    assert path is not None
    broken = path.with_name(name)
    content = broken.read_bytes()
    broken.unlink() if keep is None else broken.write_bytes(content[: int(len(content) * keep)])
    assert len(decode_once("toy", [source], decoder).images) == 3
    assert decoder.calls == 2


def test_a_label_changed_in_the_cache_is_decoded_again(source: Path) -> None:
    decoder = Decoder()
    path = decode_once("toy", [source], decoder).path
    assert path is not None
    labels = path.with_name("labels.npy")
    content = bytearray(labels.read_bytes())
    content[-8] ^= 1
    labels.write_bytes(content)
    np.testing.assert_array_equal(decode_once("toy", [source], decoder).labels, decoder().labels)
    assert decoder.calls == 3


@pytest.mark.parametrize("place", ["source.bin/cache", "/proc/cache"])
def test_a_cache_that_cannot_be_written_is_bad_input(place: str, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEGSIFT_CACHE", str(source.parent / place))
    with pytest.raises(BadInput, match="where decoded images are kept, not writable.*1 MiB free.*NEGSIFT_CACHE"):
        decode_once("toy", [source], Decoder())


def test_a_full_disk_leaves_no_table(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("negsift.common.data.instances.np.save", full)
    with pytest.raises(BadInput, match="No space left on device"):
        decode_once("toy", [source], Decoder())
    assert not list(source.parent.glob("cache/*"))
