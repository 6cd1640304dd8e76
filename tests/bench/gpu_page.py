"""The page of the GPU benchmark: a table a step, and a line for each step that did not come to its end."""

import datetime
from collections.abc import Sequence

from tests.bench.gpu_runner import Outcome

FRAME = """# On a GPU

{date}, {machine}; `make gpu`, all steps at most {limit:.0f} s. A cell is a median; the GPU is waited for before and after.
The bare loop has the data on the GPU and does nothing but the forward pass, the score and one top-k at its end.
{pretended}"""
PRETENDED = """
**This page was made with `--pretend`: the same steps on a CPU, with small sizes. Its figures mean nothing.**
"""


def page(outcomes: Sequence[Outcome], machine: str, limit_s: float, pretended: bool) -> str:
    """The Markdown of what is known so far."""
    said = PRETENDED if pretended else ""
    parts = [FRAME.format(date=datetime.date.today(), machine=machine, limit=limit_s, pretended=said)]
    return "\n".join([*parts, *(_section(outcome) for outcome in outcomes)])


def _section(outcome: Outcome) -> str:
    columns = outcome.step.columns
    lines = [f"## {outcome.step.heading}", ""]
    if outcome.rows:
        lines += [_line(columns), _line(["---"] * len(columns)), *(_line(row) for row in outcome.rows), ""]
    state = outcome.fault or (f"{outcome.seconds:.0f} s" if outcome.seconds else "not begun yet")
    return "\n".join([*lines, f"Step `{outcome.step.name}`: {state}.", ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
