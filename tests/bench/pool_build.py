"""Seconds of `pool build` on 20,000 small files, by one task on Ray and by two, in turns.

    python -m tests.bench.pool_build

Ray and its workers are there before the clock starts. Beside the clock's seconds stand those of a processor, which other
work on the machine does not change: of the parts, which tasks share, and of the rest, which the command does alone. The
table goes to pool_build.md beside this file.
"""

import datetime
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import ray
from PIL import Image

from negsift.common.data.table.build import build_table
from negsift.common.data.table.manifest import Manifest
from negsift.common.data.table.part import PartWriter, WrittenPart
from negsift.common.data.table.sources.source import BuildConfig, Part
from negsift.deploy.parts_on_ray import parts_on_ray, write_part
from negsift.deploy.versions import versions
from negsift.service.cluster.connect import connect
from tests.bench.kmeanspp import cpu_model
from tests.unit.clips import encoded_clip

FILES, TIMES, CLASSES, SUMS = 20_000, 3, ("cat", "dog"), 20_000_000


def bags(root: Path, count: int) -> BuildConfig:
    """h5 files of features (16, 64), and labels.csv."""
    random = np.random.default_rng(0)
    for number in range(count):
        with h5py.File(root / f"b{number:05d}.h5", "w") as opened:
            opened["features"] = random.normal(size=(16, 64)).astype(np.float32)
    rows = "".join(f"b{number:05d},{number % 2}\n" for number in range(count))
    (root / "labels.csv").write_text(f"bag_id,label\n{rows}")
    return BuildConfig()


def images(root: Path, count: int) -> BuildConfig:
    """JPEG of 224 x 224 pixels, two classes."""
    random = np.random.default_rng(0)
    for number in range(count):
        folder = root / CLASSES[number % 2]
        folder.mkdir(exist_ok=True)
        pixels = Image.fromarray(random.integers(0, 256, (14, 14, 3), dtype=np.uint8)).resize((224, 224))
        pixels.save(folder / f"{number:05d}.jpg")
    return BuildConfig(image_size=224)


def clips(root: Path, count: int) -> BuildConfig:
    """FLAC of 0.6 to 1 s at 16 kHz, two classes."""
    for number in range(count):
        folder = root / CLASSES[number % 2]
        folder.mkdir(exist_ok=True)
        (folder / f"{number:05d}.flac").write_bytes(encoded_clip(number % 50))
    return BuildConfig(seconds=1.0, frames=128)


def seconds(root: Path, config: BuildConfig, workers: int) -> tuple[float, list[str]]:
    """The time of a build, and the hashes of what it wrote, in order."""
    out = root.parent / "table"
    start = time.perf_counter()
    manifest: Manifest = build_table(out, root, config, run=parts_on_ray(workers))
    taken = time.perf_counter() - start
    shutil.rmtree(out)
    return taken, [group.digest for file in manifest.files for group in file.groups]


def cpu_seconds(root: Path, config: BuildConfig) -> tuple[float, float]:
    """Seconds of a processor for all parts, and for the rest of a build, in this process."""
    spent = list[float]()

    def run(writer: PartWriter, parts: Mapping[int, Part]) -> Iterator[tuple[int, WrittenPart]]:
        for number, part in parts.items():
            start = time.process_time()
            written = write_part(writer, number, part)
            spent.append(time.process_time() - start)
            yield number, written

    start = time.process_time()
    build_table(root.parent / "table", root, config, run=run)
    whole = time.process_time() - start
    shutil.rmtree(root.parent / "table")
    return sum(spent), whole - sum(spent)


def add_up(count: int) -> None:
    """Work for one processor that needs nothing else."""
    sum(number * number for number in range(count))


def control() -> str:
    """What two tasks gain on arithmetic alone at this time, the range over the turns."""
    task, ratios = ray.remote(add_up), list[float]()
    ray.get([task.remote(10), task.remote(10)])
    for _ in range(TIMES):
        taken = list[float]()
        for tasks in (1, 2):
            start = time.perf_counter()
            ray.get([task.remote(SUMS // tasks) for _ in range(tasks)])
            taken.append(time.perf_counter() - start)
        ratios.append(taken[0] / taken[1])
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def measure(make: Callable[[Path, int], BuildConfig], folder: Path) -> str:
    """One row of the table."""
    root = folder / make.__name__
    root.mkdir()
    config = make(root, FILES)
    seconds(root, config, 2)  # the workers have imported what they need, the files are in the page cache
    times: dict[int, list[float]] = {1: [], 2: []}
    hashes = []
    for _ in range(TIMES):
        for workers, taken in times.items():
            found, digests = seconds(root, config, workers)
            taken.append(found)
            hashes.append(digests)
    assert all(digests == hashes[0] for digests in hashes)
    parts, rest = cpu_seconds(root, config)
    shutil.rmtree(root)
    ratios = [one / two for one, two in zip(*times.values(), strict=True)]
    cells = [
        *(f"{median(taken):.1f}" for taken in times.values()), f"{median(ratios):.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}", f"{parts:.1f}", f"{rest:.1f}",
        f"{(parts + rest) / (parts / 2 + rest):.2f}",
    ]  # fmt: skip
    return f"| {(make.__doc__ or '').rstrip('.')} | {' | '.join(cells)} |"


def main() -> None:
    """Measure all kinds, and write the table."""
    logging.disable(logging.INFO)
    connect()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(make, Path(folder)) for make in (bags, images, clips)]
    gain = control()
    ray.shutdown()
    made = versions()
    head = f"""# `pool build` on {FILES:,} small files: seconds by one task on Ray and by two

{datetime.date.today()}, {cpu_model()}, 2 cores, ray {made["ray"]}, commit {made["git"]};
`python -m tests.bench.pool_build`; medians of {TIMES} in turns, files in the page cache, Ray and its workers started
before. The row groups of all builds of a row have the same hashes. What the machine had to give: on
arithmetic alone two tasks gained {gain} at the end of the run. A processor's seconds
say what two tasks can reach, since nothing but the parts is done by them.

| files | one | two | one over two | range | CPU: parts | CPU: the rest | one over two by CPU |
|---|---|---|---|---|---|---|---|
"""
    Path(__file__).with_suffix(".md").write_text(head + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
