"""What a sweep shows, in sentences."""

import math
from collections.abc import Sequence

from negsift.trainer.report.number_texts import interval_text, p_is, p_text
from negsift.trainer.results.design import FULL
from negsift.trainer.results.strategy import StrategyResults
from negsift.trainer.results.sweep import SettingResults, SweepResults
from negsift.trainer.results.versus import Versus

_LEVEL = 0.05


def verdict(setting: SettingResults) -> str:
    """Which strategies differ from random, by the corrected test, and what the highest of the others shows."""
    tried = [(row, row.main.against_random) for row in setting.strategies if row.strategy != FULL]
    compared = [(row, against) for row, against in tried if against]
    if not compared:
        return "Nothing is compared with random here."
    different = [(row, against) for row, against in compared if against.holm.sign_flip <= _LEVEL]
    if different:
        return f"{' '.join(_different(*pair) for pair in different)}{_others(len(compared) - len(different))}"
    return f"{_undecided([against for _, against in compared])} {_highest(*compared[0])}"


def blocks_text(setting: SettingResults) -> str:
    """How many blocks there are, of how many sets of bags."""
    blocks = {(block.data, block.seed) for row in setting.strategies for block in row.blocks}
    sets = {data for data, _ in blocks}
    return f"{_counted(len(blocks), 'block')} ({_counted(len(sets), 'set')} of bags, with all their seeds)"


def trials_text(results: SweepResults) -> str:
    """How many trials ended in each way."""
    counts = ", ".join(f"{count} {state}" for state, count in results.states().items())
    return f"{_counted(len(results.trials), 'trial')}: {counts}"


def _different(row: StrategyResults, against: Versus) -> str:
    side = "above" if against.difference.mean > 0 else "below"
    size = f"{abs(against.difference.mean):.3f}"
    return f"{row.arm} is {size} {side} random ({p_is(against.holm.sign_flip)} after Holm over {against.tried})."


def _others(count: int) -> str:
    others = "strategy" if count == 1 else f"{count} strategies"
    return f" The other {others} can't be told from random." if count else ""


def _undecided(compared: Sequence[Versus]) -> str:
    best = min(compared, key=lambda against: against.holm.smallest)
    if best.holm.smallest > _LEVEL:
        pairs, smallest = _counted(best.difference.count, "pair"), p_text(best.holm.smallest)
        return f"No strategy can be told from random: {pairs} can't give a p below {smallest} after Holm."
    return f"No strategy can be told from random at 5 %, after Holm over {best.tried}."


def _highest(row: StrategyResults, against: Versus) -> str:
    interval = "" if math.isnan(against.interval.low) else f", 95 % interval {interval_text(against.interval)}"
    return f"The highest is {row.arm}, {against.difference.text(3, '+')} to random{interval}."


def _counted(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
