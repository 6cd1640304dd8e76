"""The programs that ask for rounds, and which of them have ended, by Ray's own records, which need no dashboard."""

from collections.abc import Collection
from contextlib import suppress
from typing import Any

import ray
from ray import ObjectRef
from ray._private.state import state
from ray.core.generated.common_pb2 import Address  # type: ignore[attr-defined]  # made by protoc
from ray.core.generated.gcs_pb2 import WorkerTableData  # type: ignore[attr-defined]  # made by protoc
from ray.exceptions import RayError

from negsift.service.cluster.resources import nodes


def own_program() -> str:
    """This process, as `program_of` names it."""
    return str(ray.get_runtime_context().get_worker_id())


def program_of(reference: ObjectRef[Any]) -> str:  # Any: any object
    """The process that has put an object into the store."""
    return str(Address.FromString(reference.owner_address()).worker_id.hex())


def ended_programs(programs: Collection[str]) -> set[str]:
    """Those of the programs whose process or node is gone; none while Ray's head is."""
    with suppress(RayError):
        alive = {node["NodeID"] for node in nodes() if node["Alive"]}
        return {program for program in programs if _has_ended(program, alive)}
    return set()


def _has_ended(program: str, alive: Collection[str]) -> bool:
    record = state._connect_and_get_accessor().get_worker_info(ray.WorkerID.from_hex(program))
    if record is None:
        return False
    worker = WorkerTableData.FromString(record)
    return not worker.is_alive or worker.worker_address.node_id.hex() not in alive
