"""Seeding k-means++: ours against FAISS, scikit-learn, torch and BADGE, by CPU time on one thread.

    python -m tests.bench.kmeanspp --root FOLDER [--quick] [--cache FOLDER]

FOLDER holds CIFAR-10; without it all pools are made up, and the table says so. Figures go to
kmeanspp.json, kmeanspp.md and kmeanspp.png beside this file; with `--quick`, which leaves out what takes
long, into the cache folder.
"""

import os

os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")})

import argparse
import datetime
import json
import logging
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from negsift.deploy.versions import versions
from tests.bench import kmeanspp_peers as ways
from tests.bench.kmeanspp_pools import KINDS, Source, extra_memory, potentials

COLUMNS, POINTS, WANTED = (84, 512), (10_000, 50_000, 200_000, 1_000_000), (100, 1_000, 5_000)
CHECKS = {(50_000, 84): "BADGE", (1_000_000, 84): "FAISS k-means++"}
COMPARED, SEEDS, SHOWN = (50_000, 84), 3, 1_000
COLOURS = {
    "BADGE, published": "#5e2a49", "BADGE, Python's sum": "#a5477a", "BADGE": "#cc79a7", "scikit-learn": "#e69f00", "scikit-learn, 1 trial": "#f0c75e", "torch": "#7a8594",
    "FAISS k-means++": "#009e73", "FAISS AFK-MC²": "#56b4e9", "ours, numpy": "#0072b2", "ours, numba": "#d55e00",
}  # fmt: skip
PEERS, CELL = list(COLOURS)[7::-1], ["d", "N", "k"]
PACKAGES = ("numpy", "numba", "faiss-cpu", "scikit-learn", "scipy", "torch")
Section = tuple[str, list[str], list[list[str]]]
_LOG = logging.getLogger(__name__)


def main() -> None:
    """Measure; what there is gets written after every pool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder of CIFAR-10; without it all pools are made up")
    parser.add_argument("--quick", action="store_true", help="pools up to 50,000 and up to 1,000 centres only")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "negsift-bench")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    ways.one_thread()
    points, wanted = (POINTS[:2], WANTED[:2]) if given.quick else (POINTS, WANTED)
    given.cache.mkdir(parents=True, exist_ok=True)
    path = given.cache / "kmeanspp" if given.quick else Path(__file__)
    source, found = Source(given.root, given.cache, points[-1]), described(given)
    for columns in COLUMNS:
        for count in points:
            measure_pool(source, (count, columns), wanted, found)
            write(found, path)
    for name in ways.seedings():
        found["memory"].append({"name": name, "points": points[-1], **extra_memory(name, source, points[-1], SHOWN)})
    write(found, path)


def described(given: argparse.Namespace) -> ways.Json:
    """When, where and with what; and room for the rest."""
    flags = " --root FOLDER" * bool(given.root) + " --quick" * given.quick
    return {
        "date": str(datetime.date.today()), "command": f"python -m tests.bench.kmeanspp{flags}",
        "cpu": cpu_model(),
        "versions": versions() | {name: part.version for name in PACKAGES for part in distributions(name=name)},
        "cells": [], "checks": [], "potential": {}, "memory": [],
    }  # fmt: skip


def cpu_model() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))


def measure_pool(source: Source, shape: tuple[int, int], wanted: Iterable[int], found: ways.Json) -> None:
    """All there is to find on one pool, which is freed afterwards."""
    rows, (count, columns) = source.pool(*shape), shape
    where = {"pool": source.kind(columns), "columns": columns, "points": count}
    for centres in wanted:
        found["cells"].append({**where, "wanted": centres, **ways.measure(rows, centres)})
        _LOG.info("%s", {**where, "wanted": centres} | found["cells"][-1]["median"])
    if shape in CHECKS:
        found["checks"].append({**where, "wanted": SHOWN, **ways.check(CHECKS[shape], rows, SHOWN)})
    if shape == COMPARED:
        found["potential"] = potentials(rows, SHOWN, SEEDS)


def write(found: ways.Json, path: Path) -> None:
    """The figures, the text and the plot."""
    path.with_suffix(".json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".md").write_text("\n".join(text(found)) + "\n")
    plot(found).savefig(path.with_suffix(".png"), dpi=120)


def text(found: ways.Json) -> list[str]:
    """The result as Markdown, line by line."""
    lines = heading(found)
    for title, columns, rows in (*timings(found["cells"]), *others(found)):
        lines += ["", f"## {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in rows] or [f"| {' | '.join('–' * len(columns))} |"]
    return lines


def heading(found: ways.Json) -> list[str]:
    """What the figures are, how they were taken, and what is extrapolated."""
    packages = ", ".join(f"{name} {found['versions'][name]}" for name in PACKAGES if name in found["versions"])
    pools = {cell["columns"]: cell["pool"] for cell in found["cells"]}
    return [
        "# Seeding k-means++ with D² sampling: CPU time on one thread", "",
        f"{found['date']}, {found['cpu']}, {found['versions']['machine']}, {packages}, commit {found['versions']['git']};",
        f"`{found['command']}`", "",
        *(f"- d = {columns}: {KINDS[kind]}." for columns, kind in pools.items()),
        f"- CPU time of one process, ways in turns, medians of {ways.OURS_TIMES} runs (ours) and {ways.PEERS_TIMES} (peers). All read",
        "  the same float32 rows. Norms are timed; making and snapping the rows, imports and compilation are not.",
        "- **Extrapolated** figures have a *: as many centres were timed as take about a second (at least",
        f"  {ways.LEAST_CENTRES}), and what all but the first took was scaled linearly. The others are full runs.",
        "- AFK-MC² (chain of 50) approximates D² sampling; – where a run, or six centres, take over 20 s. scikit-learn keeps",
        "  the best of 2 + ⌊ln k⌋ candidates by default, another distribution. FAISS and scikit-learn draw the first centre uniformly.",
        "- BADGE is written anew from its paper and draws as its authors' code does. *Published* is the algorithm as they",
        "  published it: distances between whole gradients, 2d numbers a bag, and loops in Python. Theirs of 2023 measures",
        "  distances by factors: with *Python's sum* of the weights, as they have it, and with numpy's (*BADGE*), which is kinder.",
        "", "![CPU seconds over N](kmeanspp.png)",
    ]  # fmt: skip


def timings(cells: list[ways.Json]) -> Iterator[Section]:
    """Ours; how many times longer each peer took; the peers; and where one was faster."""
    ours = [name for name in cells[0]["seconds"] if name not in PEERS]
    traffic = ("rounds", "passes", "points sent", "MB sent")
    yield "Ours, ms", [*CELL, *ours, *traffic], [[*where(c), *(ms(c, name) for name in ours), *sent(c)] for c in cells]
    for mine in ours:
        yield f"A peer's time / {mine}", [*CELL, *PEERS], [[*where(c), *(ms(c, n, mine) for n in PEERS)] for c in cells]
    yield "Peers, ms", [*CELL, *PEERS], [[*where(c), *(ms(c, name) for name in PEERS)] for c in cells]
    pairs = [(c, c["median"], mine, n) for mine in ours for c in cells for n in PEERS]
    faster = [(c, mine, n) for c, times, mine, n in pairs if times.get(n, np.inf) < times[mine]]
    rows = [[*where(c), mine, ms(c, mine), n, ms(c, n), ms(c, n, mine)] for c, mine, n in faster]
    yield "Weak spots: where a peer takes less time", [*CELL, "ours", "ms", "peer", "ms", "peer / ours"], rows


def others(found: ways.Json) -> Iterator[Section]:
    """Extrapolation against full runs, potentials, memory."""
    rows = [[*where(c), c["name"], f"{c['run']:,}", f"{c['scaled']:.2f}", f"{c['full']:.2f}"] for c in found["checks"]]
    yield "Extrapolated and full runs, s", [*CELL, "way", "centres timed", "extrapolated", "in full"], rows
    title = f"Potential / BADGE's mean, N = {COMPARED[0]:,}, d = {COMPARED[1]}, k = {SHOWN:,}"
    rows = [[name, *(f"{value:.3f}" for value in values)] for name, values in found["potential"].items()]
    yield title, ["way", *(f"seed {seed}" for seed in range(SEEDS))], rows
    numbers = ("points", "run", "resident", "traced")
    rows = [[one["name"], *(f"{one[name]:,.0f}" for name in numbers)] for one in found["memory"]]
    columns = ["way", "N", "centres run", "resident (VmHWM), fresh process", "traced (tracemalloc: numpy's)"]
    yield f"Peak memory beyond the pool, MB, d = {COMPARED[1]}, k = {SHOWN:,}", columns, rows


def where(cell: ways.Json) -> list[str]:
    """The cell's d, N, k."""
    return [f"{cell[name]:,}" for name in ("columns", "points", "wanted")]


def sent(cell: ways.Json) -> list[str]:
    """What ours sent, with the last of its backends, seed 0."""
    traffic = cell["traffic"]
    return [*(f"{traffic[name]:,}" for name in ("rounds", "passes", "points")), f"{traffic['size_bytes'] / 1e6:.1f}"]


def ms(cell: ways.Json, name: str, over: str | None = None) -> str:
    """Milliseconds, or times the time of another way; three digits, * where extrapolated."""
    times = cell["median"]
    if name not in times:
        return "–"
    value = times[name] * 1e3 if over is None else times[name] / times[over]
    digits = max(0, 2 - int(np.floor(np.log10(value))))
    return f"{value:,.{digits}f}{'*' * (cell['run'][name] < cell['wanted'])}"


def plot(found: ways.Json) -> Figure:
    """Seconds over N at k = 1,000, a panel each d, both axes logarithmic."""
    figure = Figure((10, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, columns in zip(panels, COLUMNS, strict=True):
        cells = [c for c in found["cells"] if (c["columns"], c["wanted"]) == (columns, SHOWN)]
        for (name, colour), marker in zip(COLOURS.items(), "dhos^vDPX*", strict=True):
            at = [(c["points"], c["median"][name]) for c in cells if name in c["median"]]
            if at:
                width = 1.2 if name in PEERS else 2.4
                panel.loglog(*zip(*at, strict=True), color=colour, marker=marker, label=name, lw=width)
        panel.set(title=f"d = {columns}, k = {SHOWN:,}")
        panel.set_xticks(POINTS, [f"{count // 1000:,}k" for count in POINTS])
        panel.minorticks_off()
        panel.grid(which="major", color="#e3e7ec")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("CPU seconds, one thread")
    figure.supxlabel("N, points. Which times are extrapolated: see kmeanspp.md", fontsize="medium")
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside right center", frameon=False)
    return figure


if __name__ == "__main__":
    main()
