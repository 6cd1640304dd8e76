"""The texts of the report: the headline, facts about the runs, warnings, problems and settings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from negsift.trainer.report.scoring_summary import guards_summary, scoring_summary
from negsift.trainer.report.table import state
from negsift.trainer.results.design import BASELINE, FULL, differing
from negsift.trainer.results.estimate import Estimate
from negsift.trainer.results.groups import Comparison, RunGroup, baseline_of, group_runs, overall
from negsift.trainer.results.runs import ReportedRun

PROBLEMS = ("dropped", "filled", "retries")

_SEVERAL = 4
_UNREMARKABLE = ("data.", "seed", "strategy.name", "recipe")


@dataclass(frozen=True)
class SettingsTable:
    """The configuration: the settings that all runs share, and for each run those in which they differ."""

    shared: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def headline(comparisons: Sequence[Comparison]) -> str:
    """The result in one or two sentences, or the state of the runs if none has finished."""
    tested = [part for part in comparisons if _tested(part)]
    if not tested:
        return _unfinished([run for part in comparisons for group in part.groups for run in group.runs])
    return _one(tested[0]) if len(comparisons) == 1 else _many(tested)


def facts(runs: Sequence[ReportedRun]) -> tuple[tuple[str, str], ...]:
    """Names and values: recipe, data, model, bags, strategies, scoring, seeds, date, versions and machine."""
    seeds = sorted({run.seed for run in runs}, key=lambda seed: (len(seed), seed))
    summaries = [run.summary for run in runs if run.summary]
    named = (
        ("recipe", _values(runs, "recipe")),
        ("data", f"{_values(runs, 'data.name')}, target {_values(runs, 'data.target')}"),
        ("model", f"{_values(runs, 'model.name')}, pooling {_values(runs, 'model.pooling')}"),
        ("bags", _bags(runs)),
        ("strategies", _values(runs, "strategy.name")),
        ("scoring", scoring_summary(runs)),
        ("guards", guards_summary(runs)),
        ("seeds", _few(seeds)),
        ("last written", _written(runs)),
        ("versions", _merged([summary.versions for summary in summaries])),
        ("machine", _few(sorted({summary.machine for summary in summaries}), " / ")),
    )
    return tuple((name, text) for name, text in named if text)


def warnings(runs: Sequence[ReportedRun]) -> tuple[str, ...]:
    """Reasons to doubt the table of results."""
    unfinished = sum(run.summary is None for run in runs)
    undefined = sum(math.isnan(epoch.values["val.ap"]) for run in runs for epoch in run.epochs)
    versions = {tuple(run.summary.versions.items()) for run in runs if run.summary}
    repeats = len(runs) - len({tuple(sorted(run.settings.items())) for run in runs})
    groups = group_runs(runs)
    alone = any(group.strategy != FULL and baseline_of(groups, group.setting) is None for group in groups)
    keys = [key for key in differing(runs) if alone and not key.startswith(_UNREMARKABLE)]
    candidates = [
        (unfinished, f"Unfinished: {unfinished} of {len(runs)} runs. Means in the tables are over finished runs."),
        (undefined, f"Epochs without a validation AP (undefined or not finite): {undefined}."),
        (repeats, f"Runs that repeat another's configuration, seed included: {repeats}. The errors are too small."),
        (len(versions) > 1, "The runs were made with different versions of the software."),
        (keys, f"The runs differ in more than strategy and seed: {', '.join(keys)}."),
    ]
    return tuple(text for holds, text in candidates if holds)


def problem_rows(runs: Sequence[ReportedRun]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """PROBLEMS and the state of each run that dropped or filled bags, repeated calls, or did not finish."""
    counted = [(run, [run.total(key) for key in PROBLEMS]) for run in runs]
    rows = [(run, counts) for run, counts in counted if any(counts) or not run.summary]
    return tuple((run.name, (*(f"{count:,.0f}" for count in counts), state(run))) for run, counts in rows)


def dropped_instances(runs: Sequence[ReportedRun]) -> tuple[str, ...]:
    """All instances that some run could not decode, without repetition."""
    return tuple(dict.fromkeys(line for run in runs if run.summary for line in run.summary.dropped_instances))


def settings(runs: Sequence[ReportedRun]) -> SettingsTable:
    """The configuration of every run."""
    keys = differing(runs)
    shared = tuple((key, value) for key, value in sorted(runs[0].settings.items()) if key not in keys)
    rows = tuple((run.name, tuple(run.settings.get(key, "—") for key in keys)) for run in runs)
    return SettingsTable(shared, tuple(keys), rows)


def _tested(comparison: Comparison) -> list[RunGroup]:
    return [group for group in comparison.groups if group.result("test.ap").count]


def _one(comparison: Comparison) -> str:
    best, *others = _tested(comparison)
    score = best.result("test.ap")
    runs = f"mean ± standard error of {score.count} runs" if score.count > 1 else "one run"
    sentence = f"{best.label} has the highest test AP," if others else f"{best.label} has a test AP of"
    sentence += f" {score.text(3)} ({runs}, best-validation epoch)"
    baseline = comparison.baseline(best)
    if best.strategy == BASELINE and others:
        return f"{sentence}; next is {others[0].label} with {others[0].result('test.ap').text(3)}."
    if baseline is None or baseline is best or not baseline.result("test.ap").count:
        return f"{sentence}."
    gain = comparison.gain(best)
    return f"{sentence}; {baseline.label} has {baseline.result('test.ap').text(3)}. {_verdict(gain)}"


def _verdict(gain: Estimate) -> str:
    if gain.count < 2:
        return "Fewer than two seeds have both, so the gain has no error."
    by_seed = f"Paired by seed the gain is {gain.text(3, '+')}"
    if gain.mean > 2 * gain.error:
        return f"{by_seed}."
    return f"{by_seed}, less than two standard errors, so these runs do not distinguish them."


def _many(comparisons: Sequence[Comparison]) -> str:
    labels = {group.label for part in comparisons for group in _tested(part)}
    means = {label: overall(label, comparisons) for label in sorted(labels)}
    complete = {label: mean for label, mean in means.items() if mean.count == len(comparisons)}
    if not complete:
        return f"No strategy has results on all {len(comparisons)} sets of bags, so their means can't be compared."
    best = max(complete, key=lambda label: complete[label].mean)
    wins = sum(_tested(part)[0].label == best for part in comparisons)
    sentence = f"Over {len(comparisons)} sets of bags {best} has the highest mean test AP, {complete[best].mean:.3f}"
    sentence += f", and is the best in {wins} of them"
    if BASELINE in complete and best != BASELINE:
        sentence += f"; {BASELINE} has {complete[BASELINE].mean:.3f}"
    return f"{sentence}."


def _unfinished(runs: Sequence[ReportedRun]) -> str:
    best = max((run.highest("val.ap"), run.name) if run.highest("val.ap") >= 0 else (-1.0, "") for run in runs)
    sentence = f"None of {len(runs)} runs has test results yet" if len(runs) > 1 else "This run has no test results yet"
    return f"{sentence}." if best[0] < 0 else f"{sentence}; the best validation AP so far is {best[0]:.3f} ({best[1]})."


def _bags(runs: Sequence[ReportedRun]) -> str:
    counts = {tuple(run.result(f"bags.{part}") for part in ("positive", "pool", "k")) for run in runs if run.summary}
    if len(counts) != 1 or any(math.isnan(number) for number in next(iter(counts))):
        return ""
    positive, pool, k = next(iter(counts))
    sentence = f"{positive:,.0f} positive, {k:,.0f} negative of a pool of {pool:,.0f} per epoch"
    descendants = max(run.result("bags.descendants") for run in runs if run.summary)
    return f"{sentence}; {descendants:,.0f} of the target's descendants left out" if descendants > 0 else sentence


def _written(runs: Sequence[ReportedRun]) -> str:
    names = ("config.json", "metrics.jsonl", "summary.json")
    times = [(run.path / name).stat().st_mtime for run in runs for name in names if (run.path / name).exists()]
    return f"{datetime.fromtimestamp(max(times), UTC):%Y-%m-%d %H:%M} UTC"


def _values(runs: Sequence[ReportedRun], key: str) -> str:
    return _few(sorted({run.settings.get(key, "—") for run in runs}))


def _merged(tables: Sequence[Mapping[str, str]]) -> str:
    keys = dict.fromkeys(key for table in tables for key in table)
    return ", ".join(f"{key} {_few(sorted({t[key] for t in tables if key in t}), ' / ')}" for key in keys)


def _few(values: Sequence[str], comma: str = ", ") -> str:
    more = f" and {len(values) - _SEVERAL} more" if len(values) > _SEVERAL + 1 else ""
    return comma.join(values[:_SEVERAL] if more else values) + more
