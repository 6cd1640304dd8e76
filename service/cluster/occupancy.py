"""Who holds the CPUs and GPUs of a cluster and who waits for them, by Ray's own records, which need no dashboard."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import ray
from ray._private.state import state
from ray.core.generated.gcs_pb2 import ActorTableData  # type: ignore[attr-defined]  # made by protoc
from ray.util import placement_group_table

Amounts = Mapping[str, float]
"""By kind, CPU or GPU."""

_KINDS = ("CPU", "GPU")
_NAMED = 3
_LEAST = 0.01
_SCORER = re.compile(r"scorer-\d+-(?:(?P<service>.+)-)?\w+")


@dataclass(frozen=True)
class ActorRecord:
    """An actor that has not ended: what it needs, and whether it has a process already; then it has room, too."""

    name: str
    kind: str
    is_ours: bool
    needs: Amounts
    is_placed: bool

    @property
    def holder(self) -> str:
        """Whom a user knows it by."""
        scorer = _SCORER.fullmatch(self.name)
        if scorer is None:
            return f"actor {self.name or self.kind}"
        if scorer["service"]:
            return f"service {scorer['service']}"
        return f"{'this' if self.is_ours else 'another'} program's sampler"


def actors() -> list[ActorRecord]:
    """All actors of the cluster that have not ended."""
    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id()).binary()
    tables = [ActorTableData.FromString(each) for each in state._connect_and_get_accessor().get_actor_table(None, None)]
    return [
        ActorRecord(each.name, each.class_name, each.job_id == job, dict(each.required_resources), each.pid > 0)
        for each in tables
        if each.state != ActorTableData.DEAD
    ]


def unplaced(names: re.Pattern[str]) -> int:
    """How many actors with such names have no room yet."""
    return sum(not actor.is_placed and bool(names.fullmatch(actor.name)) for actor in actors())


def waiting_groups(bundles: Sequence[Amounts]) -> int:
    """How many placement groups of such bundles have no room yet."""
    groups: Iterable[Mapping[str, object]] = placement_group_table().values()
    return sum(_bundles(group) == list(bundles) and group["state"] in ("PENDING", "RESCHEDULING") for group in groups)


def describe_holders() -> str:
    """Who holds the most of the cluster's CPUs and GPUs, for messages."""
    groups: Mapping[str, Mapping[str, object]] = placement_group_table()
    reserved = {
        f"placement group {group['name'] or number[:8]}": _bundles(group)
        for number, group in groups.items()
        if group["state"] == "CREATED"
    }
    return described(holdings(actors(), reserved, _used()))


def holdings(
    records: Iterable[ActorRecord], groups: Mapping[str, Sequence[Amounts]], used: Amounts
) -> Mapping[str, Amounts]:
    """The CPUs and GPUs of each holder; what nobody known holds of those `used` is that of tasks.

    What runs within a placement group is held by the group.
    """
    held: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(_KINDS, 0.0))
    parts = [(actor.holder, actor.needs) for actor in records if actor.is_placed]
    for holder, amounts in [*parts, *((name, bundle) for name, bundles in groups.items() for bundle in bundles)]:
        for kind in _KINDS:
            held[holder][kind] += amounts.get(kind, 0.0)
    known = {kind: sum(amounts[kind] for amounts in held.values()) for kind in _KINDS}
    held["tasks"] = {kind: max(0.0, used.get(kind, 0.0) - known[kind]) for kind in _KINDS}
    return {holder: amounts for holder, amounts in held.items() if max(amounts.values()) >= _LEAST}


def described(held: Mapping[str, Amounts]) -> str:
    """`held by` the largest holders and what they hold, GPUs first; nothing if there are none."""
    order = sorted(held, key=lambda holder: (-held[holder]["GPU"], -held[holder]["CPU"], holder))
    named = [f"{holder} ({amounts_text(held[holder])})" for holder in order[:_NAMED]]
    others = [f"{len(order) - _NAMED} others"] if len(order) > _NAMED else []
    return f"held by {', '.join(named + others)}" if named else ""


def amounts_text(amounts: Amounts) -> str:
    """Such as `1 CPU and 2 GPU`; kinds of which there is nothing are left out, but not both."""
    some = [f"{amounts[kind]:g} {kind}" for kind in _KINDS if amounts.get(kind, 0.0) > 0]
    return " and ".join(some) or "0 CPU"


def _used() -> Amounts:
    available_resources: Callable[[], Amounts] = ray.available_resources  # Ray's are untyped
    cluster_resources: Callable[[], Amounts] = ray.cluster_resources
    free, total = available_resources(), cluster_resources()
    return {kind: total.get(kind, 0.0) - free.get(kind, 0.0) for kind in _KINDS}


def _bundles(group: Mapping[str, object]) -> list[Amounts]:
    bundles = group["bundles"]
    assert isinstance(bundles, dict)
    return [{kind: bundle[kind] for kind in _KINDS if kind in bundle} for bundle in bundles.values()]
