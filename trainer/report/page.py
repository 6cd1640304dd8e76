"""Renders the report page and writes it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from negsift.common.errors import BadData
from negsift.common.unfinished import replacing
from negsift.trainer.report import plots, remarks, study_table, sweep_plots, sweep_table, table, verdicts
from negsift.trainer.report.figure import PALETTE, arm_style
from negsift.trainer.report.pictures import BagLookup, show_bags
from negsift.trainer.report.places import show_places
from negsift.trainer.report.suspects import LEAST, Suspect, suspect_table, suspects_csv, suspects_of
from negsift.trainer.results.groups import compare, group_runs
from negsift.trainer.results.notes import notes_on
from negsift.trainer.results.outcome import StudyOutcome, read_outcome
from negsift.trainer.results.runs import ReportedRun
from negsift.trainer.results.sweep import SweepResults, read_results
from negsift.trainer.results.trials import runs_of

SUSPECTS = "suspects.csv"
Suspects = Mapping[str, tuple[Suspect, ...] | None]
"""The suspects of each run, by its name."""
MOST_GROUPS = 40
"""Groups whose curves, picks and pictures are shown, over all sets of bags; each has several plots."""


def write_report(folder: Path, bags: BagLookup | None = None) -> Path:
    """Write `folder`/report.html about the run in `folder`, or about all runs below it, and return its path. Beside it
    `suspects.csv` has all suspected false negatives, where runs recorded what these are found by.

    `bags` returns a run's data, for pictures of chosen bags; if it fails, the page states why. The file is
    self-contained, and appears complete or not at all. Raises BadData if there is no run, or if a run's files are
    damaged.
    """
    results = read_results(folder)
    found = {run.name: suspects_of(run) for run in runs_of(results.trials)}
    page = _render(results, read_outcome(folder), found, bags)
    if any(suspects is not None for suspects in found.values()):
        _write(folder / SUSPECTS, suspects_csv(one for suspects in found.values() for one in suspects or ()))
    return _write(folder / "report.html", page.encode(errors="replace"))


def _write(path: Path, content: bytes) -> Path:
    try:
        with replacing(path) as stream:
            stream.write(content)
    except OSError as error:
        expected, remedy = "a writable folder with free space", "correct its permissions or free some space"
        raise BadData(f"{path} not writable ({error})", expected, remedy) from None
    return path


def _render(results: SweepResults, outcome: StudyOutcome | None, suspects: Suspects, bags: BagLookup | None) -> str:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    pages = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=loader)
    runs = runs_of(results.trials)
    groups = group_runs(runs)
    return pages.get_template("page.html.jinja").render(
        title=_title(runs),
        runs=runs,
        comparisons=compare(runs),
        most_sections=max(1, MOST_GROUPS // len(groups)),
        sweep=results if len(groups) > 1 and any(len(set(group.blocks)) > 1 for group in groups) else None,
        notes=notes_on(results),
        outcome=outcome,
        study_table=study_table,
        styles={group.label: arm_style(group) for group in groups},
        palette=PALETTE,
        plots=plots,
        remarks=remarks,
        sweep_plots=sweep_plots,
        sweep_table=sweep_table,
        table=table,
        verdicts=verdicts,
        show_places=show_places,
        suspects_file=SUSPECTS,
        least=LEAST,
        suspect_table=lambda comparison: suspect_table(comparison, suspects),
        show_bags=lambda comparison, suspected: show_bags(comparison, bags, suspected and suspected.bags),
    )


def _title(runs: Sequence[ReportedRun]) -> str:
    data = sorted({run.settings.get("data.name", run.name) for run in runs})
    targets = sorted({run.settings.get("data.target", "—") for run in runs})
    return f"{', '.join(data)}: " + (f"target {targets[0]}" if len(targets) == 1 else f"{len(targets)} targets")
