"""Processes killed in the middle of a round: the selection is the undisturbed one, bit for bit."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import ray
from ray import cloudpickle

from negsift.common.account import RecoveryCounts
from negsift.common.arrays import Floats, Index
from negsift.common.data.bagset import BagBatch, BagSet
from negsift.common.models.bag import BagClassifier
from negsift.common.types import Embedded, Picked, Round, Selection
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.kmeanspp.d2_sampling import d2_sample
from negsift.service.kmeanspp.point_pool import PointPool
from negsift.service.kmeanspp.queries import Answer, PointQuery
from negsift.service.kmeanspp.seeding import SeedingSpec
from negsift.service.points.bag_points import PointsSpec
from negsift.service.strategies import STRATEGIES
from negsift.service.strategies.badge import Badge
from negsift.service.strategies.base import PoolView, Prepared
from negsift.service.strategies.full import Full
from negsift.service.strategies.random import Random
from tests.cluster.moments import LastBadge, await_calm, die_once
from tests.unit.toys import MeanNet, vectors

K, EPOCH, SEED, DEADLINE_S = 25, 2, 5, 120.0
QUICK, SLOW = ("entropy", "badge", "svm_margin"), pytest.mark.slow
pytestmark = pytest.mark.usefixtures("local_ray")
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def assert_same(one: Selection, other: Selection) -> None:
    np.testing.assert_array_equal(one.index, other.index)
    np.testing.assert_array_equal(one.score, other.score)
    assert one.version == other.version


@dataclass(frozen=True)
class DeadlyBags(BagSet):
    """Bags whose reading kills the scorer, once."""

    marker: Path = Path()

    def gather(self, index: Index) -> BagBatch:
        die_once(self.marker)
        return super().gather(index)


@dataclass(frozen=True)
class DeadlyRandom(Random):
    marker: Path = Path()

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        die_once(self.marker)
        return super().score(embedded, prepared, round)


@dataclass(frozen=True)
class DeadlyFull(Full):
    marker: Path = Path()

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        die_once(self.marker)
        return super().score(embedded, prepared, round)


class KillingPool:
    """A pool of points that kills a scorer just before one of its questions."""

    def __init__(self, pool: PointPool, before: int) -> None:
        self._pool, self._left = pool, before

    @property
    def restarts(self) -> int:
        return self._pool.restarts

    def ask(self, query: PointQuery[Answer]) -> Sequence[Answer]:
        self._left -= 1
        if self._left == 0:
            name = next(name for name in ray.util.list_named_actors() if name.startswith("scorer-0-"))
            patient = ray.get_actor(name).status.options(max_task_retries=-1)  # it may be back only just now
            os.kill(ray.get(patient.remote(), timeout=DEADLINE_S).pid, signal.SIGKILL)
        return self._pool.ask(query)


@dataclass(frozen=True)
class DeadlyBadge(Badge):
    before: int = 1

    def pick(self, view: PoolView, prepared: Prepared, round: Round) -> Picked:
        points = view.points(PointsSpec(self.embedding_spec(round)))
        pool = KillingPool(points.pool, self.before)
        return points.picked(d2_sample(pool, SeedingSpec(round.k, round.seed, round.epoch)))


@pytest.fixture(scope="module")
def pair(
    bags: tuple[BagSet, BagSet], model: BagClassifier, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[NegativeSampler, Path]]:
    """A sampler on two scorers, one of which dies in the middle of a round whenever the marker is gone."""
    marker = tmp_path_factory.mktemp("deadly") / "died"
    marker.touch()
    pool = DeadlyBags(*(getattr(bags[0], field.name) for field in fields(bags[0])), marker=marker)
    uncached = FleetConfig(cache_mb=0, held_mb=0)
    with NegativeSampler(pool, model, k=K, shards=2, positives=bags[1], fleet="ray", options=uncached) as sampler:
        yield sampler, marker


@pytest.fixture
def deadly(pair: tuple[NegativeSampler, Path], model: BagClassifier) -> tuple[NegativeSampler, Path]:
    """The same, with both scorers at work."""
    await_calm(pair[0], model.state_dict())
    return pair


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=SLOW) for name in STRATEGIES])
def test_a_scorer_killed_in_a_round_changes_no_picks(
    name: str, deadly: tuple[NegativeSampler, Path], model: BagClassifier, locally: dict[str, Selection]
) -> None:
    sampler, marker = deadly
    strategy = {"random": DeadlyRandom(marker=marker), "full": DeadlyFull(marker=marker)}.get(name, name)
    other = sampler.sibling(strategy, k=None if name == "full" else K, seed=SEED)
    marker.unlink()
    selection = other.select(model.state_dict(), EPOCH)
    assert_same(selection, locally[name])
    assert marker.exists()
    assert selection.account.recovery.any


@pytest.mark.parametrize("before", [3, *(pytest.param(query, marks=SLOW) for query in (1, 2, 4, 5))])
def test_a_scorer_killed_between_race_rounds_changes_no_picks(
    before: int, deadly: tuple[NegativeSampler, Path], model: BagClassifier, locally: dict[str, Selection]
) -> None:
    selection = deadly[0].sibling(DeadlyBadge(before=before), k=K, seed=SEED).select(model.state_dict(), EPOCH)
    assert_same(selection, locally["badge"])
    assert selection.account.recovery.any


def test_failures_before_the_coordinators_own_are_counted_too(
    deadly: tuple[NegativeSampler, Path], model: BagClassifier, locally: dict[str, Selection], tmp_path: Path
) -> None:
    deadly[1].unlink()
    doomed = deadly[0].sibling(LastBadge(marker=tmp_path / "died"), k=K, seed=SEED)
    selection = doomed.select(model.state_dict(), EPOCH)
    assert_same(selection, locally["badge"])
    assert (selection.account.recovery.retries, selection.account.recovery.coordinator) == (1, 1)
    again = deadly[0].sibling("badge", k=K, seed=SEED).select(model.state_dict(), EPOCH)
    assert selection.account.recovery.restarts + again.account.recovery.restarts == 1


@dataclass(frozen=True)
class DeadlyPool(BagSet):
    """Bags whose arrival kills the scorer that is being built, once."""

    marker: Path = Path()

    def __setstate__(self, state: Mapping[str, object]) -> None:
        self.__dict__.update(state)
        die_once(self.marker)


def test_a_scorer_killed_while_it_is_built_is_built_again(
    bags: tuple[BagSet, BagSet], model: BagClassifier, locally: dict[str, Selection], tmp_path: Path
) -> None:
    pool = DeadlyPool(*(getattr(bags[0], field.name) for field in fields(bags[0])), marker=tmp_path / "died")
    options = FleetConfig(cpus_per_shard=0.5)
    with NegativeSampler(
        pool, model, strategy="entropy", k=K, seed=SEED, shards=2, fleet="ray", options=options
    ) as built:
        selection = built.select(model.state_dict(), EPOCH)
    assert pool.marker.exists()
    assert_same(selection, locally["entropy"])
    assert selection.account.recovery == RecoveryCounts(restarts=1)


class Unmovable(MeanNet):
    """Fails where a scorer brings it to its device."""

    def _apply(self, *given: object, **more: object) -> NoReturn:
        raise LookupError("a bug of the user's")


def test_a_bug_in_building_is_raised_at_once() -> None:
    options = FleetConfig(cpus_per_shard=0.5, start_s=600.0)
    with pytest.raises(LookupError, match="a bug of the user's"):
        NegativeSampler(vectors([3] * 9), Unmovable(), strategy="entropy", k=3, shards=1, fleet="ray", options=options)


def test_a_coordinator_killed_in_a_round_changes_no_picks(
    deadly: tuple[NegativeSampler, Path], model: BagClassifier, locally: dict[str, Selection], tmp_path: Path
) -> None:
    doomed = LastBadge(marker=tmp_path / "died")
    selection = deadly[0].sibling(doomed, k=K, seed=SEED).select(model.state_dict(), EPOCH)
    assert doomed.marker.exists()
    assert_same(selection, locally["badge"])
    assert selection.account.recovery.coordinator == 1
    again = deadly[0].sibling("badge", k=K, seed=SEED).select(model.state_dict(), EPOCH)
    assert again.account.recovery.coordinator == 0
