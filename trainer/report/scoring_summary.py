"""Describes how runs scored the pool, only parts of it or at lower cost, and what guards left out."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

from negsift.common.guards import Guards
from negsift.trainer.results.estimate import estimate
from negsift.trainer.results.runs import ReportedRun


def scoring_summary(runs: Sequence[ReportedRun]) -> str:
    """Each kind of scoring, with the number of its runs if they differ; "" if all runs scored the default way."""
    counts = Counter(", ".join(text for text in (_part(run), *_switches(run)) if text) for run in runs)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{text} ({counts[text]} of {len(runs)} runs)" for text in sorted(counts) if text)


def guards_summary(runs: Sequence[ReportedRun]) -> str:
    """What each guard left out in a round on average, over the runs that have it; "" without guards."""
    texts = []
    for name in (guard.name for guard in fields(Guards)):
        rounds = [epoch.values[f"guarded.{name}"] for run in runs for epoch in run.epochs]
        mean = estimate(count for count in rounds if not math.isnan(count))
        if mean.count:
            texts.append(f"{name.replace('_', ' ')} {mean.mean:,.1f}")
    return f"left out in a round: {', '.join(texts)}" if texts else ""


def _part(run: ReportedRun) -> str:
    scored = [epoch.values for epoch in run.epochs if epoch.values["scored"] > 0]
    candidates, rescore = (run.settings.get(f"sampling.{key}", "null") for key in ("candidates", "rescore"))
    if not scored or (candidates, rescore) == ("null", "null"):
        return ""
    pool = scored[-1]["pool"]
    if rescore == "null":
        return f"{_mean([line['considered'] for line in scored]):,.0f} of {pool:,.0f} bags considered in a round"
    later = [line["scored"] for line in scored[1:]]
    oldest = max((line["oldest"] for line in scored if not math.isnan(line["oldest"])), default=0.0)
    return f"{_mean(later):,.0f} of {pool:,.0f} bags scored again in a round, scores up to {oldest:.0f} epochs old"


def _switches(run: ReportedRun) -> Sequence[str]:
    precision = run.settings.get("fleet.scoring.precision", "float32")
    switches = ("channels_last", "compile", "frozen")
    switched_on = [key.replace("_", " ") for key in switches if run.settings.get(f"fleet.scoring.{key}") == "true"]
    return switched_on if precision == "float32" else [precision, *switched_on]


def _mean(values: Sequence[float]) -> float:
    mean = estimate(values)
    return mean.mean if mean.count else 0.0
