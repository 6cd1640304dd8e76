"""What a sweep runs: a recipe, and the values of the settings that its trials differ in."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from negsift.common.errors import BadInput
from negsift.common.overrides import flat, to_dict
from negsift.deploy.auto_strategy import untold
from negsift.deploy.run_config import RunConfig
from negsift.deploy.sweep.grid import MOST, Grid, expand, size
from negsift.deploy.sweep.trial import TrialSpec
from negsift.trainer.results.claims import Claim, Evidence
from negsift.trainer.results.outcome import Printed, StudyOutcome, judged, reproduced
from negsift.trainer.results.runs import ReportedRun


@dataclass(frozen=True)
class StudyRow:
    """A run with a name of its own, in each combination of `grid`."""

    config: RunConfig
    grid: Grid


@dataclass(frozen=True)
class Study:
    """The combinations of each grid with seeds 0 to `seeds - 1`, on top of `base`, and those of each of the `rows`; the
    claims that they decide, by `rules` in words, and the numbers that a paper `printed`.
    """

    name: str
    base: RunConfig
    grids: Sequence[Grid]
    seeds: int
    claims: Sequence[Claim] = ()
    printed: Sequence[Printed] = ()
    rules: str = ""
    rows: Sequence[StudyRow] = ()

    @property
    def varied(self) -> set[str]:
        """The keys in which its rows differ, and their names."""
        rows = [flat(to_dict(row.config)) for row in self.rows]
        return {key for key in rows[0] if any(row[key] != rows[0][key] for row in rows)} if rows else set()

    def on(self, changed: Callable[[RunConfig], RunConfig]) -> "Study":
        """The study with base and rows changed; raises BadInput where that changes what rows differ in."""
        rows = [replace(row, config=changed(row.config)) for row in self.rows]
        for before, after in zip(self.rows, rows, strict=True):
            old, new = flat(to_dict(before.config)), flat(to_dict(after.config))
            for key in self.varied:
                if old[key] != new[key]:
                    raise self._varies(key)
        return replace(self, base=changed(self.base), rows=rows)

    def over(self, axes: Grid, seeds: int | None) -> "Study":
        """The study with other values on its axes, with axes added to each of its grids, and with other seeds.

        Raises BadInput for an axis in which rows differ, and for names, which make no other trial.
        """
        if "name" in axes:
            raise BadInput("--over name=…", "a setting that changes results", "leave it out")
        for key in axes.keys() & self.varied:
            raise self._varies(key)
        if seeds is not None and "seed" in axes:
            raise BadInput("--seeds with --over seed=…", "one of the two", "leave one out")
        if seeds is not None and seeds < 1:
            raise BadInput(f"--seeds {seeds}", "1 or more", "correct --seeds")
        rows = [replace(row, grid={**row.grid, **axes}) for row in self.rows]
        return replace(self, grids=[{**grid, **axes} for grid in self.grids], rows=rows, seeds=seeds or self.seeds)

    def _varies(self, key: str) -> BadInput:
        return BadInput(f"{key}, in which the rows of {self.name} differ", "a setting of all rows", "leave it out")

    def require_used(self, settings: Iterable[str]) -> None:
        """Raise BadInput for a setting of the base which no trial has, since it is an axis of every grid."""
        for key in (setting.partition("=")[0].strip() for setting in settings):
            if key == "seed" or all(key in grid for grid in (*self.grids, *(row.grid for row in self.rows))):
                remedy = "give --seeds or --over seed=…" if key == "seed" else f"give --over {key}=…"
                raise BadInput(f"{key}, in which the trials of {self.name} differ", "a setting of all trials", remedy)

    def outcome(self, runs: Sequence[ReportedRun]) -> StudyOutcome:
        """What the runs say of the claims and of what a paper prints."""
        settings = flat(to_dict(self.base))
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
        evidence = Evidence(runs, texts)
        return StudyOutcome(self.name, self.rules, judged(self.claims, evidence), reproduced(self.printed, evidence))

    def trials(self, yes: bool, tell: Callable[[str], object] = untold) -> Mapping[str, TrialSpec]:
        """The trials by name; `tell` is that of `expand`. Raises BadInput for more than 10,000 combinations, unless
        `yes`.
        """
        count = size([*self.grids, *(row.grid for row in self.rows)], self.seeds)
        if count > MOST and not yes:
            raise BadInput(f"{count:,} trials", f"at most {MOST:,}", "give fewer values, or add --yes")
        trials = expand(self.base, self.grids, self.seeds, tell)
        for row in self.rows:
            trials += expand(row.config, [row.grid], self.seeds, tell)
        return {trial.name: trial for trial in sorted(trials, key=lambda trial: trial.config.seed)}
