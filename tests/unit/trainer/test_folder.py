"""A run's folder: whose it is, and that nothing half-written stays in it."""

from pathlib import Path

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
    folder.write_json("summary.json", {"ap": 1})

    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr("negsift.trainer.folder.os.replace", stop)
    with pytest.raises((KeyboardInterrupt, MemoryError, BadInput)):
        folder.write_json("summary.json", {"ap": 2})
    assert folder.summary == {"ap": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_a_disk_that_fills_up_while_the_checkpoint_is_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, _: object) -> None:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match=r"last\.pt not writable \(No space left on device\).*free some space"):
        RunFolder(tmp_path).save({"picked": [1]})
    assert not list(tmp_path.rglob("*.pt*"))
