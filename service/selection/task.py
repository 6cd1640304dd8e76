"""What one run wants of its rounds, and the round that follows for an epoch."""

from dataclasses import dataclass, field, replace

import numpy as np

from negsift.common.arrays import Index
from negsift.common.block_subset import BlockSubset
from negsift.common.errors import BadInput
from negsift.common.guards import Guards
from negsift.common.round_policy import RoundPolicy
from negsift.common.types import Need, PoolVersion, Round
from negsift.service.strategies.base import Strategy
from negsift.service.strategies.full import Full
from negsift.service.strategies.ht_gumbel import HtGumbel
from negsift.service.strategies.random import Random


@dataclass(frozen=True)
class Task:
    """`k` negatives an epoch, chosen by `strategy` with `seed` under `policy`; `k` is None for `full` alone.

    `target` is the positive class's logit column. Raises BadInput where the strategy can't choose `k` bags
    under the policy.
    """

    strategy: Strategy
    k: int | None
    seed: int = 0
    target: int = 1
    policy: RoundPolicy = field(default_factory=RoundPolicy)

    def __post_init__(self) -> None:
        require_whole("seed", self.seed)
        require_whole("target", self.target)
        if self.target < 0:
            raise BadInput(f"target={self.target}", "a column of the logits, from 0", "correct target=")
        if self.policy.score == "memory":
            require_logits_only(self.strategy)
        require_guardable(self.strategy, self.policy)
        candidates, rescore = self.policy.candidates, self.policy.rescore
        k = self.k if isinstance(self.k, (int, np.integer)) else 0
        if not self.strategy.need:
            return
        if candidates and candidates < k:
            raise BadInput(f"{k} negatives of candidates={candidates}", f"{k} at least", "raise candidates")
        if rescore and type(self.strategy).pick is not Strategy.pick:
            raise BadInput(
                f"rescore={rescore} with {type(self.strategy).__name__}, which looks at all bags at once",
                "a strategy that scores each bag", "use candidates instead",
            )  # fmt: skip

    def recalls_at(self, epoch: int) -> bool:
        """Whether the epoch's round goes by remembered logits."""
        return self.policy.score == "memory" and self.strategy_at(epoch).need > Need.NOTHING

    def strategy_at(self, epoch: int) -> Strategy:
        """The strategy, or Random in the first `random_rounds` epochs of a strategy that scores."""
        early = epoch < self.policy.random_rounds and self.strategy.need > Need.NOTHING
        return Random() if early else self.strategy

    def guards_at(self, epoch: int) -> Guards:
        """The guards in force: in rounds at random those that need no scores."""
        guards = self.policy.guard
        return guards if self.strategy_at(epoch).need else guards.of_choices

    def size(self, pool: int) -> int:
        """The number of negatives to choose from `pool` bags; raises BadInput if there aren't as many."""
        if isinstance(self.strategy, Full):
            return pool
        if self.k is None:
            raise BadInput("no k", "how many negatives to select each epoch", "give k=, or strategy='full'")
        if isinstance(self.k, bool) or not isinstance(self.k, (int, np.integer)) or not 0 <= self.k <= pool:
            raise BadInput(
                f"{self.k!r} negatives asked for", f"a whole number between 0 and {pool}, the size of the pool",
                "lower k (raise sampling.ratio), enlarge the pool, or use strategy.name=full",
            )  # fmt: skip
        return int(self.k)

    def round(self, epoch: int, pool: PoolVersion, previous: Index | None, scores_kept: bool) -> Round:
        """The round for `epoch`; `scores_kept` says whether there are earlier scores for `rescore` to add to."""
        turn, policy = epoch // self.policy.every, self.policy
        subset, all_scores = None, False
        if self.strategy_at(epoch).need > Need.NOTHING and policy.candidates:
            subset = BlockSubset(min(policy.candidates, pool.bags), self.seed, turn)
        elif self.strategy_at(epoch).need > Need.NOTHING and policy.rescore:
            bags = min(policy.rescore, pool.bags) if scores_kept else pool.bags
            subset, all_scores = BlockSubset(bags, self.seed, turn), True
        return Round(epoch, self.seed, self.size(pool.bags), pool, self.target, previous, subset, all_scores, turn)


def require_positives(task: Task, positives: int | None) -> None:
    """Raise BadInput if the task learns from positives and there are none; None stands for an unknown number."""
    guarded = task.policy.guard.positives is not None
    if (task.strategy.learns_from_positives or guarded) and positives == 0:
        name = "guard.positives" if guarded else type(task.strategy).__name__
        raise BadInput(f"no positives for {name}", "the positive bags, from which it learns", "give positives=")


def require_guardable(strategy: Strategy, policy: RoundPolicy) -> None:
    """Raise BadInput for guards that do not fit the strategy, or the policy's other options."""
    guards, name = policy.guard, type(strategy).__name__
    by_rank = type(strategy).pick is Strategy.pick
    if guards.active and isinstance(strategy, Full):
        raise BadInput(f"{guards} with {name}, which chooses all bags", "another strategy", "leave the guard out")
    scored = replace(guards, rest=0, per_source=None)
    if scored.active and not strategy.need:
        raise BadInput(f"{scored} with {name}, which scores nothing", "rest or per_source", "leave the guard out")
    if guards.of_ranks.active and not by_rank:
        found = f"{guards.of_ranks} with {name}, which draws or looks at all bags at once"
        raise BadInput(found, "a strategy that ranks bags, say entropy", "leave the guard out")
    if guards.positives is None:
        return
    found = f"guard.positives={guards.positives:g}"
    if not by_rank and not isinstance(strategy, HtGumbel):
        raise BadInput(f"{found} with {name}", "ht_gumbel, or a strategy that ranks bags", "leave the guard out")
    if policy.score == "memory" or policy.rescore:
        other = "score=memory" if policy.score == "memory" else f"rescore={policy.rescore}"
        raise BadInput(f"{found} with {other}, whose scores are older", "fresh scores", "leave one out")


def require_logits_only(strategy: Strategy) -> None:
    """Raise BadInput for a strategy that looks at more of a bag than its logits, which is all that is remembered."""
    if strategy.need > Need.LOGITS or strategy.learns_from_positives:
        found = f"score=memory with {type(strategy).__name__}, which looks at more than the pool's logits"
        raise BadInput(found, "a strategy of logits alone, say entropy or ht_gumbel", "use score=fresh")


def require_whole(name: str, number: object) -> None:
    """Raise BadInput unless `number` is an integer; None, say, would seed differently in every process."""
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
        raise BadInput(f"{name}={number!r}", "a whole number", f"correct {name}=")


def lacking_scores(finite: int, bags: int, k: int) -> BadInput:
    """The error of `bags` bags of which too few have finite scores."""
    return BadInput(f"{finite} bags with finite scores of {bags}", f"{k} at least", "look for NaN in bags, or lower k")


def check_version(version: int, epoch: int, staleness: int | None) -> None:
    """Raise BadInput unless weights of `version` may choose for `epoch`: not newer, at most `staleness` behind."""
    require_whole("epoch", epoch)
    require_whole("version", version)
    if epoch < 0:
        raise BadInput(f"epoch={epoch}", "0 or more", "count epochs from 0")
    if not epoch - (epoch if staleness is None else staleness) <= version <= epoch:
        least = "0" if staleness is None else f"{epoch - staleness}, a staleness of {staleness}"
        raise BadInput(
            f"weights of version {version} for epoch {epoch}", f"one from {least}, to {epoch}", "give newer weights"
        )
