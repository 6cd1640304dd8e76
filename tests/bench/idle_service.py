"""What a service on Ray takes: memory of its processes when idle, by the kernel, and CPU seconds a million bags.

    python -m tests.bench.idle_service [--bags 200000] [--out FILE]

Beside it a bare actor that has imported torch: no scorer can be smaller. Results go to tests/bench/idle_service.md.
"""

import argparse
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import ray
import torch
from ray.actor import ActorHandle
from torch import nn

from negsift.service import NegativeSampler
from negsift.service.cluster.connect import connect
from negsift.service.cluster.service import RayService
from tests.bench.pool_speed import MeanOfInstances
from tests.bench.pools_in_memory import heading

log = logging.getLogger(__name__)
STRATEGIES, ROUNDS = ("entropy", "svm_margin", "gradient_embedding"), 3


def memory_mib(_: object = None) -> Mapping[str, int]:
    """Resident and private memory of the process that calls it."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) >> 10 for line in lines}
    return {"resident": sizes["Rss"], "private": sizes["Private_Dirty"] + sizes["Private_Clean"]}


def processor_s(_: object = None) -> float:
    """Processor time of the process that calls it, of all its threads."""
    return sum(os.times()[:2])


class Bare:
    """An actor that has imported torch and nothing of negsift's service."""

    def memory(self) -> Mapping[str, int]:
        """See `memory_mib`."""
        torch.zeros(1)
        return memory_mib()


def service_of(sampler: NegativeSampler) -> RayService:
    """The service of a sampler on Ray."""
    service = sampler._service
    assert isinstance(service, RayService)
    return service


def asked(actors: list[ActorHandle], question: object) -> list[object]:
    """A function's answers in these processes."""
    found: list[object] = ray.get([actor.__ray_call__.remote(question) for actor in actors])
    return found


def memory_rows() -> list[str]:
    """Coordinator, scorer and the bare actor, after a round of a small pool."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(5 * 84, 2))
    with NegativeSampler(torch.randn(256, 5, 84), model, strategy="entropy", k=10, shards=2, fleet="ray") as sampler:
        sampler.select(model.state_dict(), 0)
        service = service_of(sampler)
        scorer = asked(list(service.group.scorers), memory_mib)[0]
        (coordinator,) = asked([service.coordinator], memory_mib)
    bare = ray.get(ray.remote(num_cpus=1)(Bare).remote().memory.remote())
    named = {"coordinator": (coordinator, "≤ 250"), "scorer": (scorer, "≤ 450"), "a bare actor with torch": (bare, "")}
    return [f"| {name} | {found['resident']} | {found['private']} | {aim} |" for name, (found, aim) in named.items()]


def processor_rows(bags: int) -> list[str]:
    """CPU seconds of two scorers for a million bags of one vector each."""
    rows, model, pool = [], MeanOfInstances(), torch.randn(bags, 1, 84)
    for strategy in STRATEGIES:
        spent, positives = [], list(torch.randn(64, 1, 84)) if strategy == "svm_margin" else None
        with NegativeSampler(
            pool, model, strategy=strategy, k=1000, shards=2, fleet="ray", positives=positives
        ) as sampler:
            scorers = list(service_of(sampler).group.scorers)
            for epoch in range(ROUNDS + 1):
                weights = {name: value + 1e-3 * epoch for name, value in model.state_dict().items()}
                before = sum(map(float, asked(scorers, processor_s)))  # type: ignore[arg-type]
                sampler.select(weights, epoch)
                spent.append(1e6 / bags * (sum(map(float, asked(scorers, processor_s))) - before))  # type: ignore[arg-type]
        rows.append(f"| `{strategy}` | {median(spent[1:]):.2f} |")
        log.info(rows[-1])
    return rows


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bags", type=int, default=200_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    connect()
    lines = [
        "# A service on Ray: its memory when idle, and its processor time a million bags", "",
        f"{heading()}; `python -m tests.bench.idle_service`", "",
        "| process | resident, MiB | of it private | to reach |", "|---|---|---|---|", *memory_rows(), "",
        "What a scorer takes beyond the bare actor is negsift's; torch built for CUDA takes more than there was to reach.", "",
        f"Two scorers, {options.bags:,} bags of one vector of 84 in memory, a linear layer, k = 1,000; medians of {ROUNDS} rounds:",
        "", "| strategy | CPU s a million bags |", "|---|---|", *processor_rows(options.bags),
        "", "Of features and gradients 1.5 were to be reached. svm_margin embeds the blocks of its last picks before all others.",
    ]  # fmt: skip
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
