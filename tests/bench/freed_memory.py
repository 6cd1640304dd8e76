"""What it costs that freed memory goes back to the system: CPU time of training and of scoring, in turns.

    python -m tests.bench.freed_memory [--turns 5]

Each turn is a process of its own, which works in a thread, as trials and scorers do. Results go to freed_memory.md.
"""

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from negsift.common.data.audio.config import ClipForm
from negsift.common.data.bagset import BagBatch
from negsift.common.freed_memory import keeping_environment
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model
from negsift.common.models.psla import make_clip_model
from negsift.common.types import EmbeddingSpec, Need
from tests.bench.pools_in_memory import heading

log = logging.getLogger(__name__)
BAG, BATCH, BLOCK, CLIPS = 5, 32, 64, 16
Work = Callable[[], None]


def _training(model: torch.nn.Module, bags: Tensor | BagBatch, count: int) -> Work:
    label_N = torch.arange(count) % 2

    def work() -> None:
        model.zero_grad()
        cross_entropy(model(bags), label_N).backward()

    return work


def images() -> Work:
    """A step of training SimpleCNN on bags of five images of 3x32x32."""
    model = make_model(ModelConfig(), (3, 32, 32), seed=0)
    return _training(model, torch.randint(0, 256, (BATCH, BAG, 3, 32, 32), dtype=torch.uint8), BATCH)


def clips() -> Work:
    """A step of training on clips of ten seconds in 64 bands."""
    form = ClipForm(998, 64, 0.0, 1.0)
    return _training(make_clip_model(ModelConfig("small_attention"), form, 0), torch.randn(CLIPS, 998, 64), CLIPS)


def scoring() -> Work:
    """A block of bags of five images, scored by SimpleCNN."""
    model = make_model(ModelConfig(), (3, 32, 32), seed=0).eval()
    pixels = torch.randint(0, 256, (BAG * BLOCK, 3, 32, 32), dtype=torch.uint8)
    bags = BagBatch(pixels, np.full(BLOCK, BAG, dtype=np.int64))

    def work() -> None:
        with torch.inference_mode():
            model.embed(bags, np.arange(BLOCK), EmbeddingSpec(Need.LOGITS))

    return work


WORKS: dict[str, tuple[Callable[[], Work], int]] = {
    "training, SimpleCNN, 32 bags of five images": (images, 60),
    "training, small attention CNN, 16 clips": (clips, 4),
    "scoring, SimpleCNN, 64 bags of five images": (scoring, 60),
}
"""What is measured, and how often a turn does it."""
TRIALS = [
    "Whole trials ask for more, which also mix clips and compute their log-mel. By `/proc/PID/stat`, two processes of `negsift",
    "sweep beyond-audio` on Ray had 8.5 and 12.7 % of their CPU time in the kernel, and took 21,000 and 33,000 pages a CPU",
    "second; two that kept freed memory, and used huge pages besides (`GLIBC_TUNABLES=glibc.malloc.hugetlb=1`), 1 %, and 70",
    "and 55 (2026-11-28).",
]


def measure(name: str) -> dict[str, float]:
    """CPU milliseconds and pages asked of the system, of one piece of work, after two of them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make, times = WORKS[name]
    work, found = make(), dict[str, float]()

    def run() -> None:
        for _ in range(2):
            work()
        before = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(times):
            work()
        after = resource.getrusage(resource.RUSAGE_SELF)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found.update(ms=seconds * 1e3 / times, pages=(after.ru_minflt - before.ru_minflt) / times)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found


def measured_apart(name: str, environment: dict[str, str]) -> dict[str, float]:
    """`measure` in a process of its own, with that environment."""
    words = [sys.executable, "-m", "tests.bench.freed_memory", "--one", name]
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run(words, env=plain | environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure in turns and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--one")
    options = parser.parse_args()
    if options.one:
        sys.stdout.write(json.dumps(measure(options.one)))
        return
    logging.basicConfig(level=logging.INFO)
    lines = [
        "# Freed memory, given back to the system or kept", "",
        f"{heading()}; one thread, CPU time, {options.turns} turns, each a process; `python -m tests.bench.freed_memory`", "",
        "| work | given back, ms | kept, ms | times as fast, median of the turns (least to most) | pages asked for |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for name in WORKS:
        turns = [(measured_apart(name, {}), measured_apart(name, keeping_environment())) for _ in range(options.turns)]
        back, kept = zip(*turns, strict=True)
        gains = sorted(one["ms"] / other["ms"] for one, other in turns)
        times = [f"{median(each['ms'] for each in way):.3g}" for way in (back, kept)]
        pages = [f"{median(each['pages'] for each in way):,.0f}" for way in (back, kept)]
        gain = f"{median(gains):.2f} ({gains[0]:.2f} to {gains[-1]:.2f})"
        lines.append(f"| {name} | {times[0]} | {times[1]} | {gain} | {pages[0]}; {pages[1]} |")
        log.info(lines[-1])
    lines += ["", *TRIALS]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
