"""At least a hundred faults in a stream of rounds on three Ray nodes of one machine.

    python -m tests.bench.chaos [--faults 105] [--seed 0] [--minutes 60]

Every round is disturbed one to four times, at random moments: a scorer, the coordinator or a whole
node is killed (SIGKILL), the node replaced by a new one. Strategies take turns: entropy, badge with its points left on
the shards, svm_margin, random. Every selection must be that of one undisturbed local shard, bit for bit,
and no process may be left. Results go to tests/bench/chaos.md. Exits with 1 if anything differs.
"""

import argparse
import datetime
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from negsift.deploy.versions import versions
from tests.cluster.chaos import SCORERS, STRATEGIES, Outcome, by_kind, run_chaos, schedule


def main() -> None:
    """Do the faults, write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=105)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    began = time.monotonic()
    outcome = run_chaos(schedule(given.faults, given.seed), 60.0 * given.minutes)
    text = as_markdown(outcome, given.seed, time.monotonic() - began)
    Path(__file__).with_name("chaos.md").write_text(text)
    sys.stdout.write(text)
    sys.exit(int(bool(outcome.different or outcome.left or len(outcome.hits) < given.faults)))


def as_markdown(outcome: Outcome, seed: int, seconds: float) -> str:
    """The results as Markdown."""
    found, hits = versions(), outcome.hits
    rows = [row(kind, times) for kind, times in by_kind(hits).items()]
    recoveries = ", ".join(f"{name} {count}" for name, count in sorted(outcome.repairs.items()))
    return (
        f"# Faults in a stream of rounds on three Ray nodes\n\n"
        f"{datetime.date.today()}, {found['machine']} ({processor()}), ray {found['ray']}, torch {found['torch']}; "
        f"{SCORERS} scorers; {', '.join(STRATEGIES)} in turn; seed {seed}; {seconds / 60:.0f} minutes;\n"
        f"`make chaos`\n\n"
        f"**{len(hits)} faults, {outcome.rounds} rounds: {outcome.different} selections different from the undisturbed "
        f"ones, none lost, {len(outcome.left)} processes left.** {sum(hit.in_round for hit in hits)} of the faults fell "
        f"within a round, the others just behind one.\n\n"
        f"| killed | faults | recovery, median | longest |\n|---|---|---|---|\n"
        + "".join(rows)
        + row("all", [hit.recovery_s for hit in hits])
        + "\nRecovery is the time from the kill to the selection of the round it hit; of the next round, if it fell\n"
        f"between two. By the selections' accounts: {recoveries}.\n"
    )


def row(kind: str, times: Sequence[float]) -> str:
    """One line of the table."""
    return (
        f"| {kind} | {len(times)} | {median(times):.1f} s | {max(times):.1f} s |\n"
        if times
        else f"| {kind} | 0 | | |\n"
    )


def processor() -> str:
    """The CPU's model."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")


if __name__ == "__main__":
    main()
