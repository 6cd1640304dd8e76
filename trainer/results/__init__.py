"""The results of many runs: their groups, statistics and costs, as values and as files."""

from negsift.trainer.results.files import write_results
from negsift.trainer.results.sweep import SweepResults, read_results
from negsift.trainer.results.versus import Versus, versus

__all__ = ["SweepResults", "Versus", "read_results", "versus", "write_results"]
