"""Guards against loops over the whole pool, on any number of shards, and what they refuse."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from negsift.common.account import Account
from negsift.common.arrays import Index
from negsift.common.errors import BadInput
from negsift.common.guards import Guards
from negsift.common.rng import stream_key, uniform_keys
from negsift.common.round_policy import RoundPolicy
from negsift.common.types import Selection
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from negsift.service.selection.guards import RankGuards, source_numbers
from tests.unit.toys import BLOCK, a_round, assert_same, select, vector_model, vectors

POOL, K, SEED = 60, 5, 3
BAGS, POSITIVES = vectors([3] * POOL), vectors([2] * 9, seed=1)
SOURCES = [f"patient {bag % 7}" if bag % 5 else None for bag in range(POOL)]


class Sourced(list):  # type: ignore[type-arg]  # of tensors
    """Bags that know their sources."""

    def source_id(self, index: Index) -> list[str | None]:
        return [SOURCES[bag] for bag in index]


def by_definition(
    ranked: Sequence[int], guards: Guards, k: int, resting: set[int], source: Sequence[object], draw: tuple[int, int]
) -> list[int] | None:
    """The choice among bags from best to worst; None if too few are left."""
    left = [bag for bag in ranked[int(guards.skip * len(ranked)) :] if bag not in resting]
    if guards.per_source:
        before, whole = [], left
        for place, bag in enumerate(whole):
            same = sum(source[other] == source[bag] for other in whole[:place])
            if same < guards.per_source or source[bag] is None:
                before.append(bag)
        left = before
    if len(left) < k:
        return None
    window = left[: k * guards.window]
    keys = uniform_keys(stream_key(draw[0], "window", draw[1]), np.array(window, dtype=np.int64))
    drawn = sorted(window, key=lambda bag: -keys[window.index(bag)])[:k] if guards.window > 1 else window
    return [bag for bag in window if bag in drawn]


@given(
    st.permutations(range(20)),
    st.builds(
        Guards, skip=st.sampled_from([0.0, 0.1, 0.33]), window=st.integers(1, 4), rest=st.integers(0, 2),
        per_source=st.none() | st.integers(1, 4),
    ),
    st.integers(0, 8),
    st.sets(st.integers(0, 19), max_size=6),
    st.lists(st.integers(0, 3), min_size=20, max_size=20),
)  # fmt: skip
def test_the_choice_is_that_of_loops(
    ranked: list[int], guards: Guards, k: int, resting: set[int], source: list[int]
) -> None:
    assume(guards.active)
    resting = resting if guards.rest else set()
    score = -np.arange(20, dtype=np.float64)
    whole = Selection(np.array(ranked), score, np.ones(20), 0, account=Account(considered=20))
    round, recent = a_round(k, epoch=4, seed=SEED, pool=20), [np.array(sorted(resting), dtype=np.int64)]
    rank_guards = RankGuards(guards, np.array(source))
    expected = by_definition(ranked, guards, k, resting, source, (SEED, 4))
    needed = max(k, rank_guards.needed(round, len(resting)))
    asked = Selection(whole.index[:needed], score[:needed], np.ones(needed), 0, account=whole.account)
    for given_ranks in (whole, asked):  # all of them, and as many as the round would ask for
        if expected is None:
            with pytest.raises(BadInput, match=f"bags left by .*guard.*; expected {k} at least; loosen it"):
                rank_guards.choose(given_ranks, round, recent)
            continue
        chosen = rank_guards.choose(given_ranks, round, recent)
        assert chosen.index.tolist() == expected
        assert chosen.score.tolist() == [score[ranked.index(bag)] for bag in expected]
        assert chosen.account.guarded.keys() == guards.active.keys()
        if guards.window == 1 and k:  # every rank down to the last one chosen was chosen or removed
            assert sum(chosen.account.guarded.values()) + k == ranked.index(expected[-1]) + 1


GUARDS = {
    "skip": Guards(skip=0.2), "window": Guards(window=3), "rest": Guards(rest=2), "per_source": Guards(per_source=1),
    "all": Guards(skip=0.1, window=2, positives=0.5, rest=2, per_source=3), "positives": Guards(positives=0.25),
}  # fmt: skip


def sampler(guards: Guards, strategy: str = "entropy", **options: Any) -> NegativeSampler:  # Any: NegativeSampler's
    given = {"k": K, "shards": 2, "options": FleetConfig(block=BLOCK), "positives": POSITIVES} | options
    return NegativeSampler(Sourced(BAGS), vector_model(), strategy=strategy, seed=SEED, guard=guards, **given)


def odds(bags: Sequence[Any]) -> list[float]:
    model = vector_model().eval()
    return [float((logits := model(bag[None]).double().detach()[0])[1] - logits[0]) for bag in bags]


@pytest.mark.parametrize("strategy", ["entropy", "kl_prob"])
@pytest.mark.parametrize("name", GUARDS)
def test_rounds_are_those_of_loops_on_any_shards(name: str, strategy: str) -> None:
    guards, limit = GUARDS[name], np.inf
    if guards.positives is not None:
        limit = sorted(odds(POSITIVES))[int(np.ceil(guards.positives * len(POSITIVES))) - 1]
    looks = odds(BAGS)
    ranks = select(BAGS, vector_model(), strategy, POOL, positives=POSITIVES, seed=SEED).index.tolist()
    allowed = [bag for bag in ranks if looks[bag] <= limit]
    skipped = int(guards.skip * POOL)
    recent: list[list[int]] = []
    with sampler(guards, strategy) as two, sampler(guards, strategy, shards=7) as seven:
        for epoch in range(4):
            resting = {bag for bags in recent[-guards.rest :] for bag in bags} if guards.rest else set()
            plain = Guards(window=guards.window, rest=guards.rest, per_source=guards.per_source)
            expected = by_definition(allowed[skipped:], plain, K, resting, SOURCES, (SEED, epoch))
            found = two.select(vector_model().state_dict(), epoch)
            assert found.index.tolist() == expected
            assert_same(seven.select(vector_model().state_dict(), epoch), found)
            assert found.account.guarded.get("positives", 0) == POOL - len(allowed)
            assert found.account.guarded.get("skip", 0) == skipped
            assert found.account.considered == POOL
            recent.append(found.index.tolist())


@pytest.mark.parametrize("shards", [1, 3, 7])
@pytest.mark.parametrize(
    ("strategy", "policy", "guards"),
    [
        ("random", {}, Guards(rest=3, per_source=2)),
        ("walk", {}, Guards(rest=1, per_source=1)),
        ("entropy", {"candidates": 40}, Guards(skip=0.1, rest=2, positives=0.9)),
        ("entropy", {"rescore": 16}, Guards(skip=0.1, rest=2, window=2)),
        ("entropy", {"random_rounds": 2}, Guards(skip=0.5, rest=2, positives=0.5)),
        ("ht_gumbel", {}, Guards(positives=0.5)),
        ("gradient_embedding", {"every": 2}, Guards(rest=1)),
    ],
)
def test_picks_are_the_same_on_other_shards_and_after_a_restart(
    strategy: str, policy: dict[str, Any], guards: Guards, shards: int
) -> None:
    weights = [vector_model(seed=epoch).state_dict() for epoch in range(5)]
    with sampler(guards, strategy, **policy) as one, sampler(guards, strategy, shards=shards, **policy) as other:
        early = [one.select(weights[epoch], epoch) for epoch in range(3)]
        other.load_state_dict(one.state_dict())
        for epoch in (3, 4):
            found = one.select(weights[epoch], epoch)
            assert_same(other.select(weights[epoch], epoch), found)
            assert not guards.rest or not set(found.index) & set(early[-1].index) or epoch == 4
            assert found.account.guarded.keys() == guards.active.keys()


def test_a_state_with_more_rests_than_a_task_wants_is_taken_as_far() -> None:
    weights = vector_model().state_dict()
    with sampler(Guards(rest=3)) as one, sampler(Guards(rest=1)) as two, sampler(Guards(skip=0.1)) as three:
        picks = [set(one.select(weights, epoch).index) for epoch in range(3)]
        skipping = three.select(weights, 3)
        for other in (two, three):
            other.load_state_dict(one.state_dict())
        assert set(two.select(weights, 3).index) == picks[0]
        assert_same(three.select(weights, 3), skipping)


def test_guards_of_scores_leave_rounds_at_random_alone() -> None:
    with sampler(Guards(skip=0.5, window=4, positives=0.1, rest=1), random_rounds=1) as one, sampler(Guards()) as two:
        chosen = one.select(vector_model().state_dict(), 0)
        assert chosen.account.guarded == {"rest": 0}
        plain = two.sibling("random", k=K, seed=SEED).select(vector_model().state_dict(), 0)
        assert_same(chosen, plain)


def test_ht_gumbel_weighs_the_bags_that_positives_leaves() -> None:
    """As over a pool of these bags alone; hashes go by position, so the same round has other draws there."""
    looks, limit = np.array(odds(BAGS)), sorted(odds(POSITIVES))[4]
    with sampler(Guards(positives=0.5), "ht_gumbel", k=20) as one:
        for epoch in range(3):
            chosen = one.select(vector_model().state_dict(), epoch)
            assert (looks[chosen.index] <= limit).all()
            assert chosen.weight.mean() == pytest.approx(1)
            assert chosen.account.guarded == {"positives": int((looks > limit).sum())}


def test_memory_rounds_have_the_ranks_guards() -> None:
    seen = np.random.default_rng(0).normal(size=(POOL, 2)).astype(np.float32)
    guards = Guards(skip=0.1, rest=1)
    order = sorted(range(POOL), key=lambda bag: (abs(np.float64(seen[bag, 1]) - seen[bag, 0]), bag))
    with sampler(guards, score="memory") as one:
        one.remember(np.arange(POOL), seen, 0)
        picks = [one.select(vector_model().state_dict(), epoch) for epoch in range(3)]
    assert [chosen.index.tolist() for chosen in picks] == [order[6:11], order[11:16], order[6:11]]
    assert [chosen.account.ages.chosen for chosen in picks] == [0, 1, 2]


def test_rests_in_flight_are_those_of_earlier_results() -> None:
    weights = vector_model().state_dict()
    with sampler(Guards(rest=2)) as one:
        pending = [one.submit(weights, epoch, 0) for epoch in range(3)]
        picks = [selection.result().index for selection in pending]
    assert len(set(np.concatenate(picks))) == 3 * K


REFUSED: dict[str, tuple[Guards, dict[str, Any], str]] = {
    "ranks of badge": (Guards(rest=2), {"strategy": "badge"}, "guard.rest=2 with Badge, which draws or looks at all"),
    "ranks of a draw": (Guards(window=2), {"strategy": "ht_gumbel"}, "guard.window=2 with HtGumbel, which draws"),
    "points": (Guards(positives=0.5), {"strategy": "k_center"}, "guard.positives=0.5 with KCenter"),
    "no scores": (Guards(skip=0.1, rest=1), {"strategy": "random"}, "guard.skip=0.1 with Random, which scores nothing"),
    "positives at random": (Guards(positives=1), {"strategy": "walk"}, "guard.positives=1 with Walk"),
    "all bags": (Guards(rest=1), {"strategy": "full", "k": None}, "guard.rest=1 with Full, which chooses all bags"),
    "kept scores": (Guards(positives=0.5), {"rescore": 9}, "guard.positives=0.5 with rescore=9, whose scores are older"),
    "memory": (Guards(positives=0.5), {"score": "memory"}, "guard.positives=0.5 with score=memory"),
    "no positives": (Guards(positives=0.5), {"positives": None}, "no positives for guard.positives"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_guard_that_does_not_fit_is_refused_at_the_door(case: str) -> None:
    guards, options, said = REFUSED[case]
    with pytest.raises(BadInput, match=said):
        sampler(guards, **options)


@pytest.mark.parametrize(
    ("guards", "options", "said"),
    [
        (Guards(skip=0.95), {}, r"3 of 60 bags left by guard.skip=0.95; expected 5 at least; loosen it, or lower k"),
        (Guards(per_source=1), {"k": 25}, "19 of 60 bags left by guard.per_source=1; expected 25 at least"),
        (Guards(rest=2), {"k": 25}, "10 of 60 bags left by guard.rest=2; expected 25 at least"),
    ],
)
def test_guards_that_are_sure_to_leave_too_few_are_refused_at_the_door(
    guards: Guards, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        sampler(guards, **options)


@pytest.mark.parametrize(
    ("guards", "options", "said"),
    [
        (Guards(positives=0.0), {"k": 50}, "of 60 bags left by guard.positives=0; expected 50 at least"),
        (Guards(skip=0.5, positives=0.5, rest=1), {"k": 15}, "3 of 60 bags left by guard.skip=0.5, guard.rest=1; "),
        (
            Guards(rest=2),
            {"candidates": 8, "k": 8},
            "0 of 16 bags left by guard.rest=2; expected 8 at least; loosen it",
        ),
    ],
)
def test_a_round_that_guards_leave_too_few_is_an_error(guards: Guards, options: dict[str, Any], said: str) -> None:
    weights = vector_model().state_dict()
    with sampler(guards, **options) as one, pytest.raises(BadInput, match=said):
        [one.select(weights, 0) for _ in range(3)]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"skip": 1.0}, "guard.skip=1.0; expected 0 or more and below 1"),
        ({"window": 0}, "guard.window=0; expected 1 or more"),
        ({"positives": 1.5}, "guard.positives=1.5; expected a share between 0 and 1"),
        ({"positives": float("nan")}, "guard.positives=nan"),
        ({"rest": -1}, "guard.rest=-1; expected 0 or more"),
        ({"per_source": 0}, "guard.per_source=0; expected 1 or more"),
        ({"skip": True}, "guard.skip=True; expected a value of type float"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Guards(**values)


def test_a_policy_takes_guards_alone() -> None:
    with pytest.raises(BadInput, match="guard=0.5; expected a Guards"):
        RoundPolicy(guard=0.5)  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("pool", [BAGS, type("Nameless", (Sourced,), {"source_id": lambda self, index: [None] * 60})()])
def test_a_pool_without_sources_has_no_quotas(pool: Any) -> None:
    pool = pool or type(pool)(BAGS)
    with pytest.raises(BadInput, match="guard.per_source with a pool .* sources?; expected a bag table with group_id"):
        NegativeSampler(pool, vector_model(), k=K, guard=Guards(per_source=1))


def test_bags_without_a_source_are_their_own() -> None:
    numbers = source_numbers(Sourced(BAGS))
    for one in range(POOL):
        same = [other == one or SOURCES[other] == SOURCES[one] is not None for other in range(POOL)]
        assert (numbers == numbers[one]).tolist() == same


@pytest.mark.parametrize(
    "recent", [3, {"index": np.arange(3)}, {"index": np.arange(3), "end": np.array([2])},
               {"index": np.array([POOL]), "end": np.array([1])}, {"index": np.array([1, 1]), "end": np.array([2])}],
)  # fmt: skip
def test_a_state_with_other_rests_is_refused(recent: object) -> None:
    with sampler(Guards(rest=2)) as one:
        one.select(vector_model().state_dict(), 0)
        before = one.state_dict()
        with pytest.raises(BadInput, match="a state"):
            one.load_state_dict(before | {"recent": recent})
        assert one.state_dict()["recent"]["index"].tolist() == before["recent"]["index"].tolist()


def test_guards_name_themselves_in_messages() -> None:
    assert str(Guards(skip=0.5, per_source=3)) == "guard.skip=0.5, guard.per_source=3"
