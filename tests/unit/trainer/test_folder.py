"""A run's folder: its owner, and no partial files in it."""

import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from negsift.common.errors import BadInput
from negsift.trainer.folder import RunFolder

CONFIG = {"seed": 0, "data": {"name": "digits"}}


@pytest.mark.parametrize("inside", [[], ["log.txt"], [".cache/"], ["lost+found/"], ["checkpoint/", "selections/"]])
def test_a_folder_without_folders_of_others_may_be_claimed(inside: list[str], tmp_path: Path) -> None:
    for name in inside:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).write_text("")
    RunFolder(tmp_path).claim(CONFIG)
    RunFolder(tmp_path).claim(CONFIG)
    assert (tmp_path / "config.json").exists()


@pytest.mark.parametrize(("seeds", "winners"), [((0, 1), 1), ((2, 2), 2)])
def test_of_programs_that_claim_a_new_folder_at_once_only_those_of_one_configuration_get_it(
    seeds: tuple[int, int], winners: int, tmp_path: Path
) -> None:
    barrier = Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        for number in range(100):
            folder = RunFolder(tmp_path / f"{number}")
            told = list(pool.map(lambda seed, folder=folder: _claimed(folder, seed, barrier), seeds))
            assert told.count("") == winners
            assert all("another run in" in text and "differs in seed" in text for text in told if text)
            assert folder.config == CONFIG | {"seed": seeds[told.index("")]}
            assert [path.name for path in folder.path.iterdir()] == ["config.json"]


def _claimed(folder: RunFolder, seed: int, barrier: Barrier) -> str:
    """What the program is told, if it doesn't get the folder."""
    barrier.wait(60)
    try:
        folder.claim(CONFIG | {"seed": seed})
    except BadInput as error:
        return str(error)
    return ""


def test_a_setting_that_a_later_version_adds_may_be_missing_at_its_default(tmp_path: Path) -> None:
    folder, later = RunFolder(tmp_path), CONFIG | {"added": {"rate": 0.5}}
    folder.claim(CONFIG)
    assert folder.check(later, default={"added": {"rate": 0.5}})
    with pytest.raises(BadInput, match=r"it differs in added\.rate"):
        folder.claim(later, default={"added": {"rate": 0.25}})


def test_a_folder_that_holds_other_runs_is_left_alone(tmp_path: Path) -> None:
    for name in "abcde":
        (tmp_path / name).mkdir()
    with pytest.raises(BadInput, match=r"found the folders a, b, c and 2 more in .*expected an empty folder"):
        RunFolder(tmp_path).claim(CONFIG)
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(28, "x")])
def test_whatever_stops_a_write_leaves_the_old_file_whole(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_json("config.json", {"ap": 1})

    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr("negsift.trainer.folder.os.replace", stop)
    with pytest.raises((KeyboardInterrupt, MemoryError, BadInput)):
        folder.write_json("config.json", {"ap": 2})
    assert folder.config == {"ap": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_a_disk_that_fills_up_during_a_checkpoint_is_reported(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(BadInput, match=r"last\.pt not writable \(File too large\).*free some space"):
            RunFolder(tmp_path).save({"picked": [1]})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "checkpoint").iterdir()) == []


def test_links_planted_in_a_runs_folder_are_not_followed(tmp_path: Path) -> None:
    folder, victim = tmp_path / "run", tmp_path / "victim"
    victim.write_text("untouched")
    folder.mkdir()
    for name in ("config.json", "metrics.jsonl", f".config.json.{os.getpid()}", f".metrics.jsonl.{os.getpid()}"):
        (folder / name).symlink_to(victim)
    RunFolder(folder).write_json("config.json", CONFIG)
    RunFolder(folder).write_metrics([{"epoch": 0}])
    assert victim.read_text() == "untouched"
    assert not (folder / "config.json").is_symlink()


def test_a_bag_table_is_no_runs_folder(tmp_path: Path) -> None:
    (tmp_path / "manifest-000001.json").write_text("{}")
    with pytest.raises(BadInput, match="found a bag table in .*expected an empty folder"):
        RunFolder(tmp_path).claim({"seed": 1})


@pytest.mark.parametrize("name", [b"x\xff", b"\xc3("])
def test_a_name_that_is_not_utf8_is_refused_before_any_work(name: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a name that a folder can have"):
        RunFolder(tmp_path / os.fsdecode(name)).check(CONFIG)
    assert list(tmp_path.iterdir()) == []
