"""What `negsift train` does: a run to its end, its report, and its result in one line."""

from pathlib import Path

from negsift.deploy.run import Runner
from negsift.deploy.run_config import RunConfig
from negsift.trainer.folder import Json
from negsift.trainer.report import write_report


def train(config: RunConfig, out: Path) -> str:
    """Train to the end in the folder `out`, or go on there; gives the result and the report's path, to be read."""
    with Runner() as runner:
        summary = runner.run(config, out)
    return f"{describe(summary)}\n{write_report(out, runner.bags_of)}"


def describe(summary: Json) -> str:
    """A run's result in one line."""
    test, last, instances = summary["test"], summary["last"], summary.get("instances")
    more = (
        ""
        if instances is None
        else (
            f"; instances of {instances['bags']:,} test bags: AP {_number(instances['ap'])}, "
            f"ROC-AUC {_number(instances['roc_auc'])}"
        )
    )
    return (
        f"{summary['strategy']}: test AP {_number(test['ap'])}, ROC-AUC {_number(test['roc_auc'])} at epoch "
        f"{summary['best_epoch']}, the best in validation (last: {_number(last['ap'])}, {_number(last['roc_auc'])})"
        f"{more}"
    )


def _number(value: float | None) -> str:
    """Four digits; a measure that isn't defined on the test bags is NaN, or null once it is in a file."""
    return "undefined" if value is None or value != value else f"{value:.4f}"
