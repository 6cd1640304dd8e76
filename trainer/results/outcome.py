"""What a study found, `study.json` in a sweep's folder: its claims, and what a paper prints beside what is here."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from negsift.trainer.results.claims import Claim, Evidence
from negsift.trainer.results.estimate import Estimate, estimate
from negsift.trainer.results.records import read_object

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

    @classmethod
    def of(
        cls, claims: Sequence[Claim], printed: Sequence[Printed], evidence: Evidence, study: str, rules: str
    ) -> Self:
        """The claims, judged by the evidence, and the printed numbers beside its own."""
        judged = [(claim.text, claim.judge(evidence)) for claim in claims]
        return cls(
            study, rules, [JudgedClaim(text, found.outcome, found.numbers) for text, found in judged],
            [Reproduced(one, _here(one, evidence)) for one in printed],
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:  # Any: JSON
        """The content of `study.json`."""
        return asdict(self)


def read_outcome(folder: Path) -> StudyOutcome | None:
    """What the study of a sweep's folder found; None where the sweep is of no study. Raises BadData if damaged."""
    if not os.path.lexists(folder / FILE):
        return None
    record = read_object(folder / FILE)
    try:
        values: Mapping[str, Any] = record.values  # Any: JSON
        claims = [JudgedClaim(**claim) for claim in values["claims"]]
        reproduced = [Reproduced(Printed(**r["printed"]), _estimate(r["here"])) for r in values["reproduced"]]
        return StudyOutcome(values["study"], values["rules"], claims, reproduced)
    except (KeyError, TypeError) as error:
        raise record.fault(f"content of another form ({error!r})", "what a sweep writes there") from None


def _here(printed: Printed, evidence: Evidence) -> Estimate:
    values = evidence.values({"strategy.name": printed.strategy}, printed.key)
    return estimate(value for block, value in values.items() if block.data == printed.target)


def _estimate(stored: Mapping[str, Any]) -> Estimate:  # Any: JSON, where NaN is null
    mean, error = (float("nan") if stored[key] is None else float(stored[key]) for key in ("mean", "error"))
    return Estimate(mean, error, int(stored["count"]))
