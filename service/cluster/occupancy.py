"""Who holds the CPUs and GPUs of a cluster and who waits for them, by Ray's own records, which need no dashboard."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import ray
from ray._private.state import state
from ray.core.generated.gcs_pb2 import ActorTableData, PlacementGroupTableData  # type: ignore[attr-defined]  # protoc's
from ray.util import placement_group_table

Amounts = Mapping[str, float]
"""By kind, CPU or GPU."""

_KINDS = ("CPU", "GPU")
_NAMED = 3
_LEAST = 0.01
_OURS = "this"
TRAINER = "trainer-"
"""What names of placement groups begin with that keep room for a trainer."""
_SCORER = re.compile(r"scorer-\d+-(?:(?P<service>.+)-)?\w+")


@dataclass(frozen=True)
class Holding:
    """What an actor, or a bundle of a placement group, keeps of a `node`; `is_ours` where this program's sampler or
    trainer does.
    """

    holder: str
    amounts: Amounts
    node: str = ""
    is_ours: bool = False


def held() -> Iterator[Holding]:
    """What is held of the cluster, but for what tasks hold.

    Ray's records know of an end at once; what nodes report as free is older. What runs within a placement group is held
    by the group.
    """
    job = _own_job()
    for actor in _actors():
        if actor.pid > 0:
            who = holder(actor.name, actor.job_id == job) or f"actor {actor.name or actor.class_name}"
            needs, node = dict(actor.required_resources), actor.address.node_id.hex()
            yield Holding(who, needs, node, who.startswith(_OURS))
    for each in state._connect_and_get_accessor().get_placement_group_table():
        group = PlacementGroupTableData.FromString(each)
        unknown = f"placement group {group.name or group.placement_group_id.hex()[:8]}"
        who = holder(group.name, group.creator_job_id == job) or unknown
        for bundle in group.bundles if group.state == PlacementGroupTableData.CREATED else ():
            yield Holding(who, dict(bundle.unit_resources), bundle.node_id.hex(), who.startswith(_OURS))


def holder(name: str, is_own: bool) -> str:
    """What a user knows a program or service by that an actor or placement group of such a name is of; else nothing."""
    scorer = _SCORER.fullmatch(name)
    if scorer and scorer["service"]:
        return f"service {scorer['service']}"
    what = "sampler" if scorer else "trainer" if name.startswith(TRAINER) else ""
    return what and f"{_OURS if is_own else 'another'} program's {what}"


def unplaced(names: re.Pattern[str]) -> int:
    """How many actors with such names have no room yet."""
    return sum(actor.pid == 0 and bool(names.fullmatch(actor.name)) for actor in _actors())


def waiting_groups(bundles: Sequence[Amounts]) -> int:
    """How many placement groups of such bundles have no room yet."""
    groups: Iterable[Mapping[str, object]] = placement_group_table().values()
    return sum(_bundles(group) == list(bundles) and group["state"] in ("PENDING", "RESCHEDULING") for group in groups)


def describe_holders() -> str:
    """Who holds the most of the cluster's CPUs and GPUs, for messages."""
    return described(by_holder(held(), _used()))


def by_holder(holdings: Iterable[Holding], used: Amounts) -> Mapping[str, Amounts]:
    """The CPUs and GPUs of each holder; what nobody known holds of those `used` is that of tasks."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(_KINDS, 0.0))
    for holding in holdings:
        for kind in _KINDS:
            found[holding.holder][kind] += holding.amounts.get(kind, 0.0)
    known = {kind: sum(amounts[kind] for amounts in found.values()) for kind in _KINDS}
    found["tasks"] = {kind: max(0.0, used.get(kind, 0.0) - known[kind]) for kind in _KINDS}
    return {name: amounts for name, amounts in found.items() if max(amounts.values()) >= _LEAST}


def described(holders: Mapping[str, Amounts]) -> str:
    """`held by` the largest holders and what they hold, GPUs first; nothing if there are none."""
    order = sorted(holders, key=lambda name: (-holders[name]["GPU"], -holders[name]["CPU"], name))
    named = [f"{name} ({amounts_text(holders[name])})" for name in order[:_NAMED]]
    others = [f"{len(order) - _NAMED} others"] if len(order) > _NAMED else []
    return f"held by {', '.join(named + others)}" if named else ""


def amounts_text(amounts: Amounts) -> str:
    """Such as `1 CPU and 2 GPU`; kinds of which there is nothing are left out, but not both."""
    some = [f"{amounts[kind]:g} {kind}" for kind in _KINDS if amounts.get(kind, 0.0) > 0]
    return " and ".join(some) or "0 CPU"


def _own_job() -> bytes:
    return bytes(ray.JobID.from_hex(ray.get_runtime_context().get_job_id()).binary())


def _actors() -> Iterator[ActorTableData]:
    """The records of all actors that have not ended."""
    tables = state._connect_and_get_accessor().get_actor_table(None, None)
    return (actor for actor in map(ActorTableData.FromString, tables) if actor.state != ActorTableData.DEAD)


def _used() -> Amounts:
    available_resources: Callable[[], Amounts] = ray.available_resources  # Ray's are untyped
    cluster_resources: Callable[[], Amounts] = ray.cluster_resources
    free, total = available_resources(), cluster_resources()
    return {kind: total.get(kind, 0.0) - free.get(kind, 0.0) for kind in _KINDS}


def _bundles(group: Mapping[str, object]) -> list[Amounts]:
    bundles = group["bundles"]
    assert isinstance(bundles, dict)
    return [{kind: bundle[kind] for kind in _KINDS if kind in bundle} for bundle in bundles.values()]
