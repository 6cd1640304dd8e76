"""Joins a Ray cluster, or starts Ray on this machine."""

import logging
import os
from pathlib import Path
from typing import Any

import ray

from negsift.service.cluster.address import no_cluster, require_address, require_answer
from negsift.service.cluster.quiet import without_line

NAMESPACE = "negsift"
_PACKAGE = Path(__file__).parents[2]  # the folder `negsift`, in a checkout the one with links to the rooms


def connect(dashboard: bool = False, ship: bool = False) -> None:
    """Join the cluster in `RAY_ADDRESS`, else start Ray on this machine; nothing if already connected.

    With `ship` the cluster's nodes get this checkout's code, unless a job brought it. Raises BadInput where
    no cluster answers at that address.
    """
    if ray.is_initialized():
        return
    if "RAY_ADDRESS" in os.environ:
        _join(os.environ["RAY_ADDRESS"], _code() if ship else None)
        return
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray would print, as an error, that scorers are built from an object that must be kept; RayService keeps it.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    paths = os.pathsep.join([str(_PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {"env_vars": {"PYTHONPATH": paths.rstrip(os.pathsep)}}
    with without_line("Set ray log level from environment variable"):
        ray.init(
            "local", namespace=NAMESPACE, include_dashboard=dashboard, log_to_driver=False,
            logging_level=logging.ERROR, runtime_env=environment,
        )  # fmt: skip  # without an address Ray would join whatever cluster runs on this machine


def require_cluster(purpose: str) -> None:
    """Join the cluster in `RAY_ADDRESS`; raises BadInput where none is named; `purpose` needs one."""
    if not ray.is_initialized():
        require_address(purpose)
    connect(ship=True)


def _code() -> dict[str, Any] | None:  # Any: Ray's form of an environment
    """negsift itself as a package for workers; None within a job, which has brought the checkout."""
    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    return None if in_job else {"py_modules": [str(_PACKAGE)]}


def _join(address: str, environment: dict[str, Any] | None) -> None:  # Any: as above
    require_answer(address)
    try:
        ray.init(namespace=NAMESPACE, log_to_driver=False, logging_level=logging.WARNING, runtime_env=environment)
    except ConnectionError as error:
        raise no_cluster(address, str(error).splitlines()[0]) from error
