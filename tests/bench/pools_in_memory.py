"""A pool in memory, in four forms, on two Ray scorers: seconds until they are ready, and their private memory.

    python -m tests.bench.pools_in_memory

The pool has 200,000 bags of (5, 84) float32, 336 MB. What is compared is a pool of 64 bags. Results go to
tests/bench/pools_in_memory.md.
"""

import datetime
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import ray
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from negsift.common.data.protocols import BagDataset
from negsift.deploy.versions import versions
from negsift.service import NegativeSampler
from negsift.service.cluster.connect import connect
from negsift.service.cluster.service import RayService
from tests.bench.kmeanspp import cpu_model

log = logging.getLogger(__name__)
BAGS, SHAPE, ROUNDS = 200_000, (5, 84), 3


def forms(bags: Tensor) -> Mapping[str, BagDataset]:
    """The same bags as users have them."""
    return {
        "64 bags": bags[:64].clone(), "tensor": bags, "TensorDataset": TensorDataset(bags),
        "list of views": list(bags), "list of 50,000 views": list(bags[:50_000]),
        "list of tensors": [bag.clone() for bag in bags],
    }  # fmt: skip


def private_bytes(_: object) -> int:
    """The memory that the process shares with no other, by the kernel's account."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def measured(pool: BagDataset, model: nn.Module) -> tuple[float, float]:
    """Seconds until two scorers are ready, and the larger of their private memories after a round, in MB."""
    start = time.perf_counter()
    with NegativeSampler(pool, model, strategy="entropy", k=10, shards=2, fleet="ray") as sampler:
        ready = time.perf_counter() - start
        sampler.select(model.state_dict(), 0)
        service = sampler._service
        assert isinstance(service, RayService)
        private = ray.get([scorer.__ray_call__.remote(private_bytes) for scorer in service.group.scorers])
    return ready, max(private) / 1e6


def heading() -> str:
    """Date, hardware and versions."""
    installed = versions()
    cores = os.cpu_count()
    return f"{datetime.date.today()}, {cpu_model()}, {cores} cores, torch {installed['torch']}, ray {installed['ray']}"


def main() -> None:
    """Measure the forms in turns and write the table."""
    logging.basicConfig(level=logging.INFO)
    torch.manual_seed(0)
    bags, model = torch.randn(BAGS, *SHAPE), nn.Sequential(nn.Flatten(), nn.Linear(5 * 84, 2))
    connect()
    pools = forms(bags)
    measured(pools["64 bags"], model)  # which starts Ray's first processes
    found = {name: list[tuple[float, float]]() for name in pools}
    for _ in range(ROUNDS):
        for name, pool in pools.items():
            found[name].append(measured(pool, model))
            log.info("%s: %.1f s, %.0f MB", name, *found[name][-1])
    base_s, base_mb = (median(values) for values in zip(*found["64 bags"], strict=True))
    lines = [
        "# Pools in memory on two Ray scorers", "",
        f"{heading()}; {BAGS:,} bags of {SHAPE} float32 (336 MB); medians of {ROUNDS} in turns; "
        "`python -m tests.bench.pools_in_memory`", "",
        "| pool | ready, in times of a pool of 64 bags | private memory of a scorer beyond it, MB |", "|---|---|---|",
    ]  # fmt: skip
    for name, values in found.items():
        ready, private = (median(each) for each in zip(*values, strict=True))
        lines.append(f"| {name} | {ready / base_s:.2f} | {private - base_mb:.0f} |")
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
