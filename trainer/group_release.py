"""Gives back the room of a group of trainer workers, which Ray Train keeps when one is lost in a part of its start."""

import ray
from ray import PlacementGroupID
from ray._private.state import state
from ray.core.generated.gcs_pb2 import ActorTableData  # type: ignore[attr-defined]  # made by protoc
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.util import remove_placement_group
from ray.util.placement_group import PlacementGroup

_BUNDLES = "bundle_group_"


class GroupRelease(ControllerCallback):
    """Runs in Ray Train's controller, at its end; groups that it has given back itself are none the worse for it."""

    async def before_controller_shutdown(self) -> None:
        """Remove the placement groups of all workers that this controller has started."""
        for number in _groups_of(ray.get_runtime_context().get_worker_id()):
            remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(number))))


def _groups_of(owner: str) -> set[str]:
    """The placement groups of the actors, the dead included, that a process has started; ids in hexadecimal."""
    tables = [ActorTableData.FromString(each) for each in state._connect_and_get_accessor().get_actor_table(None, None)]
    needs = [key for each in tables if each.owner_address.worker_id.hex() == owner for key in each.required_resources]
    return {key.rpartition("_")[2] for key in needs if key.startswith(_BUNDLES)}
