"""A selection from a pool in memory, against a plain loop over slices of its tensor: CPU seconds of one thread.

    python -m tests.bench.pool_speed [--bags 200000] [--turns 9]

Loop and forms take turns; each selection has new weights, as after an epoch. Results go to tests/bench/pool_speed.md.
"""

import argparse
import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from negsift.common.data.protocols import BagDataset
from negsift.service import NegativeSampler
from tests.bench.pools_in_memory import heading

log = logging.getLogger(__name__)
SHAPE, K, BLOCK = (5, 84), 1000, 64


class MeanOfInstances(nn.Module):
    """A linear layer for instances, and the mean of a bag's logits."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(SHAPE[1], 2)

    def forward(self, bags: Tensor) -> Tensor:
        logits: Tensor = self.fc(bags).mean(1)
        return logits


def loop(model: nn.Module, bags: Tensor) -> Tensor:
    """The k bags of the largest entropy, slice by slice, as one would write it."""
    scores = []
    with torch.inference_mode():
        for start in range(0, len(bags), BLOCK):
            probs = model(bags[start : start + BLOCK]).softmax(1)
            scores.append(-(probs * probs.log()).sum(1))
        return torch.cat(scores).topk(K).indices


def selection(pool: BagDataset, model: nn.Module, stack: ExitStack) -> Callable[[], object]:
    """A function that selects from the pool with weights that differ from call to call."""
    sampler = stack.enter_context(NegativeSampler(pool, model, strategy="entropy", k=K, shards=1))
    epochs = iter(range(1 << 20))

    def select() -> object:
        epoch = next(epochs)
        return sampler.select({name: value + 1e-3 * epoch for name, value in model.state_dict().items()}, epoch)

    return select


def cpu_seconds(work: Callable[[], object]) -> float:
    """The processor time of one call, of all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_turns(bags: Tensor, model: nn.Module, turns: int) -> dict[str, list[float]]:
    """CPU seconds of the loop and of a selection from each form, turn by turn, after one that doesn't count."""
    forms: dict[str, BagDataset] = {"tensor": bags, "TensorDataset": TensorDataset(bags), "list of views": list(bags)}
    with ExitStack() as stack:
        works = {"loop over slices": lambda: loop(model, bags)}
        works |= {name: selection(pool, model, stack) for name, pool in forms.items()}
        seconds = {name: list[float]() for name in works}
        for turn in range(turns + 1):
            for name, work in works.items():
                spent = cpu_seconds(work)
                seconds[name] += [spent] if turn else []
    return seconds


def main() -> None:
    """Measure both models and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bags", type=int, default=200_000)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])  # a local fleet has a thread for each processor
    torch.set_num_threads(1)
    torch.manual_seed(0)
    bags = torch.randn(options.bags, *SHAPE)
    lines = [
        "# A selection from a pool in memory against a loop over slices of its tensor", "",
        f"{heading()}; {options.bags:,} bags of {SHAPE} float32, `entropy`, k = {K:,}, slices and blocks of {BLOCK}; one "
        f"thread, CPU time, {options.turns} turns; `python -m tests.bench.pool_speed`", "",
        "| model | | CPU s, median | times the loop: median of the turns (least to most) |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, model in (("Flatten, Linear(420, 2)", nn.Sequential(nn.Flatten(), nn.Linear(420, 2))),
                        ("Linear(84, 2), mean of instances", MeanOfInstances())):  # fmt: skip
        seconds = in_turns(bags, model, options.turns)
        base = seconds["loop over slices"]
        for form, values in seconds.items():
            ratios = [value / by for value, by in zip(values, base, strict=True)]
            lines.append(
                f"| {name} | {form} | {median(values):.3f} | {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
            )
            log.info(lines[-1])
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
