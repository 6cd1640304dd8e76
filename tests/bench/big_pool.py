"""A pool of 5 million ragged feature bags, larger than the memory its shard may use: peak memory and seconds.

    python -m tests.bench.big_pool [--folder FOLDER] [--bags 5000000] [--pool-mb 128]

Bags of 1 to 5 instances of 32 float16 features, one in a hundred positive, in a table whose three
versions hold a fifth, a half and all of them. Every measurement is a process of its own: it imports,
selects once from a small pool in memory, notes its resident memory, and then selects k = 10,000 bags
by entropy, with other weights every time. Memory is the peak of VmHWM beyond what was noted; pages
mapped from files count. Results go to tests/bench/big_pool.md.
"""

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from common.data.table.location import Location
from common.data.table.manifest import read_manifest, versions
from common.data.table.schema import Payload
from common.data.table.sources.ragged import ragged
from common.data.table.writer import TableWriter
from common.models.bag import BagClassifier
from common.models.pooling import make_pooling
from deploy.versions import versions as found_versions
from service import NegativeSampler
from service.setup import FleetConfig

K, WIDTH, BLOCK, BATCH, REPEATS = 10_000, 32, 1024, 100_000, 3
PARTS = (0.2, 0.5, 1.0)
WAYS = {"decoded anew": 0, "from the cache on disk": 8192}


def main() -> None:
    """Build the table if it isn't there, measure every version in both ways, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "negsift-big-pool")
    parser.add_argument("--bags", type=int, default=5_000_000)
    parser.add_argument("--pool-mb", type=int, default=128)
    parser.add_argument("--measure", nargs=2, type=int, metavar=("VERSION", "DISK_MB"), help="used by itself")
    given = parser.parse_args()
    table = given.folder / f"bags-{given.bags}"
    if given.measure:
        print(json.dumps(measure(table, given.pool_mb, *given.measure)))  # noqa: T201  # read by `ask`
        return
    build(table, given.bags)
    results = {way: [ask(given, version, disk) for version in (1, 2, 3)] for way, disk in WAYS.items()}
    write(results, table, given)


def build(table: Path, bags: int) -> None:
    """The table in three versions."""
    where, before = Location.of(table), 0
    for number, part in enumerate(PARTS):
        if number < len(versions(where)):
            before = round(bags * part)
            continue
        payload = Payload("features", "float16", (WIDTH,))
        with TableWriter(where, payload, append=number > 0, group_mb=8) as writer:
            for batch in batches(before, round(bags * part)):
                writer.add(batch)
        before = round(bags * part)


def batches(start: int, stop: int) -> Iterator[pa.Table]:
    """Random bags number `start` to `stop`."""
    for first in range(start, stop, BATCH):
        random = np.random.default_rng(first)
        count = min(BATCH, stop - first)
        offsets = np.concatenate([[0], np.cumsum(random.integers(1, 6, count))])
        features = random.standard_normal((offsets[-1], WIDTH), dtype=np.float32).astype(np.float16)
        labels = [["bird"] if rare else [] for rare in random.random(count) < 0.01]
        names = [f"bag-{number:09d}" for number in range(first, first + count)]
        yield pa.table({"bag_id": names, "labels": labels, "features": ragged(features, offsets)})


def ask(given: argparse.Namespace, version: int, disk_mb: int) -> dict[str, float]:
    """`measure` in a process of its own, with nothing decoded before."""
    words = ["--folder", str(given.folder), "--bags", str(given.bags), "--pool-mb", str(given.pool_mb)]
    command = [sys.executable, "-m", "tests.bench.big_pool", *words, "--measure", str(version), str(disk_mb)]
    cache = given.folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    environment = os.environ | {"NEGSIFT_CACHE": str(cache)}
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    found: dict[str, float] = json.loads(answer)
    sys.stdout.write(f"version {version}, {disk_mb} MiB on disk: {found}\n")
    return found


def measure(table: Path, pool_mb: int, version: int, disk_mb: int) -> dict[str, float]:
    """Peak memory and seconds of some selections from one version of the table."""
    options = FleetConfig(block=BLOCK, cache_mb=0, pool_mb=pool_mb, disk_mb=disk_mb)
    small = [torch.randn(3, WIDTH) for _ in range(2 * BLOCK)]
    select(small, options, 0)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmHWM")
    start = time.perf_counter()
    with NegativeSampler(
        table, network(0), strategy="entropy", k=K, shards=1, target_label="bird", options=options
    ) as one:
        one.refresh(version)
        opening = time.perf_counter() - start
        seconds, work, stale = list[float](), list[float](), 0
        for epoch in range(REPEATS + 1):
            start, begun = time.perf_counter(), time.process_time()
            chosen = one.select(network(epoch).state_dict(), epoch)
            seconds.append(time.perf_counter() - start)
            work.append(time.process_time() - begun)
            stale += chosen.account.edition != version
        assert not stale
        assert len(set(one.pool.bag_id(chosen.index[:5]))) == 5
        bags = len(one.pool)
    return {
        "bags": bags, "before_mb": before, "peak_mb": memory("VmHWM") - before, "opening_s": opening,
        "first_s": seconds[0], "median_s": median(seconds[1:]), "work_s": median(work[1:]),
    }  # fmt: skip


def select(pool: list[torch.Tensor], options: FleetConfig, epoch: int) -> None:
    """A selection that loads whatever is loaded lazily."""
    with NegativeSampler(pool, network(0), strategy="entropy", k=100, shards=1, options=options) as sampler:
        sampler.select(network(1).state_dict(), epoch)


def network(seed: int) -> BagClassifier:
    """A small classifier of feature bags."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(WIDTH, 16), nn.Tanh())
    return BagClassifier(encoder, nn.Linear(16, 2), make_pooling("mean_softmax", 16))


def memory(name: str) -> float:
    """A figure of /proc/self/status, in MiB."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def processor() -> str:
    """The model name of the processor."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else "unknown processor"


def write(results: dict[str, list[dict[str, float]]], table: Path, given: argparse.Namespace) -> None:
    """The results as Markdown, and on the screen."""
    found, manifest = found_versions(), read_manifest(Location.of(table))
    rows = [
        f"| {way} | {one['bags']:,.0f} | {one['peak_mb']:.0f} | {one['first_s']:.1f} | {one['median_s']:.1f} | "
        f"{one['work_s']:.1f} | {one['work_s'] / one['bags'] * 1e6:.2f} |"
        for way, ones in results.items() for one in ones
    ]  # fmt: skip
    decoded = manifest.instances * manifest.payload.instance_bytes + 8 * manifest.rows
    text = "\n".join([
        "# A pool larger than the memory given",
        "",
        f"{datetime.date.today()}, {processor()}, {found['machine']}, torch {found['torch']}, pyarrow {found['pyarrow']};",
        f"`python -m tests.bench.big_pool --bags {given.bags} --pool-mb {given.pool_mb}` (`make bench-pool`)",
        "",
        f"{manifest.rows:,} bags of {manifest.instances:,} instances of {WIDTH} float16 features: {manifest.size_bytes >> 20:,} MiB "
        f"in Parquet, {decoded >> 20:,} MiB decoded. Budget `fleet.pool_mb={given.pool_mb}`, one shard, entropy, k = {K:,}, "
        f"blocks of {BLOCK:,}; before it opened the table a process held {results['decoded anew'][0]['before_mb']:.0f} MiB.",
        "",
        "| row groups that don't fit | negative bags | peak memory beyond that, MiB | first selection, s | "
        f"later ones, s (median of {REPEATS}) | of processor time | per million bags |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
    ])  # fmt: skip
    Path(__file__).with_name("big_pool.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
