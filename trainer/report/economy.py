"""What the report says of scoring that looks at less than the whole pool, or computes it more cheaply."""

import math
from collections.abc import Sequence

import numpy as np

from negsift.trainer.report.runs import ReportedRun

_PLAIN = {"precision": "float32", "channels_last": "false", "compile": "false", "frozen": "false"}


def scoring(runs: Sequence[ReportedRun]) -> str:
    """A line a way of scoring, with the number of its runs where they differ; "" if all were plain."""
    told = {run.name: _of(run) for run in runs}
    said = sorted(set(told.values()) - {""})
    if not said or len(set(told.values())) == 1:
        return "".join(said)
    named = {text: [name for name, each in told.items() if each == text] for text in said}
    return "; ".join(f"{text} ({len(names)} of {len(runs)} runs)" for text, names in named.items())


def _of(run: ReportedRun) -> str:
    """The scope a run asked for with what came of it, then how its shards ran the model."""
    return ", ".join(text for text in (_scope(run), *_means(run)) if text)


def _scope(run: ReportedRun) -> str:
    scored = [epoch.values for epoch in run.epochs if epoch.values["scored"] > 0]
    candidates, rescore = (run.settings.get(f"sampling.{key}", "null") for key in ("candidates", "rescore"))
    if not scored or (candidates, rescore) == ("null", "null"):
        return ""
    pool = scored[-1]["pool"]
    if rescore == "null":
        return f"{_mean([line['considered'] for line in scored]):,.0f} of {pool:,.0f} bags considered a round"
    later = [line["scored"] for line in scored[1:]]
    oldest = max((line["oldest"] for line in scored if not math.isnan(line["oldest"])), default=0.0)
    return f"{_mean(later):,.0f} of {pool:,.0f} bags scored anew a round, scores up to {oldest:.0f} epochs old"


def _means(run: ReportedRun) -> Sequence[str]:
    found = {key: run.settings.get(f"fleet.scoring.{key}", plain) for key, plain in _PLAIN.items()}
    switched = [key.replace("_", " ") for key in list(_PLAIN)[1:] if found[key] == "true"]
    return switched if found["precision"] == "float32" else [found["precision"], *switched]


def _mean(values: Sequence[float]) -> float:
    held = [value for value in values if not math.isnan(value)]
    return float(np.mean(held)) if held else 0.0
