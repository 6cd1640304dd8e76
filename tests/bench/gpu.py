"""What a GPU gives: scoring against a bare loop, equal picks, D² sampling, an epoch of PSLA, a trial of table 1.

    python -m tests.bench.gpu [--pretend] [--only STEP,STEP] [--data FOLDER] [--out FILE]

Steps run one after another, each in a process of its own with a time limit, all of them within eight minutes. The page,
gpu.md beside this file, is written anew after each. With --pretend they run on a CPU with small sizes, and the page goes
to the screen or to --out. FOLDER has `cifar10` and `audio-scenes`.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.gpu_page import page
from tests.bench.gpu_runner import Outcome, Row, Step, run_steps, write_row

LIMIT_S = 480.0
_PATIENCE = 10.0  # of a busy CPU that pretends
_SCORING = ("block", "precision", "compiled", "bags", "bags/s", "bare loop, bags/s", "ratio", "GPU busy")
STEPS = (
    Step("tests", "The tests that need a GPU", ("part", "result"), 120),
    Step("simple_cnn", "Scoring: SimpleCNN, bags of 5 images of 32x32", _SCORING, 60),
    Step("picks", "Picks by any fleet", ("strategy", "precision", "fleet", "picks and scores as on one shard"), 60),
    Step("psla", "Scoring: PSLA, clips of 1,056 x 128", _SCORING, 60),
    Step("seeding", "BADGE's draws", ("points", "centres", "seconds", "one read of the data, seconds", "reads", "as the CPU picks"), 75),
    Step("linear", "Scoring: a linear head, bags of 5 features of 84 numbers", _SCORING, 40),
    Step("resnet18", "Scoring: ResNet18, bags of 5 images of 32x32", _SCORING, 50),
    Step("psla_epoch", "Training: PSLA on the clips of `audio-scenes`", ("precision", "epoch", "clips trained", "select, s", "train, s", "clips/s", "evaluate, s", "all, s"), 65),
    Step("cell", "Training: trials of table 1 on CIFAR-10", ("strategy", "block", "epochs", "test AP", "select, s", "train, s", "evaluate, s", "all, s"), 60),
)  # fmt: skip


def rows_of(name: str, pretend: bool, data: Path | None) -> Iterator[Row]:
    """The rows of a step, one after another; those that train need `data`."""
    from tests.bench.gpu_device import Bench
    from tests.bench.gpu_picks import picks_rows
    from tests.bench.gpu_scoring import scoring_rows
    from tests.bench.gpu_seeding import seeding_rows
    from tests.bench.gpu_training import cell_rows, psla_rows

    bench = Bench(pretend)
    if name == "tests":
        return _tests()
    if name == "picks":
        return picks_rows(bench)
    if name == "seeding":
        return seeding_rows(bench)
    if name not in ("psla_epoch", "cell"):
        return scoring_rows(name, bench)
    if data is None:
        sys.exit("no data: give --data FOLDER, which has cifar10 and audio-scenes")
    return cell_rows(bench, data) if name == "cell" else psla_rows(bench, data)


def _tests() -> Iterator[Row]:
    """pytest's last line for each part, and the tests that failed; those that compile take longest and come last."""
    parts = [("pipeline", ""), ("seeding", ""), ("training", "not compile"), ("scoring", "not compile")]
    for name, words in [*parts, ("training", "compile"), ("scoring", "compile")]:
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", f"tests/gpu/test_{name}.py", "-k", words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line.replace("|", "/") for line in done.stdout.splitlines() if line.strip()]
        for line in [each for each in lines if each.startswith("FAILED")] + lines[-1:]:
            yield (f"{name} {words}".strip(), line[:160])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the steps, or one of them, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretend", action="store_true", help="on a CPU, with small sizes")
    parser.add_argument("--only", default=",".join(step.name for step in STEPS), help="steps, comma-separated")
    parser.add_argument("--data", type=Path, help="folder of cifar10 and audio-scenes, for the steps that train")
    parser.add_argument("--out", type=Path, help="the page; by default gpu.md, or the screen if it is pretended")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)  # of a step's own process
    given = parser.parse_args(arguments)
    if given.rows is not None:
        with given.rows.open("a") as stream:
            for row in rows_of(given.only, given.pretend, given.data):
                write_row(stream, row)
        return

    def command(step: Step, rows: Path) -> list[str]:
        own = ["--only", step.name, "--rows", str(rows), *(["--data", str(given.data)] if given.data else [])]
        return [sys.executable, "-m", "tests.bench.gpu", *own, *(["--pretend"] if given.pretend else [])]

    chosen, outcomes = [step for step in STEPS if step.name in given.only.split(",")], list[Outcome]()
    with tempfile.TemporaryDirectory() as folder:
        patience = _PATIENCE if given.pretend else 1.0
        for outcomes in run_steps(chosen, command, Path(folder), LIMIT_S, patience):
            write_page(outcomes, given.pretend, given.out)
    if given.pretend and given.out is None:
        sys.stdout.write(_text(outcomes, pretend=True))


def write_page(outcomes: Sequence[Outcome], pretend: bool, out: Path | None) -> None:
    """Write what is known so far where it belongs."""
    if out is not None or not pretend:
        (out or Path(__file__).with_suffix(".md")).write_text(_text(outcomes, pretend))


def _text(outcomes: Sequence[Outcome], pretend: bool) -> str:
    from tests.bench.gpu_device import machine

    return page(outcomes, machine(pretend), LIMIT_S, pretend)


if __name__ == "__main__":
    main()
