"""Runs from the command line: in this process for what is printed, in a process of its own for what is killed."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from negsift.common.data.config import DataConfig
from negsift.common.overrides import updated
from negsift.deploy.main import main
from negsift.deploy.run import Runner
from negsift.deploy.train import describe
from negsift.trainer.results.runs import read_runs
from tests.unit.full_disk import largest_file

ROOT = Path(__file__).parents[2]
SLOW = pytest.mark.slow
QUICK = ["training.epochs=6", "data.image_size=16", "strategy.name=svm_margin"]


def command(out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "negsift", "train", "digits", *QUICK, *more, "--out", str(out)]


def start(out: Path, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(out, *more), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def read_until(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return
    raise AssertionError(f"no line {word!r}; {process.communicate()}")


def results(folder: Path) -> dict[str, Any]:
    summary = json.loads((folder / "summary.json").read_text())
    return {key: summary[key] for key in ("epochs_run", "best_epoch", "val", "test", "last", "bags", "staleness")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert main(command(out)[3:]) == 0
    return out


def picks(folder: Path) -> list[list[int]]:
    return [pq.read_table(path)["index"].to_pylist() for path in sorted(folder.glob("selections/*.parquet"))]


def test_all_that_a_run_says_can_be_json(undisturbed: Path, tmp_path: Path) -> None:
    said = subprocess.run(
        command(tmp_path / "run", "log.format=json"), cwd=ROOT, capture_output=True, check=True
    ).stdout
    lines = [json.loads(line) for line in said.splitlines()]
    epochs = [line for line in lines if line.get("event") == "epoch"]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert [(line["run"], line["epoch"]) for line in epochs] == [("run", epoch) for epoch in range(len(epochs))]
    assert len(epochs) == results(undisturbed)["epochs_run"]
    assert lines[-1]["message"].startswith("svm_margin: test AP")


@pytest.mark.parametrize(
    "word", [pytest.param("digits", marks=SLOW), "epoch  0", pytest.param("epoch  3", marks=SLOW), "epoch  5"]
)
def test_a_run_killed_at_any_moment_ends_as_the_undisturbed_one(word: str, undisturbed: Path, tmp_path: Path) -> None:
    process = start(tmp_path / "run")
    read_until(process, word)
    process.kill()
    process.communicate()
    assert main(command(tmp_path / "run")[3:]) == 0
    assert results(tmp_path / "run") == results(undisturbed)
    assert picks(tmp_path / "run") == picks(undisturbed)


@pytest.mark.parametrize(
    ("word", "more"),
    [
        pytest.param("epoch  0", [], id="early", marks=SLOW),
        pytest.param("epoch  3", ["sampling.rescore=64", "fleet.block=8"], id="with kept scores"),
    ],
)
def test_a_run_that_selects_ahead_is_resumed_as_if_undisturbed(word: str, more: list[str], tmp_path: Path) -> None:
    ahead = ["sampling.staleness=2", *more]
    assert main(command(tmp_path / "whole", *ahead)[3:]) == 0
    process = start(tmp_path / "run", *ahead)
    read_until(process, word)
    process.kill()
    process.communicate()
    assert main(command(tmp_path / "run", *ahead)[3:]) == 0
    assert results(tmp_path / "run") == results(tmp_path / "whole")
    assert picks(tmp_path / "run") == picks(tmp_path / "whole")
    assert results(tmp_path / "whole")["staleness"] == 2


def test_a_mistyped_run_leaves_its_folder_to_the_corrected_one(tmp_path: Path) -> None:
    assert main(command(tmp_path / "run", "strategy.name=bagde")[3:]) == 2
    assert not (tmp_path / "run" / "config.json").exists()


def test_ctrl_c_saves_says_how_to_go_on_and_exits_with_130(undisturbed: Path, tmp_path: Path) -> None:
    process = start(tmp_path / "run")
    read_until(process, "epoch  1")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert re.fullmatch(r"negsift: interrupted; \d epochs are saved in .*the same command resumes the run\n", error)
    assert main(command(tmp_path / "run")[3:]) == 0
    assert results(tmp_path / "run") == results(undisturbed)


def test_ctrl_c_while_starting_is_one_line_and_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(words: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("negsift.deploy.commands.run_command", interrupt)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "negsift: interrupted; nothing was being trained\n"


def test_a_package_that_is_not_installed_is_one_line_that_names_it_and_the_python(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(words: list[str]) -> None:
        raise ModuleNotFoundError("No module named 'soundfile'", name=words[0])

    monkeypatch.setattr("negsift.deploy.commands.run_command", run)
    assert main(["soundfile"]) == 2
    assert f"found no module 'soundfile' in the Python {sys.executable}; expected" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError):
        main(["negsift.gone"])  # a fault of negsift's own


def test_a_folder_that_holds_runs_is_not_made_one(undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(undisturbed.parent)[3:]) == 2
    assert "the folders undisturbed in" in capsys.readouterr().err


def test_a_measure_that_is_undefined_is_reported_as_such() -> None:
    summary = {"strategy": "random", "best_epoch": 0, "test": {"ap": 1.0, "roc_auc": None}}
    assert "ROC-AUC undefined at epoch 0" in describe(summary | {"last": summary["test"]})


def test_a_run_folder_holds_what_the_readme_says(undisturbed: Path) -> None:
    names = {path.name for path in undisturbed.iterdir()}
    folders = {"selections", "weights", "checkpoint"}
    files = {"config.json", "digests.json", "metrics.jsonl", "summary.json", "report.html", "suspects.csv"}
    assert names == files | folders
    assert len((undisturbed / "metrics.jsonl").read_text().splitlines()) == 6
    assert pq.read_table(undisturbed / "selections" / "epoch=0003.parquet").column_names == [
        "index", "bag_id", "score", "weight", "margin",
    ]  # fmt: skip


def test_a_finished_run_is_not_repeated(undisturbed: Path) -> None:
    before = (undisturbed / "summary.json").stat().st_mtime_ns
    assert main(command(undisturbed)[3:]) == 0
    assert (undisturbed / "summary.json").stat().st_mtime_ns == before


def test_selections_of_every_third_epoch_are_reused_between(tmp_path: Path) -> None:
    assert main(command(tmp_path / "run", "sampling.every=3")[3:]) == 0
    chosen = picks(tmp_path / "run")
    assert chosen[0] == chosen[1] == chosen[2] != chosen[3] == chosen[4]


@pytest.mark.parametrize("setting", ["training.weighted=true", "model.pooling=attention", "data.density=natural"])
def test_options_train(setting: str, tmp_path: Path) -> None:
    assert main(command(tmp_path / "run", setting, "training.epochs=2")[3:]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "digit"], "recipe 'digit'.*did you mean 'digits'"),
        (["train", "digits", "strategy.name=badger"], "strategy 'badger'.*did you mean 'badge'"),
        (["train", "digits", "stratgy.name=badge"], "key.*'stratgy'.*did you mean 'strategy'"),
        (["train", "digits", "seed"], "setting 'seed'; expected KEY=VALUE; for example seed=0"),
        (["train", "digits", "="], "setting '='; expected KEY=VALUE"),
        (["train", "seed=1"], "recipe 'seed=1'; expected one of audio-demo"),
        (["train"], "required: RECIPE.*negsift train RECIPE"),
        (["train", "digits", "seed=x"], "seed='x'.*type int"),
        (["train", "digits", "data.target=12"], "data.target '12'"),
        (["train", "digits", "data.name=digit"], "dataset 'digit'"),
        (["train", "digits", "model.name=vgg"], "model 'vgg'"),
        (["train", "digits", "model.pooling=max"], "pooling 'max'"),
        (["train", "digits", "sampling.ratio=0.01"], "negatives asked for.*sampling.ratio"),
        (["train", "digits", "sampling.ratio=0"], "sampling.ratio=0.0; expected a number above 0"),
        (["train", "digits", "sampling.ratio=nan"], "sampling.ratio=nan; expected a number above 0"),
        (["train", "digits", "sampling.ratio=1e-320"], "negatives asked for.*sampling.ratio"),
        (["train", "digits", "sampling.ratio=1e9"], "no negative left.*44 positive bags.*lower .*sampling.ratio"),
        (["train", "digits", "training.epochs=0"], "training.epochs=0; expected 1 or more"),
        (["train", "digits", "training.lr=nan"], "training.lr=nan; expected a number above 0"),
        (["train", "digits", "recipe=x"], "key.*'recipe'; expected one of augment, data, fleet"),
        (["train", "digits", "data.image_size=8"], "16x16 or larger"),
        (["train", "digits", "data.image_size=65528"], "too little memory.*data.image_size"),
        (["train", "digits", "fleet.kind=slurm"], "fleet.kind 'slurm'"),
        (["train", "digits", "strategy.label=known"], "gradient_embedding, badge"),
        (["train", "digits", "training.lr=1e9", "training.epochs=3"], "finite.*training.lr"),
        (["train", "digits", "training.lr=1e11", "training.batch=99"], "finite.*training.lr"),
        (["train", "cifar10"], "data.root"),
        (["train", "cifar10", "data.root=nowhere"], r"train\*.parquet"),
        (["train", "images", "data.root=nowhere"], "no folder nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["report", ""], "argument DIR: an empty path"),
        (["demo", "--out", ""], "argument --out: an empty path"),
        (["train", "digits", "--out", "", "--config", ""], "argument --(out|config): an empty path|--out 2 times"),
        (["trian"], "arguments.*--help"),
        ([], "COMMAND"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "run")] if words[:1] == ["train"] else []
    assert main([*words, *out]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.startswith("negsift: ")
    assert len(error.splitlines()) == 1


def test_a_mistyped_strategy_is_refused_before_any_data_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "images", "data.root=nowhere", "strategy.name=badger"]) == 2
    assert "strategy 'badger'" in capsys.readouterr().err


def test_a_folder_of_another_run_is_not_touched(undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command(undisturbed)[3:], "seed=7"]) == 2
    assert "it differs in seed" in capsys.readouterr().err


def test_a_run_may_be_resumed_on_another_fleet(undisturbed: Path) -> None:
    assert main([*command(undisturbed)[3:], "fleet.shards=3"]) == 0


def test_an_unwritable_out_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(command(tmp_path / "file" / "run")[3:]) == 2
    said = capsys.readouterr()
    assert re.search("(not writable|not a folder); expected a writable folder", said.err)
    assert "positive bags" not in said.out  # before any data is read


def test_a_full_disk_is_bad_input_and_leaves_no_partial_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with largest_file(100):
        assert main(command(tmp_path / "run")[3:]) == 2
    assert "config.json not writable (File too large)" in capsys.readouterr().err
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("name", ["config.json", "checkpoint/last.pt", "metrics.jsonl"])
def test_a_corrupt_run_folder_is_bad_input_or_repaired(
    name: str, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(command(tmp_path / "run", "training.epochs=1")[3:])
    (tmp_path / "run" / "summary.json").unlink()
    metrics = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    (tmp_path / "run" / name).write_text("{")
    code = main(command(tmp_path / "run", "training.epochs=1")[3:])
    assert (code, name in capsys.readouterr().err) == ((0, False) if name == "metrics.jsonl" else (2, True))
    assert code or (tmp_path / "run" / "metrics.jsonl").read_bytes() == metrics


def test_a_module_with_a_rooms_name_is_not_in_the_way(tmp_path: Path) -> None:
    for room in ("service", "trainer", "common", "deploy"):
        (tmp_path / f"{room}.py").write_text("raise ImportError('another project')")
    words = [sys.executable, "-m", "negsift", "list", "metrics"]
    answer = subprocess.run(words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert answer.returncode == 0


def test_a_run_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    assert main(command(tmp_path / "run", "training.epochs=30", "training.patience=2")[3:]) == 0
    precisions = [
        json.loads(line)["val"]["ap"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["best_epoch"] == precisions.index(max(precisions)) == len(precisions) - 3
    assert (summary["epochs_run"], summary["val"]["ap"]) == (len(precisions), max(precisions))


def test_a_reader_that_is_gone_does_not_end_a_run(tmp_path: Path) -> None:
    line = f"{shlex.join(command(tmp_path / 'run', '--set', 'training.epochs=2'))} | head -n 1"
    error = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False).stderr
    assert "Traceback" not in error
    assert (tmp_path / "run" / "summary.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_output_disk_is_one_line_and_exit_code_2() -> None:
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "negsift", "list"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "no space left for the output" in answer.stderr


def test_a_report_takes_the_bags_that_were_trained_on(undisturbed: Path) -> None:
    run = read_runs(undisturbed)[0]
    runner = Runner()
    split = runner.split(updated(DataConfig(), run.config["data"]))
    assert runner.bags_of(run) is split
