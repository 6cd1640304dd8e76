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

from negsift.deploy.studies.beyond import UNTOUCHED
from negsift.trainer.budget import FORWARDS
from negsift.trainer.results.estimate import estimate
from negsift.trainer.results.intervals import bca_interval
from negsift.trainer.results.significance import holm, sign_flip_p

TRIALS = Path(__file__).parent / "sweeps" / "beyond.tar.gz"
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
    pairs = [[(rows[name][block], rows[base][block]) for block in blocks] for name in names]
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
    dense = [name for name in rows if not name.startswith("sparse")]
    headline = ["full, same tricks", "quarter", "quarter, Muon and shifts", "tenth", "tenth without Muon",
                "full stopped at a tenth", "paper's random, P-N 5, a quarter"]  # fmt: skip
    without = ["quarter, Muon and shifts", *sorted(name for name in dense if name.startswith("quarter without"))]
    chosen = sorted(name for name in dense if name.startswith("quarter, ") and "Muon" not in name)
    sparse = sorted(name for name in rows if name.startswith("sparse"))
    parts = {
        "Against the full set, all six classes": compared(rows, headline, "full"),
        f"The same on the classes that no setting was chosen on, {' and '.join(UNTOUCHED)}": compared(
            rows, headline, "full", UNTOUCHED
        ),
        "What each ingredient gives: `cifar10-quarter` without it": compared(rows, without, "quarter"),
        "Choosing negatives by scores, in place of their turn, at equal cost": compared(rows, chosen, "quarter"),
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
    """Compare, and write the page."""
    place = Path(__file__).with_suffix(".md")
    place.write_text(page(trials(TRIALS), "2026-11-28"))


if __name__ == "__main__":
    main()
