"""Runs of training on a GPU: where the seconds of an epoch go."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from negsift.common.overrides import override
from negsift.deploy.recipes import recipe
from negsift.deploy.run import Runner
from tests.bench.gpu_device import Bench
from tests.bench.gpu_runner import Row

_STAGES = ("select", "train", "evaluate", "total")


def psla_rows(bench: Bench, data: Path) -> Iterator[Row]:
    """Epochs of PSLA on real clips, with mixup and masks; decoding is done before the first is timed."""
    for precision, mixed in (("float32", "false"), ("bfloat16", "true")):
        settings = [
            f"data.root={data / 'audio-scenes'}", "model.name=psla", "strategy.name=gradient_embedding",
            f"training.mixed_precision={mixed}", f"fleet.scoring.precision={precision}", "sampling.random_rounds=0",
            "training.epochs=3", "training.batch=32", "fleet.kind=local", "fleet.shards=1",
        ]  # fmt: skip
        if bench.pretend:
            settings += ["model.name=small_attention", "training.epochs=1", "training.batch=16"]
        for line in _run("audio-scenes", settings, bench):
            seconds = [line["seconds"].get(stage, 0.0) for stage in _STAGES]
            rate = f"{line['trained'] / max(1e-9, seconds[1]):,.0f}"
            cells = [f"{one:.2f}" for one in seconds]
            yield (precision, str(line["epoch"]), f"{line['trained']:,}", *cells[:2], rate, *cells[2:])


def cell_rows(bench: Bench, data: Path) -> Iterator[Row]:
    """Trials of the study `table1`: class 0, ratio 1, seed 0."""
    for strategy, block in (("random", "64"), ("entropy", "64"), ("badge", "64"), ("badge", "auto")):
        settings = [
            f"data.root={data / 'cifar10'}", f"strategy.name={strategy}", f"fleet.block={block}", "fleet.kind=local",
            "fleet.shards=1", f"training.epochs={bench.sizes.epochs}",
        ]  # fmt: skip
        lines = _run("cifar10", settings, bench)
        sums = [f"{sum(line['seconds'].get(stage, 0.0) for line in lines):.1f}" for stage in _STAGES]
        yield (strategy, block, str(len(lines)), f"{lines[-1]['test_ap']:.3f}", *sums)
        if bench.pretend:
            return


def _run(name: str, settings: list[str], bench: Bench) -> list[dict]:  # type: ignore[type-arg]  # JSON
    """The lines of a run's epochs, each with the test AP at the end."""
    with tempfile.TemporaryDirectory() as folder, bench.scoring(), Runner() as runner:
        summary = runner.run(override(recipe(name), settings), Path(folder) / "run")
        lines = (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) | {"test_ap": summary["test"]["ap"]} for line in lines]
