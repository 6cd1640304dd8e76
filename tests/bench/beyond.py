"""The study `beyond` in pairs: each row against the full set and against `cifar10-quarter`, from the trials in `sweeps/`.

    python -m tests.bench.beyond

A pair is a class and a seed. Results go to tests/bench/beyond.md.
"""

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from negsift.common.arrays import Floats
from negsift.deploy.studies.beyond import UNTOUCHED
from negsift.trainer.budget import FORWARDS
from negsift.trainer.results.estimate import estimate
from negsift.trainer.results.intervals import bca_interval
from negsift.trainer.results.significance import holm, sign_flip_p

TRIALS = Path(__file__).parent / "sweeps" / "beyond.tar.gz"
DATE = "2026-11-28"
HEADLINE = ("full, same tricks", "quarter", "quarter, Muon and shifts", "tenth", "tenth without Muon",
            "full stopped at a tenth", "paper's random, P-N 5, a quarter")  # fmt: skip
"""Rows that are held against the full set."""
Block = tuple[str, int]
"""A class and a seed."""


@dataclass(frozen=True)
class Trial:
    """Test AP of the `last` weights and of the `best` in validation, the `cost` in bags, and its seconds."""

    last: float
    best: float
    cost: float
    seconds: float


Rows = Mapping[str, Mapping[Block, Trial]]


def trials(path: Path) -> Rows:
    """The trials of each row by class and seed."""
    found: dict[str, dict[Block, Trial]] = defaultdict(dict)
    with tarfile.open(path) as packed:
        files = {member.name: packed.extractfile(member) for member in packed.getmembers() if member.isfile()}
        for name in [name for name in files if name.endswith("/summary.json")]:
            summary, config = (json.load(files[name.replace("summary", part)]) for part in ("summary", "config"))  # type: ignore[arg-type]
            bags, seconds = summary["bags"], summary["seconds"]
            found[config["name"]][summary["target"], summary["seed"]] = Trial(
                summary["last"]["ap"], summary["test"]["ap"], bags["trained"] + bags["scored"] / FORWARDS,
                seconds["total"] - seconds["evaluate"],
            )  # fmt: skip
    return found


def compared(rows: Rows, names: Iterable[str], base: str, classes: Iterable[str] | None = None) -> list[str]:
    """A table of the rows' test AP and of its difference to that of `base`, in pairs, by the last weights, and at the
    end by the best in validation; Holm over the rows.
    """
    lines = [
        f"| row | cost | test AP | over {base} | 95 % interval | Holm p | above in | by validation |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    names = [name for name in names if name != base]
    blocks = [block for block in sorted(rows[base]) if classes is None or block[0] in classes]
    pairs = [[(rows[name][block], rows[base][block]) for block in blocks if block in rows[name]] for name in names]
    differences = [np.array([own.last - other.last for own, other in each]) for each in pairs]
    by_validation = [estimate(own.best - other.best for own, other in each) for each in pairs]
    corrected = holm([sign_flip_p(difference) for difference in differences])
    for name, difference, p, best in zip(names, differences, corrected, by_validation, strict=True):
        interval = bca_interval(difference)
        ends = f"{interval.low:+.3f} to {interval.high:+.3f}".replace("-", "−")
        kept = [trial for (label, _), trial in rows[name].items() if classes is None or label in classes]
        lines.append(
            f"| {name} | {np.mean([trial.cost for trial in kept]):,.0f} | {np.mean([trial.last for trial in kept]):.3f} "
            f"| {estimate(difference).text(3, '+')} | {ends} | {p:.1g} "
            f"| {(difference > 0).sum()} of {len(difference)} | {best.text(3, '+')} |"
        )
    return lines


def differences(rows: Rows, name: str, base: str = "quarter") -> Floats:
    """Last test AP of a row over that of another, by class and seed."""
    return np.array([rows[name][block].last - rows[base][block].last for block in sorted(rows[name])])


def plot(rows: Rows, place: Path) -> None:
    """AP against cost, and what rows of a quarter's cost give over `cifar10-quarter`, with 95 % intervals."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.8), width_ratios=(1, 1.15), layout="constrained")
    for name in ("full", *HEADLINE):
        trials = rows[name].values()
        ap, cost = np.array([trial.last for trial in trials]), np.mean([trial.cost for trial in trials])
        left.errorbar(cost, ap.mean(), ap.std(ddof=1) / len(ap) ** 0.5, fmt="o", capsize=3)
        left.annotate(name, (cost, ap.mean()), xytext=(-7 if cost > 5e4 else 7, -3), textcoords="offset points",
                      ha="right" if cost > 5e4 else "left")  # fmt: skip
    left.set(xscale="log", xlim=(8e3, 1.5e5), xlabel="cost: bags trained and a third of those scored",
             ylabel="test AP, last weights, ± standard error")  # fmt: skip
    bars = sorted(_ingredients(rows) + _choosing(rows), key=lambda name: differences(rows, name).mean())
    for row, name in enumerate(bars):
        above, interval = differences(rows, name), bca_interval(differences(rows, name))
        colour = "tab:orange" if name in _choosing(rows) else "tab:blue"
        right.plot((interval.low, interval.high), (row, row), color=colour)
        right.plot(above.mean(), row, "o", color=colour)
    right.axvline(0, color="grey", linewidth=1)
    right.set(
        yticks=range(len(bars)),
        yticklabels=bars,
        xlabel="test AP over that of the quarter, 95 % interval; orange: other choices of negatives",
    )
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(place, dpi=110)


def _ingredients(rows: Rows) -> list[str]:
    return ["quarter, Muon and shifts", *sorted(name for name in rows if name.startswith("quarter without"))]


def _choosing(rows: Rows) -> list[str]:
    return sorted(name for name in rows if name.startswith("quarter, ") and "Muon" not in name)


def seconds(rows: Rows, names: Iterable[str]) -> list[str]:
    """A table of what rows cost, in bags and in time, over what the full set does, in pairs."""
    lines = ["| row | cost over the full set's | seconds over the full set's |", "|---|---:|---:|"]
    for name in names:
        pairs = [(trial, rows["full"][block]) for block, trial in rows[name].items()]
        cost = np.mean([own.cost / full.cost for own, full in pairs])
        time = estimate(own.seconds / full.seconds for own, full in pairs)
        lines.append(f"| {name} | {cost:.2f} | {time.text(2)} |")
    return lines


def page(rows: Rows, date: str) -> str:
    """All tables."""
    sparse = sorted(name for name in rows if name.startswith("sparse"))
    parts = {
        "Against the full set, all six classes": compared(rows, HEADLINE, "full"),
        f"The same on the classes that no setting was chosen on, {' and '.join(UNTOUCHED)}": compared(
            rows, HEADLINE, "full", UNTOUCHED
        ),
        "What each ingredient gives: `cifar10-quarter` without it": compared(rows, _ingredients(rows), "quarter"),
        "Choosing negatives by scores, in place of their turn, at equal cost": compared(
            rows, _choosing(rows), "quarter"
        ),
        "One positive image of five in a positive bag, classes 0 and 1": compared(rows, sparse, "sparse: full"),
        "Cost and time": seconds(rows, ["quarter", "quarter, ht_gumbel", "quarter, Muon and shifts", "tenth"]),
    }
    tables = "\n\n".join("\n".join([f"## {title}", "", *lines]) for title, lines in parts.items())
    count = sum(map(len, rows.values()))
    return (
        f"# Beyond the paper, in pairs\n\n{date}; {count} trials of `negsift sweep beyond data.root=FOLDER` "
        "([all of them](sweeps/beyond.md)), CIFAR-10 bags of five, SimpleCNN, classes 0 to 5, three seeds: 18 pairs a row.\n"
        "Test AP of the last weights, so that none is chosen by validation, and in the last column what the best in validation\n"
        f"give; a cost is the bags trained and a third of those scored. `python -m tests.bench.beyond`\n\n{tables}\n"
    )


def main() -> None:
    """Compare, and write the page and the plots."""
    rows = trials(TRIALS)
    Path(__file__).with_suffix(".md").write_text(page(rows, DATE))
    plot(rows, TRIALS.with_name("beyond.png"))


if __name__ == "__main__":
    main()
