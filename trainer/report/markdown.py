"""The results of a sweep as Markdown, for a README or a page of documentation."""

from collections.abc import Iterator, Sequence

from negsift.trainer.report.sweep_table import MAIN_COLUMNS, SweepColumn
from negsift.trainer.report.verdicts import blocks_text, trials_text, verdict
from negsift.trainer.results.notes import notes_on
from negsift.trainer.results.sweep import SettingResults, SweepResults


def results_markdown(results: SweepResults) -> str:
    """A table for each setting with a sentence on what it shows, then what is missing, and the command."""
    parts = [part for setting in results.settings for part in _setting(setting)]
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
