"""A run's metrics, without Ray: from its beginning, epoch by epoch, until it is over."""

import math
import pickle
import subprocess
import sys
from collections.abc import Mapping

from negsift.deploy.run_metrics import RunMetrics
from negsift.trainer.loggers.logger import OpenedLogger, RunLoggers
from tests.unit.pages import ROOT
from tests.unit.service.monitoring.gauges import Noted

EPOCH = {"loss": 0.5, "val": {"ap": 0.7, "roc_auc": 0.8}, "seconds": {"select": 1.0, "train": 2.0, "evaluate": 1.0}}


def loggers(noted: Noted) -> RunLoggers:
    """Those of a run whose metrics go to `noted`."""
    return RunLoggers([RunMetrics("mine", "digits", "badge", lambda: noted.exporter)])


def test_totals_of_a_run_are_0_before_its_first_epoch() -> None:
    noted = Noted()
    loggers(noted).open()
    assert (noted.total("run_epochs_total"), noted.total("run_stage_seconds_total")) == (0, 0)


def test_a_resumed_run_counts_its_earlier_epochs_before_it_is_opened() -> None:
    noted = Noted()
    run = loggers(noted)
    for epoch in range(3):
        run.log(EPOCH, epoch)
    run.open()
    assert noted.total("run_epochs_total", run="mine", recipe="digits", strategy="badge") == 3


def test_an_epoch_shows_its_quality_and_where_its_time_went() -> None:
    noted = Noted()
    run = loggers(noted)
    for epoch in range(2):
        run.log(EPOCH, epoch)
    run.log({"test": {"ap": 0.9}, "epochs_run": 2}, 2)  # the end, which is no epoch
    shown = [noted.total(f"run_{name}") for name in ("loss", "val_ap_ratio", "val_roc_auc_ratio", "select_ratio")]
    assert shown == [0.5, 0.7, 0.8, 0.25]
    assert noted.total("run_stage_seconds_total", stage="train") == 4
    assert noted.total("run_epochs_total") == 2


def test_a_measure_that_is_undefined_is_nan_and_not_the_last_one() -> None:
    noted = Noted()
    run = loggers(noted)
    for ap in (0.7, math.nan):
        run.log({**EPOCH, "val": {"ap": ap, "roc_auc": 0.8}}, 0)
    assert math.isnan(noted.total("run_val_ap_ratio"))


def test_a_run_that_is_closed_shows_nothing() -> None:
    noted = Noted()
    run = loggers(noted)
    run.log(EPOCH, 0)
    run.close()
    assert not noted.export()


def test_metrics_are_sent_to_the_worker_that_trains() -> None:
    metrics = RunMetrics("mine", "digits", "badge")
    assert pickle.loads(pickle.dumps(metrics)) == metrics
    assert isinstance(metrics, OpenedLogger)


def test_loggers_without_open_are_left_alone() -> None:
    class Silent:
        def log(self, values: Mapping[str, float], step: int) -> None:
            raise AssertionError

        def close(self) -> None:
            raise AssertionError

    run = RunLoggers([Silent()])
    run.open()
    assert not run.failed


def test_a_run_off_ray_imports_none_of_it() -> None:
    code = (
        "import sys; from negsift.deploy.run_metrics import run_metrics; from negsift.deploy.recipes import digits;"
        "from negsift.trainer.folder import RunFolder; from pathlib import Path;"
        "print(run_metrics(digits(), RunFolder(Path('x'))), 'ray' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "() False\n"
