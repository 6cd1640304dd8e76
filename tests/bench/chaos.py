"""At least two hundred faults in a stream of rounds on three Ray nodes of one machine.

    python -m tests.bench.chaos [--faults 200] [--seed 0] [--minutes 60] [--record FILE]

Rounds, and starts of samplers, are disturbed one to four times at random moments: a scorer, the coordinator or a whole
node is killed (SIGKILL) and the node replaced by a new one, or the coordinator is stopped (SIGSTOP) for longer than a
scorer may take and goes on, half of the times with a scorer killed meanwhile. A sixth of it happens in a shared
service. Strategies take turns, with `rescore` and with weights of the epoch before among them. Every selection must be
that of one undisturbed local shard, bit for bit, and no process may be left. Results go to tests/bench/chaos.md; an
interrupted run goes on where its record ends. Exits with 1 if anything differs.
"""

import argparse
import datetime
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from negsift.deploy.versions import versions
from tests.cluster.chaos import KINDS, Hit, Outcome, Record, schedule
from tests.cluster.chaos_run import PAUSE_S, run_chaos
from tests.cluster.chaos_stream import BAGS, CALL_S, RUNS, SCORERS


def main() -> None:
    """Do the faults, write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    outcome = run_chaos(schedule(given.faults, given.seed), 60.0 * given.minutes, Record(given.record))
    text = as_markdown(outcome, given.seed)
    Path(__file__).with_name("chaos.md").write_text(text)
    sys.stdout.write(text)
    sys.exit(int(bool(outcome.different or outcome.left or len(outcome.hits) < given.faults)))


def as_markdown(outcome: Outcome, seed: int) -> str:
    """The results as Markdown."""
    found, hits = versions(), outcome.hits
    calm_s = median(hit.calm_s for hit in hits if hit.where != "start")
    start_s = max((hit.calm_s for hit in hits if hit.where == "start"), default=0.0)
    recoveries = ", ".join(f"{name} {count}" for name, count in sorted(outcome.repairs.items()))
    kinds = [row(kind, hits, lambda hit, kind=kind: hit.where == "sampler" and hit.kind == kind) for kind in KINDS]
    return (
        f"# Faults in a stream of rounds on three Ray nodes\n\n"
        f"{datetime.date.today()}, {found['machine']} ({processor()}), ray {found['ray']}, torch {found['torch']}; "
        f"{SCORERS} scorers, {2 * BAGS // 3:,} bags in the pool; {', '.join(RUNS)} in turn; "
        f"seed {seed}; {outcome.seconds / 60:.0f} minutes; load average {os.getloadavg()[2]:.0f}, other programs' work "
        f"included;\n"
        f"`make chaos`\n\n"
        f"**{len(hits)} faults, {outcome.rounds} rounds: {outcome.different} selections different from the undisturbed "
        f"ones, none lost, {len(outcome.left)} processes left.** {sum(hit.in_round for hit in hits)} of the faults fell "
        f"within a round or a start, the others just behind one.\n\n"
        f"| where | what | faults | recovery, median | longest | beyond an undisturbed round, median "
        f"| alone in a round: faults | recovery, median |\n|---|---|---|---|---|---|---|---|\n"
        + "".join(kinds)
        + row("scorer", hits, lambda hit: hit.where == "start", "start of a sampler")
        + row("scorer", hits, lambda hit: hit.where == "service" and hit.kind == "scorer", "shared service")
        + row("all else", hits, lambda hit: hit.where == "service" and hit.kind != "scorer", "shared service")
        + row("all", hits, lambda hit: True, "all")
        + "\nRecovery is the time from the kill to the selection of the round it hit; of the next round, if it fell\n"
        f"between two; for a pause of {PAUSE_S:g} s, while scorers may take {CALL_S:g} s, from its end. It contains the "
        f"rest of the round and the\nlost share: an undisturbed round takes {calm_s:.1f} s in the median, a start "
        f"{start_s:.0f} s. Several faults in one round have all the time\nof the slowest. By the selections' accounts: "
        f"{recoveries}.\n"
    )


def row(what: str, hits: Sequence[Hit], belongs: Callable[[Hit], bool], where: str = "sampler") -> str:
    """One line of the table."""
    those = [hit for hit in hits if belongs(hit)]
    alone = [hit.recovery_s for hit in those if hit.alone]
    if not those:
        return f"| {where} | {what} | 0 | | | | | |\n"
    times, beyond = [hit.recovery_s for hit in those], [max(0.0, hit.recovery_s - hit.calm_s) for hit in those]
    figures = f"{median(times):.1f} s | {max(times):.1f} s | {median(beyond):.1f} s | {len(alone)}"
    return f"| {where} | {what} | {len(those)} | {figures} | {f'{median(alone):.1f} s' if alone else ''} |\n"


def processor() -> str:
    """The CPU's model."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")


if __name__ == "__main__":
    main()
