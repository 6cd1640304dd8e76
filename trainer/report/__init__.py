"""The report of one or many runs: a self-contained HTML file."""

from negsift.trainer.report.markdown import folder_markdown, results_markdown
from negsift.trainer.report.page import write_report
from negsift.trainer.report.pictures import BagLookup
from negsift.trainer.results.runs import ReportedRun

__all__ = ["BagLookup", "ReportedRun", "folder_markdown", "results_markdown", "write_report"]
