"""The report of a run or of many: one HTML file that stands alone."""

from trainer.report.page import write_report
from trainer.report.pictures import BagLookup
from trainer.report.runs import RunFolder

__all__ = ["BagLookup", "RunFolder", "write_report"]
