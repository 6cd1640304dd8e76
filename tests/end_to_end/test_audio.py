"""The audio recipes from the command line: to the end, resumed, and with bad input."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from negsift.common.overrides import override, to_dict
from negsift.deploy.main import main
from negsift.deploy.recipes import recipe
from negsift.trainer.report.suspects import LISTED
from tests.unit.clips import write_folder, write_parquet

ROOT = Path(__file__).parents[2]
SCENES = ROOT.parent / "shared" / "data" / "audio-scenes"
QUICK = [
    "data.audio.seconds=1", "data.audio.frames=128", "data.audio.mels=32", "data.val_share=0.2",
    "training.epochs=4", "strategy.name=gradient_embedding", "sampling.ratio=2",
    "augment.mixup=0.5", "augment.freq_mask=4", "augment.time_mask=16",
]  # fmt: skip


def command(root: Path, out: Path, *more: str) -> list[str]:
    settings = [f"data.root={root}", *QUICK, *more]
    return ["train", "audio-scenes", *settings, "--out", str(out)]


def results(folder: Path) -> dict[str, Any]:
    summary = json.loads((folder / "summary.json").read_text())
    losses = [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {key: summary[key] for key in ("best_epoch", "val", "test", "last", "bags")} | {"losses": losses}


def picks(folder: Path) -> list[list[str]]:
    return [pq.read_table(path)["bag_id"].to_pylist() for path in sorted(folder.glob("selections/*.parquet"))]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("clips") / "audioset")


@pytest.fixture(scope="module")
def undisturbed(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert main(command(clips, out)) == 0
    return out


def test_a_run_writes_summary_selections_and_report_with_players(undisturbed: Path) -> None:
    summary = json.loads((undisturbed / "summary.json").read_text())
    assert (summary["recipe"], summary["epochs_run"], summary["dropped_instances"]) == ("audio-scenes", 4, [])
    assert len(picks(undisturbed)) == 4
    chosen, _, suspects = (undisturbed / "report.html").read_text().partition("Suspected false negatives")
    assert chosen.count("<audio controls") == len(picks(undisturbed)[-1])
    rows = (undisturbed / "suspects.csv").read_text().splitlines()[1:]
    assert suspects.count("<audio controls") == min(len(rows), LISTED)


def test_clips_as_parquet_give_the_same_selections_and_metrics(undisturbed: Path, tmp_path: Path) -> None:
    assert main(command(write_parquet(tmp_path / "audioset"), tmp_path / "run")) == 0
    assert picks(tmp_path / "run") == picks(undisturbed)
    assert results(tmp_path / "run") == results(undisturbed)


@pytest.mark.parametrize("word", ["epoch  1"])
def test_a_killed_run_ends_as_the_undisturbed_one(word: str, clips: Path, undisturbed: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "negsift", *command(clips, tmp_path / "run")], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    assert any(line.startswith(word) for line in process.stdout)
    process.kill()
    process.communicate()
    assert main(command(clips, tmp_path / "run")) == 0
    assert results(tmp_path / "run") == results(undisturbed)
    assert picks(tmp_path / "run") == picks(undisturbed)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.target=Beep", "data.target 'Beep'.*High tone, beep"),
        ("data.audio.classes=forty", "data.audio.classes 'forty'.*audioset40"),
        ("data.audio.train_set=unbalanced", "neither unbalanced_train_segments.csv"),
        ("data.audio.frames=16", "clips of 16 frames.*at least 32"),
        ("data.audio.stats=x", "stats='x'"),
        ("data.root=nowhere", "no folder nowhere"),
        ("model.name=simple_cnn", "model for clips 'simple_cnn'.*psla, small_attention"),
        ("model.weights=nowhere.pth", "nowhere.pth unreadable .*; expected a state dict"),
        ("augment.mixup=2", "mixup=2.0; expected a share between 0 and 1"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    setting: str, message: str, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(clips, tmp_path / "run", setting)) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert len(error.splitlines()) == 1


def test_images_are_not_augmented(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", "augment.mixup=0.5", "--out", str(tmp_path / "run")]) == 2
    assert "augmentation of digits; expected clips" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_papers_recipe_has_the_papers_settings() -> None:
    config = to_dict(override(recipe("audioset40"), []))
    audio, training, augment = config["data"]["audio"], config["training"], config["augment"]
    assert (audio["classes"], audio["sample_rate"], audio["mels"], audio["frames"]) == ("audioset40", 16_000, 128, 1056)
    assert [training[key] for key in ("lr", "beta1", "beta2", "weight_decay", "epochs", "batch")] == [
        1e-3, 0.95, 0.999, 5e-7, 30, 32,
    ]  # fmt: skip
    assert (training["halve_from"], training["halve_every"], training["weighted"]) == (10, 5, True)
    assert augment == {
        "mixup": 0.5, "mixup_alpha": 10.0, "freq_mask": 48, "time_mask": 192, "flip": False, "shift": 0,
    }  # fmt: skip
    assert (config["model"]["name"], config["sampling"]["ratio"]) == ("psla", 0.5)


@pytest.mark.slow
def test_the_demo_detects_its_events(tmp_path: Path) -> None:
    assert main(["train", "audio-demo", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["test"]["roc_auc"] > 0.95


@pytest.mark.slow
@pytest.mark.skipif(not SCENES.exists(), reason="no audio-scenes in ../shared/data")
def test_real_clips_are_detected(tmp_path: Path) -> None:
    assert main(["train", "audio-scenes", f"data.root={SCENES}", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["test"]["roc_auc"] >= 0.9
