"""A cluster of three nodes on one machine that loses nodes and gets new ones."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import ray
from ray.cluster_utils import Cluster

from negsift.service.cluster.token import lock

OTHER = "other"
"""A resource that all nodes but the head have."""
_STORE_BYTES = 128 << 20
_SEEN_DEAD = {
    "health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_timeout_ms": 5000,
    "health_check_failure_threshold": 5, "worker_niceness": 0,
}  # fmt: skip
"""How soon a dead node is known to be dead; a killed one is by its closed connection."""


class Nodes:
    """The head, which holds this program's objects and is never killed, and two others."""

    def __init__(self, cpus: float = 2.0, gpus: int = 0) -> None:
        self._cpus, self._gpus = cpus, gpus
        head = {"num_cpus": cpus, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head | {"_system_config": _SEEN_DEAD})
        self.others = [self._start(), self._start()]

    @property
    def address(self) -> str:
        """Where to join."""
        return str(self._cluster.address)

    def kill(self, number: int) -> None:
        """SIGKILL one of the others; its processes end with it."""
        self._cluster.remove_node(self.others[number], allow_graceful=False)

    def replace(self, number: int) -> None:
        """A new node in the place of a killed one."""
        self.others[number] = self._start()

    def shutdown(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()

    def _start(self) -> Any:  # Any: Ray's node
        return self._cluster.add_node(
            num_cpus=self._cpus, num_gpus=self._gpus, object_store_memory=_STORE_BYTES, resources={OTHER: 1}
        )


@contextmanager
def three_nodes(cpus: float = 2.0, gpus: int = 0) -> Iterator[Nodes]:
    """A cluster that this process has joined; nothing of it is left afterwards, and others don't find it.

    The others have so many GPUs, which no program can use.
    """
    apart = {"RAY_USAGE_STATS_ENABLED": "0"}
    with (
        tempfile.TemporaryDirectory(prefix="ns-", ignore_cleanup_errors=True) as folder,
        mock.patch.dict(os.environ, apart, RAY_TMPDIR=folder),
    ):
        lock()
        nodes = Nodes(cpus, gpus)
        try:
            ray.init(address=nodes.address, namespace="negsift", log_to_driver=False, logging_level="ERROR")
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()
