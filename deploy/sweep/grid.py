"""Expands the axes of a sweep, such as `strategy.name=random,badge`, into trials."""

import csv
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from negsift.common.errors import BadInput
from negsift.common.overrides import override
from negsift.deploy.auto_strategy import untold, with_strategy
from negsift.deploy.fit import check_fit
from negsift.deploy.run_config import RunConfig
from negsift.deploy.sweep.trial import TrialSpec, trial_of

Grid = Mapping[str, tuple[str, ...]]
"""The values of each key; a sweep runs every combination of them."""
MOST = 10_000
"""The trials that a sweep may have without `--yes`."""


def parse_axes(settings: Iterable[str]) -> Grid:
    """The axes of `KEY=VALUE,VALUE,...`, a value with a comma in double quotes. Raises BadInput for another form, a key
    twice, or a value that is empty.
    """
    grid: dict[str, tuple[str, ...]] = {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        values = _values(text)
        if not (key and equals) or "" in values:
            raise BadInput(
                f"--over {setting!r}", "KEY=VALUE,VALUE,...", "for example --over strategy.name=random,badge"
            )
        if key in grid:
            raise BadInput(f"--over {key} twice", "each key once", f"write all values after one {key}=")
        grid[key] = values
    return grid


def _values(text: str) -> tuple[str, ...]:
    """The values of a line of CSV."""
    try:
        return tuple(value.strip() for value in next(csv.reader([text or '""'], skipinitialspace=True)))
    except csv.Error:
        return ("",)


def expand(
    base: RunConfig, grids: Sequence[Grid], seeds: int, tell: Callable[[str], object] = untold
) -> list[TrialSpec]:
    """The trials of all grids, each once, ordered by seed, so that an unfinished sweep has whole comparisons. `tell`
    gets a line for each trial whose strategy was `auto`.

    A grid with the axis `seed` has those seeds, another one 0 to `seeds - 1`. Raises BadInput or UnknownName for a
    key, a value or a combination that is none.
    """
    trials: dict[str, TrialSpec] = {}
    for grid in grids:
        for setting in _combinations({"seed": tuple(map(str, range(seeds))), **grid}):
            config = with_strategy(override(base, setting), tell)
            trial = trial_of(config)
            check_fit(trial.config)
            trials.setdefault(trial.name, trial)
    return sorted(trials.values(), key=lambda trial: trial.config.seed)  # stable: grids keep their order


def size(grids: Sequence[Grid], seeds: int) -> int:
    """The number of combinations, before trials that are the same are merged."""
    return sum(math.prod(map(len, grid.values())) * (1 if "seed" in grid else seeds) for grid in grids)


def _combinations(grid: Grid) -> Iterable[list[str]]:
    for values in itertools.product(*grid.values()):
        yield [f"{key}={value}" for key, value in zip(grid, values, strict=True)]
