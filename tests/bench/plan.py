"""What `negsift plan` says against what runs take: seconds, memory and bytes, in the same minutes.

    python -m tests.bench.plan --root FOLDER [--turns 3]

Real runs of the trainer: CIFAR-10 in memory, on local shards and on two Ray scorers; BADGE with its points gathered and
left on their shards; a bag table of features larger than the memory its shards may use, streamed locally and by two Ray
scorers. Each is a process of its own, in which runs of three epochs and plans take turns; ratios are those of a turn, since
other work on the machine changes from minute to minute. Memory is resident memory at its peak (VmHWM) after the first
run; bytes are the account's, and what scorers read of files. Results go to tests/bench/plan.md.
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
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from negsift.common.data.catalogue import load_split
from negsift.common.data.config import DataConfig
from negsift.common.data.split import Split
from negsift.common.data.table.location import Location
from negsift.common.data.table.schema import Payload
from negsift.common.data.table.sources.feature_column import feature_column
from negsift.common.data.table.writer import TableWriter
from negsift.common.overrides import override
from negsift.deploy.models import model_for
from negsift.deploy.plan.asked import Asked
from negsift.deploy.plan.plan import Plan, make_plan
from negsift.deploy.plan.seconds import Rates, round_parts
from negsift.deploy.recipes import recipe
from negsift.deploy.run import Runner
from negsift.deploy.run_config import RunConfig
from negsift.deploy.versions import versions
from negsift.service import NegativeSampler
from tests.cluster.processes import alive

BAGS, INSTANCES, WIDTH, GROUP_MB = 40_000, 12, 256, 4
EPOCHS, MIB = 3, 1 << 20
CIFAR = "cifar10 data.target=airplane sampling.random_rounds=0 training.epochs=3 training.threads=1"
TABLE = "table data.target=yes sampling.random_rounds=0 training.epochs=3 training.threads=1 fleet.pool_mb=128 fleet.disk_mb=0"
RAY = "fleet.kind=ray fleet.shards=2"
RUNS = {
    "table, entropy, streamed, two Ray scorers": f"{TABLE} strategy.name=entropy {RAY}",
    "images, badge, gathered, two Ray scorers": f"{CIFAR} strategy.name=badge {RAY}",
    "images, entropy, local": f"{CIFAR} strategy.name=entropy fleet.kind=local",
    "images, badge, on shards, two Ray scorers": f"{CIFAR} strategy.name=badge fleet.held_mb=0 {RAY}",
    "table, entropy, streamed, local": f"{TABLE} strategy.name=entropy fleet.kind=local",
}
Figures = dict[str, float]
BARE, FRESH, KINDS, MEMORY = (
    "bare",
    "plan: ",
    ("resident", "private"),
    ("process, MiB", "scorer, MiB", "coordinator, MiB"),
)


def main() -> None:
    """Every run in turns with its plan, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True, help="folder of CIFAR-10")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--record", type=Path, help="file of what was measured, from which an interrupted one goes on")
    parser.add_argument("--run", help="used by itself")
    given = parser.parse_args()
    table = Path(tempfile.gettempdir()) / "negsift-plan-table" / "pool"
    if given.run:
        json.dump(part(given, table), sys.stdout)
        return
    build(table)
    load_split(DataConfig(name="cifar10", root=given.root))  # decoded once, so that no run's memory has it
    record = json.loads(given.record.read_text()) if given.record and given.record.exists() else {}
    for name in (BARE, *RUNS):
        if name not in record:
            record[name] = child(name, given) if name == BARE else with_fresh_memory(name, given)
            if given.record:
                given.record.write_text(json.dumps(record))
        write([line for each in RUNS if each in record for line in rows(each, record[each])], record[BARE], given.turns)


def with_fresh_memory(name: str, given: argparse.Namespace) -> list[tuple[Figures, Figures]]:
    """The turns of a run; a process that has run already has memory to spare, so a fresh one plans that."""
    fresh = child(f"{FRESH}{name}", given)
    memory = {each: fresh[each] for each in MEMORY if each in fresh}
    return [(measured, plan | memory) for measured, plan in child(name, given)]


def child(name: str, given: argparse.Namespace) -> Any:  # Any: JSON
    """What a process of its own finds."""
    words = ["--root", given.root, "--turns", str(given.turns), "--run", name]
    answer = subprocess.run(
        [sys.executable, "-m", "tests.bench.plan", *words], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(answer.stdout.splitlines()[-1])


def part(given: argparse.Namespace, table: Path) -> Any:  # Any: JSON
    """What one process of this script finds."""
    if given.run == BARE:
        return bare()
    config = configuration(given.run.removeprefix(FRESH), given.root, table)
    if not given.run.startswith(FRESH):
        return turns_of(config, given.turns)
    with Runner() as runner:
        split = runner.split(config.data)
    return planned(config, split)


def turns_of(config: RunConfig, turns: int) -> list[tuple[Figures, Figures]]:
    """A run of the trainer between two plans of it, so many times; the first run's memory."""
    out, found = Path(tempfile.mkdtemp(prefix="negsift-plan-run-")), list[tuple[Figures, Figures]]()
    with Runner() as runner:
        split = runner.split(config.data)
        before = dict[str, float]()
        for turn in range(turns):
            measured = run(runner, replace(config, seed=turn), split, out / str(turn))
            before = before or planned(config, split)
            after = planned(config, split)
            memory = found[0][0] if found else measured
            measured |= {name: size for name, size in memory.items() if name in MEMORY}
            found.append((measured, {name: (before[name] + size) / 2 for name, size in after.items()}))
            before = after
    shutil.rmtree(out)
    return found


def planned(config: RunConfig, split: Split) -> Figures:
    """The plan of a run with these bags."""
    return figures(make_plan(config, Asked(len(split.pool), len(split.positives), cpus=cpus_of(config))))


def cpus_of(config: RunConfig) -> float | None:
    """The cores that are planned with: a scorer's each, or those of this machine."""
    return 2.0 if config.fleet.kind == "ray" else None


def bare() -> Figures:
    """Processes without bags, MiB: resident, and private of that; and seconds of rounds in which nothing is to do."""
    import ray  # noqa: F401  # brings psutil along
    import psutil  # isort: skip

    pool, model = [torch.randn(5, 16) for _ in range(256)], nn.Sequential(nn.Flatten(), nn.Linear(80, 2))
    weights = [{name: value * (1 + step / 100) for name, value in model.state_dict().items()} for step in range(12)]
    with NegativeSampler(pool, model, strategy="entropy", k=10, shards=2, fleet="local") as sampler:
        sampler.select(weights[0], 0)
        found = {"local program": memory_of(os.getpid())}
    with NegativeSampler(pool, model, strategy="entropy", k=10, shards=2, fleet="ray") as sampler:
        seconds = [timed(lambda step=step: sampler.select(weights[step], step)) for step in range(12)]
        ours = actors()
        found |= {"program on Ray": memory_of(os.getpid())}
        found |= {name: memory_of(pid) for name, pid in sorted(ours.items())}
        others = {each.pid for each in psutil.Process().children(recursive=True)} - set(ours.values())
        found["Ray's own"] = tuple(map(sum, zip(*map(memory_of, others), strict=True)))
    return {
        **{f"{name}, {kind}": size for name, sizes in found.items() for kind, size in zip(KINDS, sizes, strict=True)},
        "round on Ray, s": median(seconds[2:]),
    }


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memory_of(pid: int) -> tuple[float, float]:
    """A process's resident memory and the private part of it, MiB; nothing where it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0, 0.0
    return status(text, "VmRSS"), status(text, "RssAnon")


def configuration(name: str, root: str, table: Path) -> RunConfig:
    """The configuration of a run."""
    first, *settings = RUNS[name].split()
    return override(recipe(first), [f"data.root={table if first == 'table' else root}", *settings])


def figures(plan: Plan) -> Figures:
    """The plan in numbers."""
    memory, seconds = plan.memory, plan.seconds
    local = not plan.work.machines.on_ray
    found = {"round, s": seconds.round, "training, s": seconds.train, "validation, s": seconds.validate}
    assert plan.measured
    processor = Rates(
        *(speed.per_processor for speed in plan.measured.speeds), 1.0, 1.0
    )  # of a thread that nothing disturbs
    parts = round_parts(replace(plan.work, machines=replace(plan.work.machines, threads=1)), processor)
    found |= {"round, processor s": sum(size for name, size in parts.items() if name != "messages")}
    found |= {"share of an epoch": seconds.share, "answers, MiB": plan.traffic.answers / MIB}
    found |= {"read, MiB": plan.traffic.pool / MIB} if plan.work.form.in_table else {}
    if local:
        return found | {"process, MiB": sum(memory.node.values()) / MIB}
    return found | {
        "scorer, MiB": sum(memory.scorer.values()) / MIB,
        "coordinator, MiB": sum(memory.coordinator.values()) / MIB,
    }


def run(runner: Runner, config: RunConfig, split: Split, out: Path) -> Figures:
    """What a run takes: medians of its epochs but the first, one more round for the bytes, and peaks."""
    runner.run(config, out)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()][1:]
    sampler = runner.sampler(config, split)
    pids = actors() if config.fleet.kind == "ray" else {"process": os.getpid()}
    before, begun = ({name: ask(pid) for name, pid in pids.items()} for ask in (read_bytes, processor_seconds))
    account = sampler.select(model_for(split.pool, config.model, 1234 + config.seed).state_dict(), EPOCHS).account
    read = sum(read_bytes(pid) - before[name] for name, pid in pids.items() if name != "coordinator")
    work = max(processor_seconds(pid) - begun[name] for name, pid in pids.items())
    peaks = {name: peak(pid) for name, pid in pids.items()}

    def stage(name: str) -> float:
        return median(line["seconds"][name] for line in lines)

    found = {"round, s": stage("select"), "training, s": stage("train"), "validation, s": stage("evaluate")}
    found |= {"round, processor s": work}
    found |= {"share of an epoch": stage("select") / stage("total"), "answers, MiB": account.traffic.size_bytes / MIB}
    found |= {"read, MiB": read / MIB} if config.data.name == "table" else {}
    if config.fleet.kind != "ray":
        return found | {"process, MiB": peaks["process"]}
    coordinator = peaks.pop("coordinator")
    return found | {"scorer, MiB": max(peaks.values()), "coordinator, MiB": coordinator}


def actors() -> dict[str, int]:
    """The processes of the service on Ray, by name."""
    found = {actor["Name"]: actor["Pid"] for actor in alive("scorer", "coordinator")}
    return {"coordinator" if name.startswith("coordinator") else name: pid for name, pid in found.items()}


def peak(pid: int) -> float:
    """A process's peak of resident memory, MiB."""
    return status(Path(f"/proc/{pid}/status").read_text(), "VmHWM")


def status(text: str, name: str) -> float:
    """A figure of a process's status, MiB."""
    found = re.search(rf"{name}:\s+(\d+) kB", text)
    assert found
    return int(found[1]) / 1024


def read_bytes(pid: int) -> float:
    """What a process has read of files and sockets so far."""
    found = re.search(r"rchar: (\d+)", Path(f"/proc/{pid}/io").read_text())
    assert found
    return float(found[1])


def processor_seconds(pid: int) -> float:
    """The processor time of a process so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def build(folder: Path) -> None:
    """The table of features, if it is not there yet."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    with TableWriter(Location.of(folder), Payload("features", "float16", (WIDTH,)), group_mb=GROUP_MB) as writer:
        for part_ in np.array_split(np.arange(BAGS), 40):
            shape = (len(part_) * INSTANCES, WIDTH)
            feats_MD = random.standard_normal(shape, dtype=np.float32).astype(np.float16)
            column = feature_column(feats_MD, np.arange(len(part_) + 1, dtype=np.int64) * INSTANCES)
            labels = [["yes"] if not number % 20 else [] for number in part_]
            writer.add(
                pa.table({"bag_id": [f"bag-{number}" for number in part_], "labels": labels, "features": column})
            )


def rows(name: str, turns: list[tuple[Figures, Figures]]) -> list[str]:
    """The lines of one run: medians, and the ratios of each turn."""
    lines = []
    for figure in turns[0][0]:
        measured, plan = ([turn[side][figure] for turn in turns] for side in (0, 1))
        ratios = [said / is_ for is_, said in zip(measured, plan, strict=True)]
        off = " **" if abs(median(ratios) - 1) > 0.3 else " "
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        lines.append(
            f"| {name} | {figure} | {median(plan):.3g} | {median(measured):.3g} |{off}{median(ratios):.2f}{off[1:]} | {each} |"
        )
    return lines


def write(lines: list[str], own: Figures, turns: int) -> None:
    """The results as Markdown."""
    found = versions()
    text = "\n".join([
        "# Plans against runs",
        "",
        f"{datetime.date.today()}, {found['machine']}, torch {found['torch']}, ray {found['ray']}, load average "
        f"{os.getloadavg()[2]:.0f}; `python -m tests.bench.plan --root FOLDER --turns {turns}`",
        "",
        "A run of three epochs and its plan, in turns; medians, and the ratio of each turn. The rest is in the script.",
        "",
        "| run | figure | planned | measured | planned / measured | in each turn |",
        "|---|---|---|---|---|---|",
        *lines,
        "",
        "## Processes without bags",
        "",
        "| | MiB |",
        "|---|---|",
        *(f"| {name} | {size:.0f} |" for name, size in own.items() if not name.endswith(", s")),
        "",
        f"A round on Ray with next to nothing to score, one request: {own['round on Ray, s']:.3f} s.",
        "",
    ])  # fmt: skip
    Path(__file__).with_name("plan.md").write_text(text)


if __name__ == "__main__":
    main()
