"""A sampler given a table's path: the selections of the same bags in memory, versions, and errors."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from negsift.common.data.table.bags import open_pool, open_positives
from negsift.common.data.table.memory_use import streaming_bytes
from negsift.common.errors import BadData, BadInput
from negsift.common.guards import Guards
from negsift.common.types import Selection
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.strategies import STRATEGIES
from tests.unit.tables import Bags, as_table, negatives, random_bags, third_positive, write
from tests.unit.toys import BLOCK, MeanNet, assert_same, select, vector_model

COUNT, K = 90, 12
KINDS = ("full", "random", "entropy", "gradient_embedding", "badge", "kl_prob", "svm_margin")
BAGS, LABELS = random_bags(COUNT, seed=5), third_positive(COUNT)
POOL = [torch.from_numpy(bag) for bag in negatives(BAGS, LABELS)]
POSITIVES = [torch.from_numpy(bag.astype(np.float32)) for bag in BAGS[::3]]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    write(folder, as_table(BAGS, LABELS))
    return folder


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    write(tmp_path, as_table(BAGS, LABELS))
    return tmp_path


def grow(folder: Path, count: int = 60) -> Bags:
    more = random_bags(count, seed=6)
    write(folder, as_table(more, [[]] * count, first=1000), append=True)
    return more


def sampler(pool: Any, **more: Any) -> NegativeSampler:
    options = {"strategy": "entropy", "k": K, "target_label": "bird", "options": FleetConfig(block=BLOCK)} | more
    return NegativeSampler(pool, vector_model(), **options)


def k_of(name: str) -> int | None:
    return None if name == "full" else K


@pytest.mark.parametrize(("name", "shards"), [*((name, 3) for name in STRATEGIES), ("badge", 16)])
def test_a_table_is_the_same_pool_as_its_bags_in_memory(path: Path, name: str, shards: int) -> None:
    alone = select(POOL, vector_model(), name, k_of(name), shards=1, positives=POSITIVES)
    given = {"shards": shards, "positives": path, "target_label": "bird"}
    assert_same(select(str(path), vector_model(), name, k_of(name), **given), alone)  # type: ignore[arg-type]  # a path


@pytest.mark.parametrize("scope", [{}, {"candidates": 24}, {"rescore": 24}])
@pytest.mark.parametrize("disk_mb", [0, 1])
def test_a_table_that_streams_is_the_same_pool(path: Path, disk_mb: int, scope: dict[str, int]) -> None:
    least = -(-streaming_bytes(open_pool(path, "bird").row_index) >> 20) + 1
    tight = FleetConfig(block=BLOCK, pool_mb=least, disk_mb=disk_mb, cache_mb=0)
    with sampler(path, options=tight, **scope) as table, sampler(POOL, target_label=None, **scope) as memory:
        for seed in (1, 2, 3):
            weights = vector_model(seed=seed).state_dict()
            assert_same(table.select(weights, seed), memory.select(weights, seed))


def test_bags_that_are_appended_get_their_first_scores_in_turn(growing: Path) -> None:
    with sampler(growing, rescore=16) as one:
        weights = vector_model(seed=1).state_dict()
        before = len(one.pool)
        assert one.select(weights, 0).account.considered == before
        grow(growing, 30)
        one.refresh()
        considered = [one.select(weights, epoch).account.considered for epoch in range(1, 30)]
    assert considered == sorted(considered)
    assert (considered[-1], before + 30) == (len(one.pool), len(one.pool))


def test_a_users_network_gets_equal_bags_of_a_table_stacked(tmp_path: Path) -> None:
    bags = [np.resize(bag, (3, 6)) for bag in BAGS]
    write(tmp_path, as_table(bags, [[]] * COUNT))
    memory = [torch.from_numpy(bag.astype(np.float32)) for bag in bags]
    assert_same(select(tmp_path, MeanNet(), "badge", K), select(memory, MeanNet(), "badge", K))  # type: ignore[arg-type]  # a path


def test_a_users_network_for_ragged_table_bags_needs_collate(path: Path) -> None:
    with pytest.raises(BadData, match="bags of one shape; give collate="):
        select(path, MeanNet(), "margin", K, target_label="bird")  # type: ignore[arg-type]  # a path


def pad(bags: Sequence[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(bags), batch_first=True)


def test_collate_gets_the_bags_of_a_table(path: Path) -> None:
    one = select(path, MeanNet(), "margin", K, target_label="bird", collate=pad)  # type: ignore[arg-type]  # a path
    assert_same(one, select(POOL, MeanNet(), "margin", K, collate=pad))


def test_an_open_table_is_a_pool_as_well(path: Path) -> None:
    opened = select(open_pool(path, "bird"), vector_model(), "kl_prob", K, positives=open_positives(path, "bird"))
    assert_same(opened, select(POOL, vector_model(), "kl_prob", K, positives=POSITIVES))


def test_a_selection_gives_ids_and_bags(path: Path) -> None:
    with sampler(path) as one:
        chosen = one.select(vector_model().state_dict(), 0)
        names = one.pool.bag_id(chosen.index)  # type: ignore[attr-defined]  # a table's
        assert all(torch.equal(one.pool[int(place)], POOL[place]) for place in chosen.index)
    assert names == [[f"b{number}" for number in range(COUNT) if number % 3][place] for place in chosen.index]


def choose(one: NegativeSampler, epoch: int = 0) -> Selection:
    return one.select(vector_model().state_dict(), epoch)


@pytest.mark.parametrize(("name", "shards"), [*((name, 3) for name in KINDS), ("badge", 1)])
def test_appended_bags_take_part_from_the_next_round_on(growing: Path, name: str, shards: int) -> None:
    with sampler(growing, strategy=name, k=k_of(name), positives=POSITIVES, shards=shards) as one:
        grow(growing)
        unchanged = choose(one)
        assert (one.refresh(), unchanged.account.pool_version) == (2, 1)
        after = choose(one)
    with sampler(growing, strategy=name, k=k_of(name), positives=POSITIVES) as fresh:
        fresh.load_state_dict({"previous": unchanged.index})
        assert_same(after, choose(fresh))
    assert after.account.pool_version == 2


def test_a_round_under_way_ends_with_the_version_it_began_with(growing: Path) -> None:
    with sampler(growing) as one:
        weights = vector_model().state_dict()
        first, _ = one.submit(weights, 0), grow(growing)
        one.refresh()
        second = one.submit(weights, 1)
        assert (first.result().account.pool_version, second.result().account.pool_version) == (1, 2)


def test_siblings_share_a_version(growing: Path) -> None:
    with sampler(growing) as one:
        other = one.sibling("margin", k=5)
        grow(growing)
        one.refresh()
        assert choose(other).account.pool_version == 2
        assert len(other.pool) == len(POOL) + 60


def test_full_takes_in_all_that_was_appended(growing: Path) -> None:
    with sampler(growing, strategy="full", k=None) as one:
        grow(growing)
        one.refresh()
        assert len(choose(one).index) == len(POOL) + 60


def test_a_resumed_sampler_goes_on_with_the_version_it_had(growing: Path) -> None:
    with sampler(growing) as one:
        choose(one)
        state = one.state_dict()
    grow(growing)
    with sampler(growing) as again:
        again.load_state_dict(state)
        assert choose(again, 1).account.pool_version == 1


def test_bags_of_a_dataset_have_no_version(path: Path) -> None:
    with sampler(POOL, target_label=None) as one:
        assert choose(one).account.pool_version == 0
        with pytest.raises(BadInput, match="a pool that is no bag table; expected one given by its path or URI"):
            one.refresh()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pool": "nowhere"}, "no bag table at nowhere"),
        ({"target_label": "brid"}, "did you mean 'bird'"),
        ({"target_label": None}, "no target_label; expected one of bird, cat"),
        ({"pool": POOL}, "target_label='bird' with a pool that is no path"),
        ({"k": 1000}, "1000 negatives asked for; expected a whole number between 0 and 60"),
        ({"options": FleetConfig(pool_mb=1)}, "a budget of 1 MiB for decoded bags.*raise fleet.pool_mb"),
        ({"pool": POOL, "target_label": None, "positives": "there"}, "positives by path without target_label"),
    ],
)
def test_impossible_requests_are_reported_at_once(path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        sampler(**({"pool": path} | given))


def test_quotas_go_by_the_groups_of_a_table_and_of_its_new_versions(tmp_path: Path) -> None:
    groups = [None if bag % 7 == 0 else f"patient {bag % 4}" for bag in range(COUNT)]
    write(tmp_path, as_table(BAGS, LABELS, group_id=pa.array(groups, pa.string())))
    of_pool = [groups[bag] for bag in range(COUNT) if "bird" not in LABELS[bag]]
    weights = vector_model().state_dict()
    with sampler(tmp_path, guard=Guards(per_source=2), shards=3) as one:
        ranked = select(POOL, vector_model(), "entropy", len(POOL)).index
        taken, expected = Counter[str | None](), []
        for bag in ranked:
            taken[of_pool[bag]] += 1
            if of_pool[bag] is None or taken[of_pool[bag]] <= 2:
                expected.append(int(bag))
        chosen = one.select(weights, 0)
        assert chosen.index.tolist() == expected[:K]
        passed = list(ranked).index(expected[K - 1]) + 1 - K
        assert chosen.account.guarded == {"per_source": passed}
        more = pa.array(["another"] * 60, pa.string())
        write(tmp_path, as_table(random_bags(60, seed=6), [[]] * 60, first=1000, group_id=more), append=True)
        one.refresh()
        newer = one.select(weights, 1)
        assert sum(bag >= len(POOL) for bag in newer.index) <= 2


def test_a_table_without_groups_has_no_quotas(path: Path) -> None:
    with pytest.raises(BadInput, match="guard.per_source with a pool none of whose bags has a source; .*group_column"):
        sampler(path, guard=Guards(per_source=2))
