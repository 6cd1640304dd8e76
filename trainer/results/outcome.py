"""What a study found, `study.json` in a sweep's folder: its claims, and what a paper prints beside what is here."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from negsift.trainer.results.claims import Claim, Evidence
from negsift.trainer.results.estimate import Estimate, estimate
from negsift.trainer.results.records import ALONE, read_object

FILE = "study.json"


@dataclass(frozen=True)
class Printed:
    """A number that a paper prints: of a strategy on a target, by the summary's key."""

    strategy: str
    target: str
    key: str
    value: float


@dataclass(frozen=True)
class JudgedClaim:
    """A claim, what became of it, and the numbers that decided it."""

    claim: str
    outcome: str
    numbers: str


@dataclass(frozen=True)
class Reproduced:
    """A printed number and the mean of the same here, NaN without runs, with its standard error over seeds."""

    printed: Printed
    here: Estimate


@dataclass(frozen=True)
class StudyOutcome:
    """What a study found, by its `rules`."""

    study: str
    rules: str
    claims: Sequence[JudgedClaim]
    reproduced: Sequence[Reproduced]

    def as_json(self) -> dict[str, Any]:  # Any: JSON
        """The content of `study.json`."""
        return asdict(self)


def read_outcome(folder: Path) -> StudyOutcome | None:
    """What the study of a sweep's folder found; None where the sweep is of no study. Raises BadData if damaged."""
    if not os.path.lexists(folder / FILE):
        return None
    record = read_object(folder / FILE, ALONE)
    try:
        values: Mapping[str, Any] = record.values  # Any: JSON
        claims = [JudgedClaim(**claim) for claim in values["claims"]]
        numbers = [Reproduced(Printed(**r["printed"]), _estimate(r["here"])) for r in values["reproduced"]]
        return StudyOutcome(values["study"], values["rules"], claims, numbers)
    except (KeyError, TypeError) as error:
        raise record.fault(f"content of another form ({error!r})", "what a sweep writes there") from None


def judged(claims: Sequence[Claim], evidence: Evidence) -> list[JudgedClaim]:
    """What became of each claim."""
    found = [(claim.text, claim.judge(evidence)) for claim in claims]
    return [JudgedClaim(text, one.outcome, one.numbers) for text, one in found]


def reproduced(printed: Sequence[Printed], evidence: Evidence) -> list[Reproduced]:
    """Each printed number with the mean over seeds of the same here."""
    values = [evidence.values({"strategy.name": one.strategy}, one.key) for one in printed]
    here = [
        estimate(value for block, value in known.items() if block.data == one.target)
        for one, known in zip(printed, values, strict=True)
    ]
    return [Reproduced(one, mean) for one, mean in zip(printed, here, strict=True)]


def _estimate(stored: Mapping[str, Any]) -> Estimate:  # Any: JSON, where NaN is null
    mean, error = (float("nan") if stored[key] is None else float(stored[key]) for key in ("mean", "error"))
    return Estimate(mean, error, int(stored["count"]))
