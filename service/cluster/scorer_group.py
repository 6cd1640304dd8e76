"""The scorers of one service on Ray: how they are made, what is known of them, and how they use nodes that come late.

A scorer moves between two rounds: another one is started on the new node while the old one goes on, and takes its
place at the first round that finds it ready.
"""

import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import ray
from ray.exceptions import ActorDiedError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from negsift.service.cluster.scorer import Scorer
from negsift.service.fleet.rebalance import Move, plan_moves, room_for

log = logging.getLogger(__name__)
_LOOK_S = 5.0


@dataclass(frozen=True)
class ScorerFactory:
    """How scorers are made: with so many CPUs and GPUs each; `tag` tells services apart.

    `held` has the reference of the Stock in the object store, which must be kept for as long as scorers may be
    started anew; empty where calls name the stock they are for.
    """

    held: Sequence[Any]  # Any: ray.ObjectRef of a Stock
    resources: tuple[float, float]
    tag: str

    def start(self, number: int) -> Any:  # Any: an actor handle
        """A scorer where there is room, spread over the nodes."""
        return self._start(number, self.tag, "SPREAD")

    def another(self, number: int, node: str | None = None) -> Any:  # Any: as above
        """Another one of that number; on `node`, elsewhere only once that is gone."""
        where = "SPREAD" if node is None else NodeAffinitySchedulingStrategy(node, soft=True)
        return self._start(number, f"{self.tag}_{uuid.uuid4().hex[:4]}", where)

    def _start(self, number: int, tag: str, where: Any) -> Any:  # Any: Ray's
        cpus, gpus = self.resources
        kind = ray.remote(Scorer).options(
            name=f"scorer-{number}-{tag}", num_cpus=cpus, num_gpus=gpus, max_restarts=-1, max_task_retries=0,
            scheduling_strategy=where,
        )  # fmt: skip
        return kind.remote(number, self.held, cpus)


@dataclass(frozen=True)
class PendingMove:
    """A scorer that is being started on a new node, and its first answer."""

    move: Move
    actor: Any  # Any: an actor handle
    answer: Any  # Any: ray.ObjectRef
    since: float


@dataclass
class ScorerGroup:
    """The scorers, and what is known of them from one round to the next.

    `lives` are their last known lives, `nodes` where they are, `late` the calls that were taken over and still run,
    and since when. `first` are the nodes that were there at the first round, `shunned` those that had no room.
    """

    making: ScorerFactory
    scorers: list[Any]  # Any: actor handles
    lives: dict[int, str] = field(default_factory=dict)
    nodes: dict[int, str] = field(default_factory=dict)
    late: dict[int, tuple[Any, float]] = field(default_factory=dict)  # Any: ray.ObjectRef
    coming: list[PendingMove] = field(default_factory=list)
    first: frozenset[str] = frozenset()
    shunned: set[str] = field(default_factory=set)
    begun: bool = False

    @classmethod
    def start(cls, making: ScorerFactory, shards: int) -> Self:
        """One scorer a shard."""
        return cls(making, [making.start(number) for number in range(shards)])

    def settle(self, patience_s: float) -> int:
        """Between two rounds: let those take over that are ready on new nodes, start others there; how many took over.

        One that isn't ready after `patience_s` is given up.
        """
        nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
        room = {node["NodeID"]: room_for(node["Resources"], self.making.resources) for node in nodes if node["Alive"]}
        self.first = self.first or frozenset(room)
        moved = sum(self._takes_over(each, patience_s) for each in list(self.coming))
        if not self.coming and len(self.nodes) == len(self.scorers):
            new = room.keys() - self.first - self.shunned
            self.coming = [self._begin(move) for move in plan_moves(self.nodes, room, new)]
        return moved

    def reborn(self) -> int:
        """1 in the first round of a coordinator that was started anew, else 0."""
        first, self.begun, here = not self.begun, True, ray.get_runtime_context()
        return int(bool(first and here.get_actor_id() and here.was_current_actor_reconstructed))

    def revive(self) -> None:
        """Make those anew that are gone for good: those that had moved end with the coordinator that made them."""
        asked = [scorer.status.remote() for scorer in self.scorers]
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=_LOOK_S)
        for number, reference in enumerate(asked):
            if reference in ready and _is_dead(reference):
                log.info("scorer-%d is made anew", number)
                self.scorers[number] = self.making.another(number)

    def _begin(self, move: Move) -> PendingMove:
        log.info("scorer-%d is being started on node %s, which is new", move.scorer, move.node[:8])
        actor = self.making.another(move.scorer, move.node)
        actor.build.remote()
        return PendingMove(move, actor, actor.status.remote(), time.monotonic())

    def _takes_over(self, coming: PendingMove, patience_s: float) -> bool:
        ready, _ = ray.wait([coming.answer], timeout=0)
        if not ready and time.monotonic() - coming.since < patience_s:
            return False
        self.coming.remove(coming)
        number, node = coming.move.scorer, coming.move.node
        found = _home(coming.answer) if ready else None
        if found != node:
            log.warning("scorer-%d stays where it is, node %s has not taken it", number, node[:8])
            if found is None:  # else it came elsewhere, where the node was not known yet: the next round tries again
                self.shunned.add(node)
            ray.kill(coming.actor)
            return False
        ray.kill(self.scorers[number])
        self.scorers[number], self.nodes[number] = coming.actor, node
        self.lives.pop(number, None)
        self.late.pop(number, None)
        return True


def _home(answer: Any) -> str | None:  # Any: ray.ObjectRef
    """The node that a scorer answered from; None if it is lost."""
    try:
        return str(ray.get(answer)["node"])
    except RayError:
        return None


def _is_dead(answer: Any) -> bool:  # Any: ray.ObjectRef
    try:
        ray.get(answer)
    except ActorDiedError:
        return True
    except RayError:
        return False
    return False
