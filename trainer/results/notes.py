"""What is missing in a sweep's results, and what to read them with, in sentences."""

from collections.abc import Iterator, Sequence

from negsift.common.counted import counted
from negsift.trainer.results.strategy import MAIN, StrategyResults
from negsift.trainer.results.sweep import SettingResults, SweepResults
from negsift.trainer.results.trials import DAMAGED, FINISHED, STATES, UNFINISHED

_MOST = 5
_ENDED = {"stopped": "stopped early", "failed": "failed", UNFINISHED: "not finished", DAMAGED: "damaged"}


def notes_on(results: SweepResults) -> tuple[str, ...]:
    """Trials left out, by state; then for each setting what is missing in it."""
    found = [*_left_out(results), *(note for setting in results.settings for note in _missing(setting))]
    return tuple(dict.fromkeys(found))


def _left_out(results: SweepResults) -> Iterator[str]:
    for state in STATES:
        trials = [trial for trial in results.trials if trial.state == state != FINISHED]
        if trials:
            named = [f"{trial.name} ({trial.reason})" if trial.reason else trial.name for trial in trials]
            yield f"{counted(len(trials), 'trial')} {_ENDED[state]}, in no mean: {_few(named)}."


def _missing(setting: SettingResults) -> Iterator[str]:
    place = f"{setting.title}: " if setting.title else ""
    if setting.random is None:
        yield f"{place}no random, so nothing is compared with it."
    if setting.full is None:
        yield f"{place}no full set, so non-inferiority is not known."
    blocks = {(b.data, b.seed) for row in setting.strategies for b in row.blocks}
    fewer = [f"{row.arm} {len(row.blocks)}" for row in setting.strategies if len(row.blocks) < len(blocks)]
    if fewer:
        yield f"{place}means over fewer than all {len(blocks)} blocks: {', '.join(fewer)}."
    for row in setting.strategies:
        yield from (f"{place}{note}" for note in _of(row))
    if len(blocks) == 1:
        yield f"{place}one block alone, so nothing has an error."


def _of(row: StrategyResults) -> Iterator[str]:
    undefined = sum(block.values[MAIN] != block.values[MAIN] for block in row.blocks)
    if undefined:
        yield f"{row.label} has {counted(undefined, 'block')} without a test AP (undefined or not finite)."
    repeats = row.trials[FINISHED] - len(row.blocks)
    if repeats:
        yield f"{row.label} has {counted(repeats, 'trial')} that repeat another; such a block counts once, as a mean."


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
