"""Renders the report page and writes it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from negsift.common.errors import BadData
from negsift.trainer.report import plots, remarks, table
from negsift.trainer.report.comparison import Comparison, compare
from negsift.trainer.report.figure import PALETTE, LegendEntry, Plot
from negsift.trainer.report.pictures import BagLookup, BagPictures, show_bags
from negsift.trainer.report.runs import ReportedRun, read_runs

TEMPLATE = "page.html.jinja"


@dataclass(frozen=True)
class Section:
    """The part of the page about one comparison."""

    title: str
    several: bool
    rows: tuple[table.Row, ...]
    run_rows: tuple[table.Row, ...]
    keys: tuple[LegendEntry, ...]
    learning: tuple[Plot, ...]
    selection: tuple[Plot, ...]
    picks: tuple[Plot, ...]
    scores: tuple[Plot, ...]
    pictures: BagPictures
    stages: Plot


def write_report(folder: Path, bags: BagLookup | None = None) -> Path:
    """Write `folder`/report.html about the run in `folder`, or about all runs below it, and return its path.

    `bags` returns a run's data, for pictures of chosen bags; if it fails, the page states why. The file is
    self-contained, and appears complete or not at all. Raises BadData if there is no run, or if a run's files are
    damaged.
    """
    runs = read_runs(folder)
    return _write_at_once(folder / "report.html", _render(runs, bags))


def _render(runs: Sequence[ReportedRun], bags: BagLookup | None) -> str:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    pages = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=loader)
    comparisons = compare(runs)
    return pages.get_template(TEMPLATE).render(
        title=_title(runs),
        headline=remarks.headline(comparisons),
        facts=remarks.facts(runs),
        warnings=remarks.warnings(runs),
        overview=table.overview_rows(comparisons),
        overview_columns=table.overview_columns(comparisons),
        sections=[_section(comparison, bags) for comparison in comparisons],
        columns=(table.COLUMNS[0], table.GAIN, *table.COLUMNS[1:]),
        run_columns=table.COLUMNS,
        score_keys=plots.SCORE_KEYS,
        stage_keys=plots.STAGE_KEYS,
        problems=remarks.problem_rows(runs),
        dropped=remarks.dropped_instances(runs),
        settings=remarks.settings(runs),
        palette=PALETTE,
    )


def _section(comparison: Comparison, bags: BagLookup | None) -> Section:
    return Section(
        comparison.title,
        comparison.several,
        table.group_rows(comparison),
        table.run_rows(comparison),
        plots.group_keys(comparison),
        plots.learning_plots(comparison),
        plots.selection_plots(comparison),
        plots.pick_plots(comparison),
        plots.score_plots(comparison),
        show_bags(comparison, bags),
        plots.stage_plot(comparison),
    )


def _title(runs: Sequence[ReportedRun]) -> str:
    data = sorted({run.settings.get("data.name", run.name) for run in runs})
    targets = sorted({run.settings.get("data.target", "—") for run in runs})
    return f"{', '.join(data)}: " + (f"target {targets[0]}" if len(targets) == 1 else f"{len(targets)} targets")


def _write_at_once(path: Path, text: str) -> Path:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8", errors="replace")
        os.replace(unfinished, path)
    except OSError as error:
        expected, remedy = "a writable folder with free space", "correct its permissions or free some space"
        raise BadData(f"{path} not writable ({error})", expected, remedy) from None
    finally:
        unfinished.unlink(missing_ok=True)
    return path
