"""What a sweep's folder knows of its trials, and what is shown of them."""

import io
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from negsift.common.errors import BadData, BadInput, ServiceError
from negsift.common.overrides import to_dict
from negsift.deploy.recipes import digits
from negsift.deploy.studies import study_named
from negsift.deploy.sweep.folder import SweepFolder, TrialState
from negsift.deploy.sweep.progress import SweepProgress, duration
from negsift.deploy.sweep.run import SweepOptions, dry_run, run_sweep
from negsift.deploy.sweep.trial import TrialSpec, trial_of
from negsift.deploy.sweep.tuning import Placement

TRIAL = trial_of(digits())
SUMMARY = {
    "strategy": "random", "best_epoch": 1, "epochs_run": 3,
    "test": {"ap": 0.5, "roc_auc": 0.5}, "last": {"ap": None, "roc_auc": 0.5},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path)


def begin(folder: SweepFolder, trial: TrialSpec = TRIAL) -> Path:
    run = folder.run(trial)
    run.write_json("config.json", to_dict(trial.config))
    run.save({"progress": 1})
    return run.path


def finish(folder: SweepFolder) -> Path:
    path = begin(folder)
    folder.run(TRIAL).write_metrics([{"epoch": epoch} for epoch in range(3)])
    folder.run(TRIAL).write_json("summary.json", SUMMARY)
    return path


def test_a_trial_is_new_then_begun_then_finished(folder: SweepFolder) -> None:
    states = [folder.state(TRIAL)]
    begin(folder)
    states.append(folder.state(TRIAL))
    finish(folder)
    assert [*states, folder.state(TRIAL)] == [TrialState.NEW, TrialState.BEGUN, TrialState.FINISHED]


def test_a_failed_or_stopped_trial_is_so_until_it_starts_again(folder: SweepFolder) -> None:
    begin(folder)
    folder.fail(TRIAL, ServiceError("no answer\nfrom scorer 1", "look"))
    failed = folder.state(TRIAL)
    folder.start(TRIAL)
    folder.stop(TRIAL, "worse")
    assert [failed, folder.state(TRIAL)] == [TrialState.FAILED, TrialState.STOPPED]
    folder.start(TRIAL)
    assert folder.state(TRIAL) is TrialState.BEGUN


def test_why_a_trial_failed_is_one_line(folder: SweepFolder) -> None:
    folder.fail(TRIAL, RuntimeError("first\nsecond " + "x" * 5000))
    line = json.loads((folder.run(TRIAL).path / "failed.json").read_text())["error"]
    assert line.startswith("RuntimeError: first second")
    assert len(line) <= 300


@pytest.mark.parametrize("name", ["config.json", "summary.json", "checkpoint/last.pt"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_damaged_folder_is_begun_anew_and_told(
    folder: SweepFolder, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    path = begin(folder)
    (path / name).write_bytes(content)
    assert folder.state(TRIAL) is TrialState.DAMAGED
    assert (path / name).read_bytes() == content  # asking changes nothing
    with caplog.at_level(logging.WARNING):
        folder.start(TRIAL)
    assert folder.state(TRIAL) is TrialState.NEW
    assert f"{TRIAL.name} is damaged, and done again" in caplog.text


def rewritten(path: Path, *changes: tuple[str, str]) -> None:
    for old, new in changes:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("config.json", Path.unlink),
        ("config.json", lambda path: path.write_text(path.read_text()[:200])),
        ("config.json", lambda path: rewritten(path, ('"seed": 0', '"seed": 7'))),
        ("config.json", lambda path: rewritten(path, ('"lr"', '"rate"'))),
        ("metrics.jsonl", Path.unlink),
        ("metrics.jsonl", lambda path: path.write_text(path.read_text()[:-5])),
        ("metrics.jsonl", lambda path: path.write_text('{"epoch": 0}\n')),
        ("metrics.jsonl", lambda path: path.write_bytes(b"\xff\xfe")),
    ],
)
def test_a_finished_trial_whose_files_are_not_its_own_or_not_whole_is_damaged(
    folder: SweepFolder, name: str, damage: Callable[[Path], object]
) -> None:
    damage(finish(folder) / name)
    assert folder.state(TRIAL) is TrialState.DAMAGED
    folder.start(TRIAL)
    assert folder.state(TRIAL) is TrialState.NEW


def test_the_folder_of_another_trial_in_a_trials_place_is_damage(folder: SweepFolder) -> None:
    another = trial_of(replace(digits(), seed=4))
    shutil.copytree(finish(folder), folder.run(another).path)
    assert [folder.state(TRIAL), folder.state(another)] == [TrialState.FINISHED, TrialState.DAMAGED]


def test_a_trial_stays_finished_where_free_earlier_or_later_settings_or_the_tables_version_differ(
    folder: SweepFolder,
) -> None:
    data = replace(digits().data, name="table", root="gone")
    table = trial_of(replace(digits(), data=data))
    shutil.copytree(finish(folder), folder.run(table).path)
    begun = to_dict(replace(table.config, data=replace(data, version=2)))
    begun["fleet"]["shards"] = 4
    begun["fleet"]["scoring"]["pinned"] = True  # which a version had
    del begun["training"]["weighted"]
    folder.run(table).write_json("config.json", begun)
    assert folder.state(table) is TrialState.FINISHED


def test_a_folder_is_of_one_recipe(folder: SweepFolder) -> None:
    folder.claim({"recipe": "digits"})
    folder.claim({"recipe": "digits", "command": "another"})
    with pytest.raises(BadInput, match="a sweep of digits"):
        folder.claim({"recipe": "cifar10"})


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_of_a_damaged_sweep_only_that_file_has_to_be_removed(folder: SweepFolder, content: bytes) -> None:
    (folder.path / "sweep.json").write_bytes(content)
    with pytest.raises(BadData, match=r"sweep\.json.*remove that file alone$"):
        folder.claim({"recipe": "digits"})


@pytest.mark.parametrize(
    "put", [Path.touch, lambda path: path.symlink_to("gone"), lambda path: path.symlink_to(path.parent)]
)
@pytest.mark.parametrize("does", [dry_run, run_sweep])
def test_what_is_no_folder_in_a_trials_place_is_named_and_left(
    folder: SweepFolder, put: Callable[[Path], None], does: Callable[..., object]
) -> None:
    study = study_named("digits")
    (trial,) = study.trials(yes=True).values()
    put(folder.run(trial).path)
    with pytest.raises(BadInput, match=rf"{trial.name}, which is .*remove it or choose another --out"):
        does(study, folder.path, SweepOptions(Placement(1, 0, 0)))
    assert [path.name for path in folder.path.iterdir()] == [trial.name]


def test_the_folder_of_a_run_is_not_taken_for_a_sweeps(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="a run in"):
        SweepFolder(tmp_path).claim({"recipe": "digits"})


def test_a_line_is_printed_for_each_trial_that_ends(folder: SweepFolder) -> None:
    finish(folder)
    failed = trial_of(digits().__class__("digits", seed=4))
    folder.fail(failed, ServiceError("no room", "wait"))
    text = io.StringIO()
    with SweepProgress(folder, 2, 1, Console(file=text, width=200)) as progress:
        for trial in (TRIAL, failed):
            progress.begin(trial)
            progress.end(trial)
            progress.end(trial)  # Tune may tell of an end twice
    assert text.getvalue().splitlines() == [
        f"[1/2] {TRIAL.name}: test AP 0.5000, 3 epochs, 0 s", f"[2/2] {failed.name}: failed, 0 s",
    ]  # fmt: skip


def test_a_terminal_shows_the_trials_that_run(folder: SweepFolder) -> None:
    progress = SweepProgress(folder, 3, 2, Console(file=io.StringIO(), width=200))
    progress.begin(TRIAL)
    for epoch, ap in enumerate((0.25, 0.75, 0.5)):
        progress.report(TRIAL, epoch, ap)
    text = io.StringIO()
    Console(file=text, width=200).print(progress.table())
    heading, row, caption = text.getvalue().splitlines()
    assert heading.split() == ["trial", "epoch", "val", "AP", "time", "left"]
    assert row.split()[:3] == [TRIAL.name, "3/20", "0.7500"]
    assert caption.strip() == "0 of 3 ended, — left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (125.0, "2 min 05 s"), (3600.0 * 5 + 61, "5 h 01 min"), (float("nan"), "—")],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_dry_run_says_what_is_there_and_changes_nothing(folder: SweepFolder) -> None:
    damaged = finish(folder) / "summary.json"
    damaged.write_text("{")
    told = dry_run(study_named("digits"), folder.path, SweepOptions(Placement(1, 0, 0)))
    assert "1 trial in" in told
    assert "0 ended, 1 to run, 1 of them damaged" in told
    assert damaged.read_text() == "{"
