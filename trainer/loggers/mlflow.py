"""Sends a run's numbers to MLflow, where MLFLOW_TRACKING_URI says."""

import functools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from negsift.trainer.loggers.identity import RunIdentity

_ID, _STEP = "negsift.run", "negsift.step"
_MOST_PARAMETERS = 100
"""That MLflow takes in one request."""


@dataclass
class MlflowLogger:
    """A run of MLflow's experiment `run.project`, found again by its tags, which also say what was its last step."""

    run: RunIdentity

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Send the numbers of a step that isn't there yet, in one request."""
        from mlflow.entities import Metric, RunTag

        client, run_id, last = self._opened
        if step > last:
            now = int(time.time() * 1000)
            metrics = [Metric(name, value, now, step) for name, value in values.items()]
            client.log_batch(run_id, metrics=metrics, tags=[RunTag(_STEP, str(step))])

    def close(self) -> None:
        """Mark the run as finished, if it was opened."""
        if "_opened" in self.__dict__:
            client, run_id, _ = self._opened
            client.set_terminated(run_id)

    @functools.cached_property
    def _opened(self) -> tuple[Any, str, int]:  # Any: MLflow isn't always installed
        """The client, MLflow's id of the run, and the last step that it has, or -1."""
        from mlflow import MlflowClient

        client = MlflowClient()
        known = client.get_experiment_by_name(self.run.project)
        experiment = client.create_experiment(self.run.project) if known is None else known.experiment_id
        found = client.search_runs([experiment], filter_string=f"tags.`{_ID}` = '{self.run.id}'")
        if found:
            client.update_run(found[0].info.run_id, status="RUNNING")
            return client, found[0].info.run_id, int(found[0].data.tags.get(_STEP, -1))
        run_id = client.create_run(experiment, tags={_ID: self.run.id}, run_name=self.run.name).info.run_id
        self._send_config(client, run_id)
        return client, run_id, -1

    def _send_config(self, client: Any, run_id: str) -> None:  # Any: as above
        from mlflow.entities import Param

        parameters = [Param(key, json.dumps(value)) for key, value in self.run.config.items()]
        for start in range(0, len(parameters), _MOST_PARAMETERS):
            client.log_batch(run_id, params=parameters[start : start + _MOST_PARAMETERS])
