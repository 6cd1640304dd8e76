"""What shards answer in a round, where the bags of a table are, and the bytes that so cross the network."""

import enum
from dataclasses import dataclass

from negsift.deploy.plan.workload import Workload
from negsift.service.scoring.top_k_sample import MARKS
from negsift.service.selection.distributed_top_k import ROW_BYTES, first_rows
from negsift.service.strategies.badge import Badge
from negsift.service.strategies.badge_filtered import BadgeFiltered
from negsift.service.strategies.base import Strategy
from negsift.service.strategies.cluster_margin import ClusterMargin
from negsift.service.strategies.k_center import KCenter

_FIRST, _KEPT, _TOLD, _TOLD_IN_PASSES = 800, 3.4, 0.5, 14.0
"""Points that D² sampling fetches from shards at first, and for each pick; the share of the picks that every shard is
told, and what their share of the points, squared, adds. Real pools and made-up ones of 2,000 to 1,000,000 points send
0.6 to 2.3 times that (tests/bench/kmeanspp_shards.md, kmeanspp_traffic.md).
"""


class AnswerKind(enum.Enum):
    """The best bags; all bags as points; the best and then these as points; the best and then their embeddings."""

    TOP_K = "the best bags of each shard"
    POINTS = "points"
    FILTERED = "the best bags, then these as points"
    CANDIDATES = "the best bags, then their embeddings"


def answer_kind(strategy: Strategy) -> AnswerKind:
    """What shards answer for a strategy."""
    if isinstance(strategy, BadgeFiltered):
        return AnswerKind.FILTERED
    if isinstance(strategy, ClusterMargin):
        return AnswerKind.CANDIDATES
    return AnswerKind.POINTS if isinstance(strategy, (Badge, KCenter)) else AnswerKind.TOP_K


@dataclass(frozen=True)
class Answers:
    """What shards answer in a round: the `best` candidates of all together, and of how many bags the `points` are asked
    for. With `gathered` all points go to the coordinator, else those that it asks for.
    """

    kind: AnswerKind
    best: int
    points: int
    gathered: bool

    @classmethod
    def of(cls, work: Workload) -> "Answers":
        """Those of a round."""
        rounds, strategy, limits = work.rounds, work.strategy, work.fleet.gather_limits
        kind, considered = answer_kind(strategy), getattr(strategy, "keep", 1) * rounds.picks
        best = {AnswerKind.POINTS: 0, AnswerKind.TOP_K: rounds.most}.get(kind, min(considered, rounds.scored))
        points = {AnswerKind.POINTS: rounds.scored, AnswerKind.FILTERED: best}.get(kind, 0)
        exact = getattr(strategy, "engine", "exact") == "exact"
        fits = points * work.sizes.point <= min(limits.held_bytes, limits.gather_bytes)
        return cls(kind, best, points, fits or not exact)

    def points_of(self, work: Workload) -> float:
        """The points that one shard keeps."""
        return min(work.scored, self.points / work.machines.scorers) if self.points else 0.0


@dataclass(frozen=True)
class RoundTraffic:
    """Bytes over the network in a round, by what they are."""

    weights: float
    answers: float
    selection: float
    pool: float


def round_traffic(work: Workload) -> RoundTraffic:
    """The traffic of a round: weights to each node once, answers of all shards, the selection, and the pool's bytes."""
    answers, rounds, sizes, machines = Answers.of(work), work.rounds, work.sizes, work.machines
    embedded = rounds.also + (answers.best if answers.kind is AnswerKind.CANDIDATES else 0)
    sent = best_bytes(answers.best, work) + embedded * sizes.embedded + points_bytes(answers, work)
    read = Streaming.of(work).stored_bags * machines.scorers * work.form.stored_bytes
    return RoundTraffic(sizes.weights * machines.nodes, sent, ROW_BYTES * rounds.picks, read)


def best_bytes(most: int, work: Workload) -> float:
    """The rows that all shards send of the best `most`, and the marks of the rest."""
    held = min(most, work.scored)
    sent = min(held, first_rows(most, work.machines.scorers)) if most else 0
    return float(ROW_BYTES * work.machines.scorers * (sent + min(MARKS, held - sent)))


def points_bytes(answers: Answers, work: Workload) -> float:
    """All points, or those that arrive and the picks that every shard is told."""
    picks, size = work.rounds.picks, work.sizes.point
    if answers.gathered:
        return float(answers.points * size)
    told = picks * (_TOLD + _TOLD_IN_PASSES * (picks / answers.points) ** 2)
    return float(arriving_points(picks) * (size + 8) + told * size * work.machines.scorers)


def arriving_points(picks: int) -> float:
    """The points that shards send for exact D² sampling, some of them more than once, for any number of points."""
    return _FIRST + _KEPT * picks


@dataclass(frozen=True)
class Streaming:
    """Where a shard's bags are: `resident` in memory, `on_disk` of the node decoded, `in_store` where the table is.

    In a table these count the bags of other splits in between. A round reads the share `touched` of the last two.
    """

    resident: float
    on_disk: float
    in_store: float
    touched: float

    @classmethod
    def of(cls, work: Workload) -> "Streaming":
        """The bags of the largest shard. A round that scores a part of the pool still reads every row group in which
        one of its blocks lies.
        """
        form, rounds, machines, budget = work.form, work.rounds, work.machines, work.fleet.budget
        if not form.in_table:
            return cls(work.share, 0.0, 0.0, 1.0)
        bag_bytes, bags = form.decoded_bytes + 8, work.share / form.used
        resident = min(bags, max(0.0, budget.memory_bytes - form.group_bytes) / bag_bytes)
        on_node = bags * bag_bytes * (machines.on_node if machines.on_ray else machines.scorers)
        kept = min(1.0, budget.disk_bytes / on_node)
        part, blocks = rounds.scored / rounds.bags, max(1.0, form.used * form.group_bags / rounds.block)
        return cls(resident, (bags - resident) * kept, (bags - resident) * (1 - kept), 1 - (1 - part) ** blocks)

    @property
    def stored_bags(self) -> float:
        """The bags that are read from the table in a round."""
        return self.in_store * self.touched
