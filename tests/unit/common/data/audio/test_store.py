"""The cache: the same bytes for any number of workers and after any interruption; damaged parts are made again."""

import hashlib
import multiprocessing
import os
import pickle
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from negsift.common.data.audio import store as store_module
from negsift.common.data.audio.config import AudioConfig
from negsift.common.data.audio.decode import decode
from negsift.common.data.audio.logmel import log_mel, to_float
from negsift.common.data.audio.recording import Recording, digests
from negsift.common.data.audio.store import build_store
from negsift.common.errors import BadInput
from tests.unit.clips import SMALL, encode, encoded_clip, sound, write_parquet

COUNT = 70


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    """70 clips, three parts, one of them without sound, beside a cache with them."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(COUNT):
        (folder / f"{number:03d}.flac").write_bytes(encoded_clip(number) if number != 40 else b"text")
    recordings = [Recording(folder / f"{number:03d}.flac") for number in range(COUNT)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEGSIFT_CACHE", str(folder / "cache"))
        build_store(recordings, SMALL, workers=1)
    return recordings


@pytest.fixture
def recordings(clips: list[Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    """The clips, and an empty cache."""
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "cache"))
    return clips


@pytest.fixture
def cached(recordings: list[Recording], tmp_path: Path) -> list[Recording]:
    """The clips, and a cache with them."""
    shutil.copytree(recordings[0].path.parent / "cache", tmp_path / "cache")
    return recordings


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.arrow"))}


def test_waveforms_and_features_are_those_of_the_functions(cached: list[Recording]) -> None:
    recordings, store = cached, build_store(cached, SMALL)
    number = np.array([65, 3, 33])
    waves = np.stack([decode(recordings[n].path.read_bytes(), SMALL.sample_rate, SMALL.samples) for n in number])
    np.testing.assert_array_equal(store.waveforms(number), waves)
    expected = [log_mel(to_float(wave[None]), SMALL)[0].numpy() for wave in waves]
    np.testing.assert_allclose(store.features(number), np.stack(expected), rtol=2e-3, atol=4e-3)
    assert (store.features(number).dtype, store.waveforms(number).dtype) == (np.float16, np.int16)


def test_content_without_sound_is_left_out_with_the_reason(cached: list[Recording]) -> None:
    store = build_store(cached, SMALL)
    np.testing.assert_array_equal(store.number, [n for n in range(COUNT) if n != 40])
    assert list(store.dropped) == [40]
    assert "not recognised" in store.dropped[40]


@pytest.mark.filterwarnings("ignore:This DataLoader")
def test_any_number_of_workers_gives_the_same_bytes(
    recordings: list[Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for workers in (1, 3):
        monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / f"cache-{workers}"))
        build_store(recordings, SMALL, workers)
        found.append(content(tmp_path / f"cache-{workers}"))
    assert found[0] == found[1]
    assert len(found[0]) == 6


def test_a_second_start_decodes_nothing(cached: list[Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "decode", None)
    monkeypatch.setattr(store_module, "clip_features", None)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert len(build_store(cached, SMALL).number) == COUNT - 1


@pytest.mark.parametrize("harm", ["removed", "truncated", "emptied", "another key"])
def test_a_damaged_part_is_made_again_with_the_same_bytes(harm: str, cached: list[Recording], tmp_path: Path) -> None:
    whole = content(tmp_path)
    for path in tmp_path.rglob("*-00001.arrow"):
        if harm == "removed":
            path.unlink()
        elif harm == "another key":
            path.write_bytes(path.read_bytes().replace(b"clips-", b"other-"))
        else:
            path.write_bytes(path.read_bytes()[: 5000 if harm == "truncated" else 0])
    build_store(cached, SMALL)
    assert content(tmp_path) == whole


def test_a_killed_build_continues_and_gives_the_same_bytes(
    recordings: list[Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = store_module.write_part

    def killed_at_the_last(path: Path, *more: Any) -> None:
        if path.name.startswith("features") and "-00002" in path.name:
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "write_part", killed_at_the_last)
        process = multiprocessing.get_context("fork").Process(target=build_store, args=(recordings, SMALL, 1))
        process.start()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(content(tmp_path)) == 5
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.arrow")}
    build_store(recordings, SMALL)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    resumed = content(tmp_path)
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "fresh"))
    build_store(recordings, SMALL)
    assert content(tmp_path / "fresh") == resumed


def test_features_of_other_parameters_reuse_the_waveforms(cached: list[Recording], tmp_path: Path) -> None:
    before = content(tmp_path)
    store = build_store(cached, AudioConfig(seconds=1.0, mels=48, frames=96))
    assert store.features(np.array([0])).shape == (1, 96, 48)
    assert before.items() < content(tmp_path).items()
    assert len(content(tmp_path)) == 9


@pytest.mark.parametrize(
    "config",
    [AudioConfig(seconds=1.5, mels=32, frames=128), AudioConfig(sample_rate=8000, seconds=1.0, mels=32, frames=128)],
)
def test_other_decoding_is_another_cache(config: AudioConfig, recordings: list[Recording], tmp_path: Path) -> None:
    build_store(recordings[:3], SMALL)
    assert build_store(recordings[:3], config).waveforms(np.array([0])).shape == (1, config.samples)
    assert len(list(tmp_path.glob("cache/clips-*"))) == 2


def test_a_changed_clip_is_another_cache(recordings: list[Recording], tmp_path: Path) -> None:
    changed = [*recordings[:5], Recording(tmp_path / "other.flac")]
    for hertz in (440.0, 1000.0):
        changed[5].path.write_bytes(encode(sound(0.5, hertz), kind="FLAC"))
        waves = build_store(changed, SMALL).waveforms(np.array([5]))
        np.testing.assert_array_equal(waves[0], decode(changed[5].path.read_bytes(), SMALL.sample_rate, SMALL.samples))


def test_a_store_in_another_process_opens_the_same_files(cached: list[Recording]) -> None:
    store = build_store(cached, SMALL)
    store.features(store.number)
    sent = pickle.dumps(store)
    assert len(sent) < 20_000
    np.testing.assert_array_equal(pickle.loads(sent).features(store.number), store.features(store.number))


def test_a_damaged_memo_of_digests_is_written_again(recordings: list[Recording], tmp_path: Path) -> None:
    before = digests(recordings)
    memo = next((tmp_path / "cache" / "digests").iterdir())
    memo.write_text("{half")
    assert digests(recordings) == before
    assert len(memo.read_text()) > 1000


def test_a_cache_that_cannot_be_written_is_reported(
    recordings: list[Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").touch()
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "full"))
    with pytest.raises(BadInput, match="full, where decoded clips are kept, not writable .*MiB free; set the environ"):
        build_store(recordings, SMALL)


@pytest.mark.filterwarnings("ignore:This DataLoader")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_is_full_is_reported_and_leaves_no_process(
    workers: int, recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "write_part", full)
    with pytest.raises(BadInput, match=r"not writable \(.*No space left on device"):
        build_store(recordings, SMALL, workers)
    assert not multiprocessing.active_children()


def test_rows_of_parquet_files_are_the_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "cache"))
    write_parquet(tmp_path, 40, 10, {7: b""})
    mixed = np.random.default_rng(0).permutation(40)
    path = tmp_path / "bal_train" / "00.parquet"
    store = build_store([Recording(path, row) for row in range(20)], SMALL)
    expected = {row: number for row, number in enumerate(mixed[::2]) if number != 7}
    assert store.number.tolist() == list(expected)
    waves = np.stack([decode(encoded_clip(number), SMALL.sample_rate, SMALL.samples) for number in expected.values()])
    np.testing.assert_array_equal(store.waveforms(store.number), waves)
    assert set(store.dropped.values()) <= {"an empty file"}
