"""Kept scores against a dictionary of what was last said of each bag."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.errors import BadInput
from negsift.service.scoring.byte_limited_cache import ByteLimitedCache
from negsift.service.selection.score_table import ScoreTable

POOL = 12
ROUNDS = st.lists(st.dictionaries(st.integers(0, POOL - 1), st.integers(-3, 3)), max_size=6)


@given(ROUNDS, st.integers(0, POOL))
def test_the_best_are_those_of_a_dictionary(rounds: list[dict[int, int]], k: int) -> None:
    kept, plain = ScoreTable.none(POOL), dict[int, tuple[float, int]]()
    for version, scores in enumerate(rounds):
        index = np.array(sorted(scores), dtype=np.int64)
        kept = kept.folded(index, np.array([float(scores[at]) for at in sorted(scores)]), version)
        plain |= {at: (float(score), version) for at, score in scores.items()}
    now, order = len(rounds), sorted(plain, key=lambda at: (-plain[at][0], at))[:k]
    if len(plain) < k:
        with pytest.raises(BadInput, match=rf"{len(plain)} bags with finite scores of {POOL}; expected {k} at least"):
            kept.best(k, now)
        return
    index, score, ages = kept.best(k, now)
    assert index.tolist() == order
    assert score.tolist() == [plain[at][0] for at in order]
    assert ages.oldest == max((now - version for _, version in plain.values()), default=0)
    assert ages.chosen == pytest.approx(np.mean([now - plain[at][1] for at in order]) if k else 0.0)
    assert kept.considered == len(plain)


def test_folding_leaves_the_earlier_scores_as_they_were() -> None:
    before = ScoreTable.none(3)
    before.folded(np.array([1]), np.array([2.0]), 0)
    assert before.considered == 0


@pytest.mark.parametrize("pool", [1, 3, 5])
def test_a_pool_of_another_size_keeps_the_scores_it_has(pool: int) -> None:
    kept = ScoreTable.none(3).folded(np.arange(3), np.array([1.0, 2.0, 3.0]), 4).resized(pool)
    assert kept.score[: min(3, pool)].tolist() == [1.0, 2.0, 3.0][:pool]
    assert len(kept.score) == len(kept.version) == pool
    assert kept.considered == min(3, pool)


def test_a_state_is_taken_up_again() -> None:
    kept = ScoreTable.none(3).folded(np.array([2]), np.array([1.5]), 7)
    again = ScoreTable.of(kept.state(), pool=3)
    np.testing.assert_array_equal(again.score, kept.score)
    np.testing.assert_array_equal(again.version, kept.version)


def test_scores_of_later_weights_stay() -> None:
    """A result that is asked for after that of a later epoch doesn't undo it."""
    kept = ScoreTable.none(3).folded(np.array([0, 1]), np.array([5.0, 6.0]), 4)
    kept = kept.folded(np.array([1, 2]), np.array([9.0, 7.0]), 3)
    assert kept.score.tolist() == [5.0, 6.0, 7.0]
    assert kept.version.tolist() == [4, 4, 3]
    assert kept.best(3, 3)[2].oldest == 0


def test_the_state_of_a_larger_pool_is_refused() -> None:
    with pytest.raises(BadInput, match="kept scores of 3 bags; expected 2 at most; give this pool's state"):
        ScoreTable.of(ScoreTable.none(3).state(), pool=2)


def test_values_are_kept_within_the_budget_and_let_go_of_by_layer() -> None:
    kept = ByteLimitedCache(10)
    kept.keep("a", 1, "one", 6)
    kept.keep("b", 1, "too large", 5)
    kept.keep("b", 2, "two", 4)
    assert (kept.find("a", 1), kept.find("b", 1), kept.find("b", 2), kept.size_bytes) == ("one", None, "two", 10)
    kept.keep("b", 2, "two again", 3)
    kept.forget("a")
    assert (kept.find("a", 1), kept.find("b", 2), kept.size_bytes) == (None, "two again", 3)
    kept.clear()
    assert (kept.find("b", 2), kept.size_bytes) == (None, 0)
