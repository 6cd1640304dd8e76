"""A study's tables: what became of its claims, and what a paper prints beside what is here."""

from collections.abc import Sequence

from negsift.trainer.results.outcome import Reproduced, StudyOutcome

CLAIM_COLUMNS = ("claim", "outcome", "numbers")
NAMES = {"test.ap": "AP", "test.roc_auc": "ROC-AUC"}
Texts = tuple[str, tuple[str, ...]]


def claim_rows(outcome: StudyOutcome) -> list[Texts]:
    """Claim, outcome and numbers of each."""
    return [(claim.claim, (claim.outcome, claim.numbers)) for claim in outcome.claims]


def printed_columns(outcome: StudyOutcome) -> list[str]:
    """The strategy, and a column for each target and metric, in the paper and here."""
    return ["strategy", *dict.fromkeys(_column(one) for one in outcome.reproduced)]


def printed_rows(outcome: StudyOutcome) -> list[Texts]:
    """A row a strategy: `0.88; 0.861 ± 0.004`, the paper's first."""
    columns = printed_columns(outcome)[1:]
    names = dict.fromkeys(one.printed.strategy for one in outcome.reproduced)
    cells = {(one.printed.strategy, _column(one)): _cell(one) for one in outcome.reproduced}
    return [(name, tuple(cells.get((name, column), "—") for column in columns)) for name in names]


def study_markdown(outcome: StudyOutcome) -> str:
    """Both tables as Markdown, without one that has no rows."""
    tables = [(CLAIM_COLUMNS, claim_rows(outcome)), (printed_columns(outcome), printed_rows(outcome))]
    return "\n\n".join(_markdown(columns, rows) for columns, rows in tables if rows)


def _markdown(columns: Sequence[str], rows: Sequence[Texts]) -> str:
    lines = [columns, ["---"] * len(columns), *((first, *others) for first, others in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _column(one: Reproduced) -> str:
    return f"class {one.printed.target} {NAMES.get(one.printed.key, one.printed.key)}: paper; here"


def _cell(one: Reproduced) -> str:
    return f"{one.printed.value:g}; {one.here.text(3)}"
