"""The results of a sweep as Markdown, for a README or a page of documentation."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from negsift.trainer.report.study_table import study_markdown
from negsift.trainer.report.sweep_table import MAIN_COLUMNS, SweepColumn
from negsift.trainer.report.verdicts import blocks_text, trials_text, verdict
from negsift.trainer.results.notes import notes_on
from negsift.trainer.results.outcome import StudyOutcome, read_outcome
from negsift.trainer.results.sweep import SettingResults, SweepResults, read_results


def folder_markdown(folder: Path) -> str:
    """The results of all runs below `folder`, and what its study found. Raises BadData without runs."""
    return results_markdown(read_results(folder), read_outcome(folder))


def results_markdown(results: SweepResults, outcome: StudyOutcome | None = None) -> str:
    """A table and a sentence for each setting; then a study's tables, what is missing, and the command."""
    parts = [part for setting in results.settings for part in _setting(setting)]
    parts += filter(None, [study_markdown(outcome)] if outcome else [])
    notes = [f"- {note}" for note in notes_on(results)]
    source = f"{trials_text(results)}. Command: `{results.command}`"
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else []), source]) + "\n"


def _setting(setting: SettingResults) -> Iterator[str]:
    if setting.title:
        yield f"**{setting.title}**"
    rows = [[f"`{row.arm}`", *(column.text(row) for column in MAIN_COLUMNS)] for row in setting.strategies]
    yield "\n".join(_table(MAIN_COLUMNS, rows))
    yield f"{verdict(setting)} Over {blocks_text(setting)}."


def _table(columns: Sequence[SweepColumn], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _line(["strategy", *(column.name for column in columns)])
    yield _line(["---", *("---:" for _ in columns)])
    yield from map(_line, rows)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
