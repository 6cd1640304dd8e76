"""The scorers of one service on Ray: how they are made, what is known of them, and how they use nodes that join late.

A scorer moves between rounds: another one starts on the new node, and takes its place once a round finds it ready.
"""

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import ray
from ray import ObjectRef
from ray.exceptions import RayError

from negsift.common.errors import ServiceError
from negsift.service.cluster.errors import get
from negsift.service.cluster.references import ScorerStatus, SpecRef
from negsift.service.cluster.resources import describe_room, nodes
from negsift.service.cluster.scorer_factory import ScorerFactory, ScorerHandle
from negsift.service.cluster.start_up import StartUp
from negsift.service.fleet.pause_clock import PauseClock
from negsift.service.fleet.rebalance import Move, plan_moves, room_for

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PendingMove:
    """A scorer that is starting on a new node, its first answer, and since when."""

    move: Move
    name: str
    actor: ScorerHandle
    answer: ObjectRef[ScorerStatus]
    since: float


@dataclass
class ScorerGroup:
    """The scorers, and what is known of them from one round to the next.

    `nodes` are the last ones known of each scorer. `late` are calls that were taken over and still run, `down` the
    scorers that were lost and not yet back, both with since when on `clock`. `first_nodes` were there at the first
    round, `avoided_nodes` had no room.
    """

    factory: ScorerFactory
    scorers: list[ScorerHandle]
    nodes: dict[int, str] = field(default_factory=dict)
    late: dict[int, tuple[ObjectRef[Any], float]] = field(default_factory=dict)  # Any: the answer of any request
    down: dict[int, float] = field(default_factory=dict)
    clock: PauseClock = field(default_factory=PauseClock)
    moves: list[PendingMove] = field(default_factory=list)
    first_nodes: frozenset[str] = frozenset()
    avoided_nodes: set[str] = field(default_factory=set)

    @classmethod
    def start(cls, factory: ScorerFactory, shards: int) -> Self:
        """One scorer a shard; as long as it has not answered it counts as one that isn't back."""
        group = cls(factory, factory.start(shards))
        group.down = dict.fromkeys(range(shards), group.clock.resume())
        return group

    @classmethod
    def find(cls, factory: ScorerFactory, shards: int) -> Self:
        """The scorers that another process started, found by name."""
        # With handles among a coordinator's arguments Ray would warn, as an error, that it can't be restarted.
        return cls(factory, [factory.find(number) for number in range(shards)])

    def await_start(self, limit_s: float, spec: SpecRef | None = None) -> None:
        """Wait until every scorer has started, and made its shard of `spec` if there is one.

        One that is killed meanwhile makes it again. Raises what goes wrong in that, unchanged; ServiceError for scorers
        that aren't ready within `limit_s`; BadInput if the nodes can't import negsift.
        """
        start, until = StartUp(self.scorers, spec), self.clock.resume() + limit_s
        with ExitStack() as undo:
            undo.callback(self.kill)
            while start.missing:
                start.step()
                if start.missing and self.clock.tick() > until:
                    raise ServiceError(
                        f"{start.missing} of {len(self.scorers)} scorers not started within {limit_s:g} s"
                        f"{start.describe_losses()}; {describe_room(self.factory.group)}",
                        "stop another service, lower fleet.cpus_per_shard or fleet.shards, or raise fleet.start_s",
                    )
            undo.pop_all()
        self.down.clear()

    def largest_block(self, spec: SpecRef, limit_s: float) -> int:
        """The bags that a batch of `spec` may have on every scorer's device. Raises what goes wrong there."""
        answers: list[ObjectRef[int]] = [scorer.largest_block.remote(spec) for scorer in self.scorers]
        remedy = "give fleet.block a number"
        return min(get(answer, limit_s, f"scorer-{number}", remedy) for number, answer in enumerate(answers))

    def kill(self) -> None:
        """End all scorers."""
        for scorer in self.scorers:
            ray.kill(scorer)
        self.factory.release_all()

    def settle(self, patience_s: float, spec: SpecRef) -> int:
        """Between two rounds: finish and start moves to new nodes; gives how many scorers have moved.

        A scorer makes its shard of `spec` before it moves. A move that isn't ready after `patience_s` is given up.
        In a placement group, which has its nodes, nothing moves.
        """
        if self.factory.group is not None:
            return 0
        alive = [node for node in nodes() if node["Alive"]]
        room = {node["NodeID"]: room_for(node["Resources"], self.factory.resources) for node in alive}
        self.first_nodes = self.first_nodes or frozenset(room)
        moved = sum(self._finish(pending, patience_s) for pending in list(self.moves))
        if not self.moves and len(self.nodes) == len(self.scorers):
            new = room.keys() - self.first_nodes - self.avoided_nodes
            self.moves = [self._begin(move, spec) for move in plan_moves(self.nodes, room, new)]
        return moved

    def _begin(self, move: Move, spec: SpecRef) -> PendingMove:
        log.info("scorer-%d is being started on node %s, which is new", move.scorer, move.node[:8])
        name, actor = self.factory.another(move.scorer, move.node)
        actor.build.remote(spec)
        return PendingMove(move, name, actor, actor.status.remote(), time.monotonic())

    def _finish(self, pending: PendingMove, patience_s: float) -> bool:
        """Whether the scorer has moved."""
        ready, _ = ray.wait([pending.answer], timeout=0)
        if not ready and time.monotonic() - pending.since < patience_s:
            return False
        self.moves.remove(pending)
        number, node = pending.move.scorer, pending.move.node
        home = _home(pending.answer) if ready else None
        if home != node:
            log.warning("scorer-%d stays where it is, node %s has not taken it", number, node[:8])
            if home is None:  # else Ray placed it elsewhere, before it knew the node: the next round tries again
                self.avoided_nodes.add(node)
            ray.kill(pending.actor)
            self.factory.release(pending.name)
            return False
        ray.kill(self.scorers[number])
        self.factory.release_others(number, pending.name)
        self.scorers[number], self.nodes[number] = pending.actor, node
        self.late.pop(number, None)
        self.down.pop(number, None)
        return True


def _home(answer: ObjectRef[ScorerStatus]) -> str | None:
    """The node that a scorer answered from; None if it is lost."""
    try:
        return ray.get(answer).node
    except RayError:
        return None
