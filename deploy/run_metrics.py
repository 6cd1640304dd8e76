"""What a training run exports, from the process that trains, where that is connected to Ray; elsewhere nothing."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from negsift.service.monitoring.gpu_memory import gpu_bytes
from negsift.trainer.folder import RunFolder

if TYPE_CHECKING:
    from negsift.deploy.run_config import RunConfig
    from negsift.service.monitoring.exporter import Exporter

STAGES = ("select", "train", "evaluate")
_SHOWN = {"run_loss": "loss", "run_val_ap_ratio": "val.ap", "run_val_roc_auc_ratio": "val.roc_auc"}


def _on_ray() -> "Exporter":
    from negsift.service.monitoring.ray_gauges import ray_exporter  # imported here: Ray is not needed elsewhere

    return ray_exporter()


@dataclass
class RunMetrics:
    """A logger that shows a run's last epoch, and totals of all of them, until it is closed."""

    run: str
    recipe: str
    strategy: str
    make_exporter: "Callable[[], Exporter]" = _on_ray
    _exporter: "Exporter | None" = None

    def open(self) -> None:
        """Have the totals begin at 0."""
        self._begun()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Show an epoch; what comes after the last one has no loss."""
        if "loss" in values or "seconds.total" in values:
            self._show(self._begun(), values)

    def close(self) -> None:
        """Have the series go away."""
        if self._exporter is not None:
            self._exporter.stop()
        self._exporter = None

    def _begun(self) -> "Exporter":
        if self._exporter is None:
            self._exporter = self.make_exporter()
            self._exporter.watch(self._measure)
            self._add(self._exporter, 0, dict.fromkeys(STAGES, 0.0))
        return self._exporter

    def _show(self, exporter: "Exporter", values: Mapping[str, float]) -> None:
        seconds = {stage: values.get(f"seconds.{stage}", 0.0) for stage in STAGES}
        self._add(exporter, 1, seconds)
        for name, key in _SHOWN.items():
            exporter.set(f"negsift_{name}", values.get(key, math.nan), **self._labels)
        share = seconds["select"] / max(sum(seconds.values()), 1e-9)
        exporter.set("negsift_run_select_ratio", share, **self._labels)

    def _add(self, exporter: "Exporter", epochs: int, seconds: Mapping[str, float]) -> None:
        exporter.add("negsift_run_epochs_total", epochs, **self._labels)
        for stage, spent in seconds.items():
            exporter.add("negsift_run_stage_seconds_total", spent, **self._labels, stage=stage)
        exporter.set("negsift_run_last_epoch_timestamp_seconds", time.time(), **self._labels)

    def _measure(self) -> None:
        held_bytes, exporter = gpu_bytes(), self._exporter
        if held_bytes is not None and exporter is not None:
            exporter.set("negsift_run_gpu_memory_bytes", held_bytes, **self._labels)

    @property
    def _labels(self) -> dict[str, str]:
        return {"run": self.run, "recipe": self.recipe, "strategy": self.strategy}


def run_metrics(config: "RunConfig", folder: RunFolder) -> tuple[RunMetrics, ...]:
    """The metrics of that run, if this process is connected to Ray."""
    ray = sys.modules.get("ray")  # not imported for this
    if ray is None or not ray.is_initialized():
        return ()
    return (RunMetrics(folder.path.resolve().name, config.recipe, config.strategy.name),)
