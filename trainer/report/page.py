"""Renders the report page and writes it."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from negsift.common.errors import BadData
from negsift.common.unfinished import replacing
from negsift.trainer.report import plots, remarks, table
from negsift.trainer.report.figure import PALETTE
from negsift.trainer.report.pictures import BagLookup, show_bags
from negsift.trainer.results.groups import compare
from negsift.trainer.results.runs import ReportedRun, read_runs


def write_report(folder: Path, bags: BagLookup | None = None) -> Path:
    """Write `folder`/report.html about the run in `folder`, or about all runs below it, and return its path.

    `bags` returns a run's data, for pictures of chosen bags; if it fails, the page states why. The file is
    self-contained, and appears complete or not at all. Raises BadData if there is no run, or if a run's files are
    damaged.
    """
    path, page = folder / "report.html", _render(read_runs(folder), bags)
    try:
        with replacing(path) as stream:
            stream.write(page.encode(errors="replace"))
    except OSError as error:
        expected, remedy = "a writable folder with free space", "correct its permissions or free some space"
        raise BadData(f"{path} not writable ({error})", expected, remedy) from None
    return path


def _render(runs: Sequence[ReportedRun], bags: BagLookup | None) -> str:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    pages = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=loader)
    data = sorted({run.settings.get("data.name", run.name) for run in runs})
    targets = sorted({run.settings.get("data.target", "—") for run in runs})
    return pages.get_template("page.html.jinja").render(
        title=f"{', '.join(data)}: " + (f"target {targets[0]}" if len(targets) == 1 else f"{len(targets)} targets"),
        runs=runs,
        comparisons=compare(runs),
        palette=PALETTE,
        plots=plots,
        remarks=remarks,
        table=table,
        show_bags=lambda comparison: show_bags(comparison, bags),
    )
