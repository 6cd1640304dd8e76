"""Expands the axes of a sweep, such as `strategy.name=random,badge`, into trials."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from negsift.common.errors import BadInput
from negsift.common.overrides import override
from negsift.deploy.recipes import RunConfig, check_fit
from negsift.deploy.sweep.trial import Trial, trial_of

Grid = Mapping[str, tuple[str, ...]]
"""The values of each key; a sweep runs every combination of them."""
MOST = 10_000
"""The trials that a sweep may have without `--yes`."""


def parse_axes(settings: Iterable[str]) -> Grid:
    """The axes of `KEY=VALUE,VALUE,...`. Raises BadInput for another form, a key twice, or a value that is empty."""
    grid: dict[str, tuple[str, ...]] = {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        values = tuple(value.strip() for value in text.split(","))
        if not (key and equals) or "" in values:
            raise BadInput(
                f"--over {setting!r}", "KEY=VALUE,VALUE,...", "for example --over strategy.name=random,badge"
            )
        if key in grid:
            raise BadInput(f"--over {key} twice", "each key once", f"write {key}={','.join((*grid[key], *values))}")
        grid[key] = values
    return grid


def expand(base: RunConfig, grids: Sequence[Grid], seeds: int) -> list[Trial]:
    """The trials of all grids, each once, ordered by seed, so that an unfinished sweep has whole comparisons.

    A grid with the axis `seed` has those seeds, another one 0 to `seeds - 1`. Raises BadInput or UnknownName for a
    key, a value or a combination that is none.
    """
    trials: dict[str, Trial] = {}
    for grid in grids:
        for setting in _combinations(grid | ({} if "seed" in grid else {"seed": _texts(range(seeds))})):
            config = override(base, setting)
            check_fit(config)
            trial = trial_of(config)
            trials.setdefault(trial.name, trial)
    return sorted(trials.values(), key=lambda trial: trial.config.seed)  # stable: grids keep their order


def size(grids: Sequence[Grid], seeds: int) -> int:
    """The number of combinations, before trials that are the same are merged."""
    lengths = ([len(values) for values in grid.values()] + [1 if "seed" in grid else seeds] for grid in grids)
    return sum(_product(each) for each in lengths)


def _combinations(grid: Grid) -> Iterable[list[str]]:
    return ([f"{key}={value}" for key, value in zip(grid, values, strict=True)] for values in _every(grid))


def _every(grid: Grid) -> Iterable[tuple[str, ...]]:
    return itertools.product(*grid.values())


def _texts(numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(map(str, numbers))


def _product(numbers: Iterable[int]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product
