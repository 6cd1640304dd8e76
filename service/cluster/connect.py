"""Joins a Ray cluster, or starts Ray on this machine."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private.services import get_ray_address_from_environment
from ray.exceptions import RayError, RayTaskError

from negsift.common.environment import unchanged_environment
from negsift.common.errors import BadInput, ServiceError
from negsift.common.freed_memory import keeping_environment
from negsift.service.cluster.address import named_address, no_cluster, require_address, require_answer
from negsift.service.cluster.token import lock, unlock

NAMESPACE = "negsift"
_PACKAGE = Path(__file__).parents[2]
"""The folder `negsift`; in a checkout it holds links to the rooms, which uploads follow."""

_PROBE_S = 60.0


def connect(dashboard: bool = False) -> None:
    """Join the cluster in `RAY_ADDRESS`, else start Ray here, unless connected; raises BadInput if none answers.

    The environment is as before afterwards; Ray's processes have what they were started with.
    """
    if ray.is_initialized():
        return
    address = named_address()
    with unchanged_environment(), _kept_sigterm():
        if address is None:
            _start(dashboard)
        else:
            _join(address)


@contextmanager
def _kept_sigterm() -> Iterator[None]:
    """A handler of SIGTERM that the program has set stays; Ray puts its own in the place of any."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def require_cluster(purpose: str) -> None:
    """Join the cluster in `RAY_ADDRESS`; raises BadInput where none is named, since `purpose` needs one."""
    if not ray.is_initialized():
        require_address(purpose)
    connect()


def require_importable() -> None:
    """Raise BadInput, with the reason, if workers can't import negsift; Ray only calls their actors unavailable."""

    def import_scorer() -> None:  # within a function, so that Ray sends its code and not its name
        import negsift.service.cluster.scorer  # noqa: F401  # the import is the test

    try:
        ray.get(ray.remote(import_scorer).options(num_cpus=0).remote(), timeout=_PROBE_S)
    except RayTaskError as error:
        if isinstance(error.cause, ImportError):
            raise BadInput(
                f"nodes of the cluster that can't import negsift ({error.cause})", "negsift and its packages on each",
                "install it there, or connect with ray.init(runtime_env={'py_modules': [negsift]})",
            ) from error  # fmt: skip
    except RayError:
        return  # whatever else is wrong is reported by the caller


def _start(dashboard: bool) -> None:
    """Start Ray on this machine; without the word `local` Ray would join whatever cluster runs here."""
    lock()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ |= keeping_environment()
    paths = os.pathsep.join([str(_PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    os.environ["PYTHONPATH"] = paths.rstrip(os.pathsep)  # a runtime_env would keep Ray from starting workers early
    try:
        ray.init(
            "local", namespace=NAMESPACE, include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR
        )
    except Exception as error:  # Ray raises no class of its own where its processes are not up in time
        if "timed out" not in str(error):
            raise
        remedy = "wait until the machine is less busy, or join a running Ray by RAY_ADDRESS"
        raise ServiceError("Ray's processes on this machine are not up in time", remedy) from error


def _join(address: str) -> None:
    """Join the cluster there; its nodes get this program's negsift, unless a job has brought it."""
    require_answer(address)
    environment: dict[str, Any] | None = None  # Any: Ray's own form
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        environment = {"py_modules": [str(_PACKAGE)], "env_vars": keeping_environment()}
    try:
        if address == "auto":
            address = get_ray_address_from_environment(address, None)
        unlock(address)
        ray.init(
            address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.WARNING, runtime_env=environment
        )
    except ConnectionError as error:
        raise no_cluster(address, str(error.__cause__ or error).splitlines()[0]) from error
