"""A pool of 5 million ragged feature bags, larger than the memory its shards may use: peak memory and seconds.

    python -m tests.bench.big_pool [--folder FOLDER] [--bags 5000000] [--pool-mb 128]

Bags of 1 to 5 instances of 32 float16 features, one in a hundred positive, in a table whose versions
hold a hundredth, a fifth, a half and all of them. k = 10,000 bags are selected by entropy, with other
weights every time. Every measurement is a process of its own, or Ray of its own. It selects once from
a small pool (in memory; on Ray the smallest version), notes its resident memory, and is measured from
then on: the peak of VmHWM beyond what was noted; pages mapped from files count. Results go to
tests/bench/big_pool.md.
"""

import argparse
import datetime
import importlib
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

from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest, versions
from negsift.common.data.table.schema import Payload
from negsift.common.data.table.sources.feature_column import feature_column
from negsift.common.data.table.writer import TableWriter
from negsift.common.models.bag import BagClassifier
from negsift.common.models.pooling import make_pooling
from negsift.deploy.versions import versions as found_versions
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig

K, WIDTH, BLOCK, BATCH, REPEATS = 10_000, 32, 1024, 100_000, 3
PARTS = (0.01, 0.2, 0.5, 1.0)
WAYS = {  # fleet, shards, MiB of decoded bags on disk
    "one shard, decoding again": ("local", 1, 0),
    "one shard, decoded on disk": ("local", 1, 8192),
    "two Ray scorers, decoding again": ("ray", 2, 0),
}
Figures = dict[str, float]


def main() -> None:
    """Build the table if it isn't there, measure every version in all ways, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "negsift-big-pool")
    parser.add_argument("--bags", type=int, default=5_000_000)
    parser.add_argument("--pool-mb", type=int, default=128)
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "VERSION"), help="used by itself")
    given = parser.parse_args()
    table = given.folder / f"bags-{given.bags}"
    if given.measure:
        json.dump(measure(table, given.pool_mb, given.measure[0], int(given.measure[1])), sys.stdout)
        return
    build(table, given.bags)
    write({way: [ask(given, way, version) for version in (2, 3, 4)] for way in WAYS}, table, given)


def build(table: Path, bags: int) -> None:
    """The table in its versions."""
    where, bounds = Location.of(table), [0, *(round(bags * part) for part in PARTS)]
    for number in range(len(versions(where)), len(PARTS)):
        payload = Payload("features", "float16", (WIDTH,))
        with TableWriter(where, payload, append=number > 0, group_mb=8) as writer:
            for batch in batches(bounds[number], bounds[number + 1]):
                writer.add(batch)


def batches(start: int, stop: int) -> Iterator[pa.Table]:
    """Random bags number `start` to `stop`."""
    for first in range(start, stop, BATCH):
        random = np.random.default_rng(first)
        count = min(BATCH, stop - first)
        offsets = np.concatenate([[0], np.cumsum(random.integers(1, 6, count))])
        features = random.standard_normal((offsets[-1], WIDTH), dtype=np.float32).astype(np.float16)
        labels = [["bird"] if rare else [] for rare in random.random(count) < 0.01]
        names = [f"bag-{number:09d}" for number in range(first, first + count)]
        yield pa.table({"bag_id": names, "labels": labels, "features": feature_column(features, offsets)})


def ask(given: argparse.Namespace, way: str, version: int) -> Figures:
    """`measure` in a process of its own, with nothing decoded before."""
    words = ["--folder", str(given.folder), "--bags", str(given.bags), "--pool-mb", str(given.pool_mb)]
    command = [sys.executable, "-m", "tests.bench.big_pool", *words, "--measure", way, str(version)]
    cache = given.folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    environment = os.environ | {"NEGSIFT_CACHE": str(cache)}
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    found: Figures = json.loads(answer)
    sys.stdout.write(f"{way}, version {version}: {found}\n")
    return found


def measure(table: Path, pool_mb: int, way: str, version: int) -> Figures:
    """Peak memory, MiB, and seconds of some selections from one version of the table."""
    fleet, shards, disk_mb = WAYS[way]
    options = FleetConfig(block=BLOCK, cache_mb=0, pool_mb=pool_mb, disk_mb=disk_mb)
    given = {"strategy": "entropy", "k": K, "shards": shards, "options": options}
    importlib.import_module("pandas")  # pyarrow does so at its first conversion; it is no bag
    small = [torch.randn(3, WIDTH) for _ in range(K)]
    with NegativeSampler(small, network(0), **given) as sampler:
        sampler.select(network(1).state_dict(), 0)
    noted = {"": note(os.getpid())}
    with NegativeSampler(table, network(0), target_label="bird", fleet=fleet, **given) as sampler:
        if fleet == "ray":
            sampler.refresh(1)
            sampler.select(network(1).state_dict(), 0)
            noted = {name: note(pid) for name, pid in actors().items()}
        sampler.refresh(version)
        figures = timed(sampler, version)
        pids = actors() if fleet == "ray" else {"": os.getpid()}
        peaks = {name: memory(pid, "VmHWM") - noted[name] for name, pid in pids.items()}
    coordinator = peaks.pop("coordinator", 0.0)
    return figures | {"noted_mb": max(noted.values()), "peak_mb": max(peaks.values()), "coordinator_mb": coordinator}


def timed(sampler: NegativeSampler, version: int) -> Figures:
    """Seconds of the first selection and of later ones, by the clock and of this process's processor time."""
    seconds, work = list[float](), list[float]()
    for epoch in range(REPEATS + 1):
        start, begun = time.perf_counter(), time.process_time()
        chosen = sampler.select(network(epoch).state_dict(), epoch)
        seconds.append(time.perf_counter() - start)
        work.append(time.process_time() - begun)
        assert chosen.account.pool_version == version
    return {
        "bags": len(sampler.pool),
        "first_s": seconds[0],
        "later_s": median(seconds[1:]),
        "work_s": median(work[1:]),
    }


def network(seed: int) -> BagClassifier:
    """A small classifier of feature bags."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(WIDTH, 16), nn.Tanh())
    return BagClassifier(encoder, nn.Linear(16, 2), make_pooling("mean_softmax", 16))


def actors() -> dict[str, int]:
    """The processes of a service on Ray, by name."""
    from tests.cluster.processes import alive  # imported here: a local fleet is measured without Ray

    return {
        actor["Name"].partition("-")[0] if "coord" in actor["Name"] else actor["Name"]: actor["Pid"]
        for actor in alive("")
    }


def note(pid: int) -> float:
    """A process's resident memory in MiB, from which its peak is measured from here on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return memory(pid, "VmHWM")


def memory(pid: int, name: str) -> float:
    """A figure of a process's status, in MiB."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def processor() -> str:
    """The model name of the processor."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else "unknown processor"


def line(way: str, one: Figures) -> str:
    """A row of the table; processor time is this process's, so it is left out on Ray."""
    on_ray = one["coordinator_mb"] > 0
    work = "|  |  |" if on_ray else f"| {one['work_s']:.1f} | {one['work_s'] / one['bags'] * 1e6:.2f} |"
    coordinator = f"{one['coordinator_mb']:.0f}" if on_ray else ""
    return (
        f"| {way} | {one['bags']:,.0f} | {one['peak_mb']:.0f} | {coordinator} | {one['first_s']:.1f} | "
        f"{one['later_s']:.1f} {work}"
    )


def write(results: dict[str, list[Figures]], table: Path, given: argparse.Namespace) -> None:
    """The results as Markdown, and on the screen."""
    found, manifest = found_versions(), read_manifest(Location.of(table))
    decoded = manifest.instances * manifest.payload.instance_bytes + 8 * manifest.rows
    noted = max(one["noted_mb"] for ones in results.values() for one in ones)
    text = "\n".join([
        "# A pool larger than the memory given",
        "",
        f"{datetime.date.today()}, {processor()}, {found['machine']}, torch {found['torch']}, pyarrow {found['pyarrow']}, "
        f"ray {found['ray']}; `make bench-pool`, that is",
        f"`python -m tests.bench.big_pool --bags {given.bags} --pool-mb {given.pool_mb}`.",
        "",
        f"{manifest.rows:,} bags of {manifest.instances:,} instances of {WIDTH} float16 features, "
        f"{manifest.size_bytes >> 20:,} MiB in Parquet, {decoded >> 20:,} MiB decoded. Each shard may use "
        f"`fleet.pool_mb={given.pool_mb}` for them. Entropy, k = {K:,}, blocks of {BLOCK:,} bags. Memory is the peak of "
        f"resident memory beyond what a process held before (at most {noted:.0f} MiB, nearly all of it torch). The "
        f"machine's load average was {os.getloadavg()[2]:.0f}; above 2, seconds of the clock tell of other work, too.",
        "",
        "| | negative bags | a shard's peak, MiB | the coordinator's | first selection, s | "
        f"later ones, s (median of {REPEATS}) | processor time, s | of it per million bags |",
        "|---|---|---|---|---|---|---|---|",
        *(line(way, one) for way, ones in results.items() for one in ones),
        "",
    ])  # fmt: skip
    Path(__file__).with_name("big_pool.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
