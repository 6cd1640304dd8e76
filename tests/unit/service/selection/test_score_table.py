"""Kept scores against a dictionary of each bag's last score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.errors import BadInput
from negsift.service.selection.score_table import ScoreTable

POOL = 12
ROUNDS = st.lists(st.dictionaries(st.integers(0, POOL - 1), st.integers(-3, 3)), max_size=6)


@given(ROUNDS, st.integers(0, POOL))
def test_the_best_are_those_of_a_dictionary(rounds: list[dict[int, int]], k: int) -> None:
    kept, plain = ScoreTable.empty(POOL), dict[int, tuple[float, int]]()
    for version, scores in enumerate(rounds):
        index = np.array(sorted(scores), dtype=np.int64)
        kept = kept.updated(index, np.array([float(scores[at]) for at in sorted(scores)]), version)
        plain |= {at: (float(score), version) for at, score in scores.items()}
    now, order = len(rounds), sorted(plain, key=lambda at: (-plain[at][0], at))[:k]
    if len(plain) < k:
        with pytest.raises(BadInput, match=rf"{len(plain)} bags with finite scores of {POOL}; expected {k} at least"):
            kept.best(k)
        return
    index, score = kept.best(k)
    ages = kept.ages(index, now)
    assert index.tolist() == order
    assert score.tolist() == [plain[at][0] for at in order]
    assert ages.oldest == max((now - version for _, version in plain.values()), default=0)
    assert ages.chosen == pytest.approx(np.mean([now - plain[at][1] for at in order]) if k else 0.0)
    assert kept.considered == len(plain)


def test_folding_leaves_the_earlier_scores_as_they_were() -> None:
    before = ScoreTable.empty(3)
    before.updated(np.array([1]), np.array([2.0]), 0)
    assert before.considered == 0


@pytest.mark.parametrize("pool", [1, 3, 5])
def test_a_pool_of_another_size_keeps_the_scores_it_has(pool: int) -> None:
    kept = ScoreTable.empty(3).updated(np.arange(3), np.array([1.0, 2.0, 3.0]), 4).resized(pool)
    assert kept.score[: min(3, pool)].tolist() == [1.0, 2.0, 3.0][:pool]
    assert len(kept.score) == len(kept.version) == pool
    assert kept.considered == min(3, pool)


def test_a_state_is_taken_up_again() -> None:
    kept = ScoreTable.empty(3).updated(np.array([2]), np.array([1.5]), 7)
    again = ScoreTable.from_state(kept.state(), pool=3)
    np.testing.assert_array_equal(again.score, kept.score)
    np.testing.assert_array_equal(again.version, kept.version)


def test_scores_of_later_weights_stay() -> None:
    """A result that is asked for after that of a later epoch doesn't undo it."""
    kept = ScoreTable.empty(3).updated(np.array([0, 1]), np.array([5.0, 6.0]), 4)
    kept = kept.updated(np.array([1, 2]), np.array([9.0, 7.0]), 3)
    assert kept.score.tolist() == [5.0, 6.0, 7.0]
    assert kept.version.tolist() == [4, 4, 3]
    assert kept.ages(np.arange(3), 3).oldest == 0


def test_the_state_of_a_larger_pool_is_refused() -> None:
    with pytest.raises(BadInput, match="kept scores of 3 bags; expected 2 at most; give this pool's state"):
        ScoreTable.from_state(ScoreTable.empty(3).state(), pool=2)
