"""Clips: the cache on one and two workers, the cost of PSLA, and what the recipe reaches on real clips.

    python -m tests.bench.audio [--root FOLDER] [--only cache,model,runs] [--out runs/audio]

FOLDER holds clips in AudioSet's form, else those of the tests are taken. Each part writes its section of
tests/bench/audio.md, with the date and the machine; finished runs are not repeated. Half an hour on two cores.
"""

import argparse
import datetime
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, median, stdev

import torch
from torch.nn.functional import cross_entropy

from negsift.common.data.audio.config import AudioConfig, ClipForm
from negsift.common.data.audio.recording import Recording
from negsift.common.data.audio.store import build_store
from negsift.common.data.audioset.clip_files import ENDINGS
from negsift.common.models.config import ModelConfig
from negsift.common.models.psla import make_clip_model
from negsift.common.overrides import override
from negsift.deploy.recipes import recipe
from negsift.deploy.run import Runner
from negsift.deploy.versions import versions
from negsift.trainer.folder import Json

SCENES = Path(__file__).parents[3] / "shared" / "data" / "audio-scenes"
PAIRS, BATCH = 3, 8
SEEDS, TARGETS, EPOCHS = (0, 1, 2), (0,), 20
STRATEGIES = ("random", "gradient_embedding", "badge")


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=SCENES, type=Path, help="clips in AudioSet's form")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma-separated")
    parser.add_argument("--out", type=Path, default=Path("runs/audio"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for part in given.only.split(","):
        write(part, PARTS[part](given.root, given.out))


def measure_cache(root: Path, _: Path) -> list[str]:
    """Seconds to decode and transform every clip, by workers, alternating; and a second start."""
    recordings = [Recording(path) for path in sorted(root.rglob("*")) if path.suffix in ENDINGS]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(PAIRS):
        for workers, found in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                os.environ["NEGSIFT_CACHE"] = folder
                found.append(timed(lambda workers=workers: build_store(recordings, AudioConfig(), workers)))
                again = timed(lambda: build_store(recordings, AudioConfig()))
    one, two = median(seconds[1]), median(seconds[2])
    ratios = sorted(one / two for one, two in zip(seconds[1], seconds[2], strict=True))
    return [
        f"{len(recordings)} clips to int16 waveforms and (1056, 128) float16 features, {PAIRS} alternating pairs:",
        f"{one:.2f} s on one worker, {two:.2f} s on two (medians); speed-up **{one / two:.2f}**, {one / two / 2:.2f} of",
        f"linear (pairs: {ratios[0]:.2f} to {ratios[-1]:.2f}). A second start, which decodes nothing: {again:.3f} s.",
    ]


def measure_model(_: Path, __: Path) -> list[str]:
    """Seconds a clip of PSLA and the small network, forward and in a training step, on one thread."""
    torch.set_num_threads(1)
    lines = [
        "Seconds a clip on one thread, batches of 8:",
        "",
        "| model | embedding | training step |",
        "|---|---|---|",
    ]
    for name, mels in (("psla", 128), ("small_attention", 64)):
        model = make_clip_model(ModelConfig(name), ClipForm(1056, mels, 0.0, 1.0), 0)
        clips = torch.randn(BATCH, 1056, mels)
        embedding = median(timed(partial(embed, model.eval(), clips)) for _ in range(PAIRS)) / BATCH
        training = median(timed(partial(step, model.train(), clips)) for _ in range(PAIRS)) / BATCH
        lines.append(f"| {name} | {embedding:.3f} | {training:.3f} |")
    return lines


def embed(model: torch.nn.Module, clips: torch.Tensor) -> None:
    """A forward pass."""
    with torch.inference_mode():
        model(clips)


def step(model: torch.nn.Module, clips: torch.Tensor) -> None:
    """A forward and a backward pass."""
    cross_entropy(model(clips), torch.ones(len(clips), dtype=torch.long)).backward()


def measure_runs(root: Path, out: Path) -> list[str]:
    """The recipe, cut short, on the most frequent class: three strategies, three seeds."""
    lines = [
        f"Recipe audio-scenes, {EPOCHS} epochs, seeds {SEEDS}, mean ± standard error of the test figures at the best",
        "validation epoch; seconds are those of an epoch, `all` with validation:", "",
        "| class | strategy | test AP | test ROC-AUC | best epoch | bags trained | scored | select s | train s | all s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for target in TARGETS:
        for strategy in STRATEGIES:
            runs = [run(root, out, target, strategy, seed) for seed in SEEDS]
            lines.append(f"| {target} | {strategy} | {' | '.join(cells(runs))} |")
    return lines


def run(root: Path, out: Path, target: int, strategy: str, seed: int) -> Json:
    """One run, in a folder of its own."""
    settings = [f"data.root={root}", f"data.target={target}", f"strategy.name={strategy}", f"seed={seed}"]
    settings += [f"training.epochs={EPOCHS}"]
    with Runner() as runner:
        return runner.run(override(recipe("audio-scenes"), settings), out / f"{target}-{strategy}-seed{seed}")


def cells(runs: list[Json]) -> list[str]:
    """A row's cells: means over the runs."""
    columns = [[one["test"][metric] for one in runs] for metric in ("ap", "roc_auc")]
    spread = [f"{mean(values):.3f} ± {stdev(values) / len(values) ** 0.5:.3f}" for values in columns]
    best = ", ".join(str(one["best_epoch"]) for one in runs)
    counts = [f"{round(mean(one['bags'][kind] for one in runs)):,}" for kind in ("trained", "scored")]
    return [*spread, best, *counts, *(f"{per_epoch(runs, stage):.2f}" for stage in ("select", "train", "total"))]


def per_epoch(runs: list[Json], stage: str) -> float:
    """Seconds of a stage in an epoch."""
    return mean(one["seconds"][stage] / one["epochs_run"] for one in runs)


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def write(part: str, lines: list[str]) -> None:
    """Replace the part's section of audio.md."""
    path, found = Path(__file__).with_name("audio.md"), versions()
    sections = path.read_text().split("\n## ") if path.exists() else ["# Clips\n"]
    kept = [section for section in sections if not section.startswith(f"{part}\n")]
    machine_line = f"{datetime.date.today()}, {found['machine']} ({processor()}), torch {found['torch']},"
    busy = f"threads: {torch.get_num_threads()}, load average of the last 15 minutes: {os.getloadavg()[2]:.0f};"
    command = f"`python -m tests.bench.audio --only {part}`"
    text = "\n".join([part, "", machine_line, busy, command, "", *lines, ""])
    path.write_text("\n## ".join([*kept, text]))
    sys.stdout.write(text)


def processor() -> str:
    """The CPU's name."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return names[0] if names else "unknown CPU"


PARTS: dict[str, Callable[[Path, Path], list[str]]] = {
    "cache": measure_cache, "model": measure_model, "runs": measure_runs,
}  # fmt: skip


if __name__ == "__main__":
    main()
