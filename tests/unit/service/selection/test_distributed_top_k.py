"""Top-k in two steps: the same k however shards are cut and whatever is sent first, and few rows on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import negsift.service.scoring.top_k_sample
import negsift.service.selection.distributed_top_k
from negsift.common.types import Candidates
from negsift.service.config import FleetConfig
from negsift.service.scoring.requests import TopK
from negsift.service.scoring.top_k_sample import TopKRequest, TopKSample
from negsift.service.selection.distributed_top_k import distributed_top_k, first_rows
from negsift.service.strategies.entropy import Entropy
from negsift.service.top_k import top_k
from tests.unit.service.selection.test_round_policy import BY_SCORE, CASES, sampler
from tests.unit.toys import BLOCK, a_round, assert_same

SCORES = st.lists(st.integers(-4, 4), max_size=60)


class Shards:
    """Scores by shard, as a fleet; tells the rows it sent."""

    def __init__(self, parts: list[list[float]], restarted: bool = False) -> None:
        starts = np.cumsum([0, *map(len, parts)])
        self.parts = [
            Candidates(np.arange(start, start + len(part)), np.array(part, dtype=np.float64), len(part) + 1, 1)
            for start, part in zip(starts, parts, strict=False)
        ]
        self.shards, self.sent, self._restarted = len(parts), list[int](), restarted

    def ask(self, request: TopK) -> list[TopKSample]:
        round, portion, answers = request.round, request.request, []
        for part in self.parts:
            rows = top_k(part.index, part.score, round.k)
            answers.append(portion.of(Candidates(part.index[rows], part.score[rows], part.seen, part.dropped)))
        if self._restarted and not self.sent:  # the last shard's share was answered in two parts
            whole = self.parts[-1]
            halves = [slice(0, len(whole.index) // 2), slice(len(whole.index) // 2, None)]
            answers[-1:] = [self._piece(whole, half, round.k, portion) for half in halves]
        self.sent.append(sum(len(answer.weight) for answer in answers))
        return answers

    def _piece(self, whole: Candidates, half: slice, k: int, portion: TopKRequest) -> TopKSample:
        index, score = whole.index[half], whole.score[half]
        rows = top_k(index, score, k)
        return portion.of(Candidates(index[rows], score[rows], len(index), 0))


@given(
    parts=st.lists(SCORES, min_size=1, max_size=6),
    k=st.integers(0, 80),
    spare=st.integers(-8, 4),
    cut=st.booleans(),
    marks=st.integers(1, 9),
)
def test_the_best_are_those_of_all_scores_together(
    parts: list[list[int]], k: int, spare: int, cut: bool, marks: int
) -> None:
    fleet = Shards([[float(score) for score in part] for part in parts], cut)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(negsift.service.selection.distributed_top_k, "_AT_ONCE", -1)
        patch.setattr(negsift.service.selection.distributed_top_k, "_SPARE", spare / 2)
        patch.setattr(negsift.service.scoring.top_k_sample, "MARKS", marks)
        found = distributed_top_k(fleet, Entropy(), {}, a_round(k))  # type: ignore[arg-type]  # a fleet of numbers
    score = np.array([score for part in parts for score in part], dtype=np.float64)
    expected = top_k(np.arange(len(score)), score, k)
    assert found.candidates.index.tolist() == expected.tolist()
    assert found.candidates.score.tolist() == score[expected].tolist()
    assert found.candidates.seen - found.candidates.dropped == len(score)
    assert found.traffic.points == sum(fleet.sent)
    assert found.traffic.rounds == len(fleet.sent) <= 2


def test_random_shards_send_few_rows_and_sorted_ones_at_most_3k() -> None:
    random, shards, k = np.random.default_rng(0), 64, 20_000
    scores = random.normal(size=64 * 4000)
    for order, most in ((scores, 1.5 * k), (np.sort(scores), 3 * k)):
        fleet = Shards(np.split(order, shards))  # type: ignore[arg-type]  # arrays do, too
        found = distributed_top_k(fleet, Entropy(), {}, a_round(k))  # type: ignore[arg-type]  # as above
        np.testing.assert_array_equal(found.candidates.index, top_k(np.arange(len(order)), order, k))
        assert sum(fleet.sent) < most < shards * k / 10


@pytest.mark.parametrize(
    ("k", "shards", "first"), [(0, 9, 0), (100, 4, 100), (1 << 16, 1, 1 << 16), (40_000, 2, 20_566)]
)
def test_the_first_rows_is_all_where_that_is_little(k: int, shards: int, first: int) -> None:
    assert first_rows(k, shards) == first


@pytest.mark.parametrize(("case", "name"), [*(("vectors", name) for name in BY_SCORE), ("shared", "entropy")])
def test_picks_in_two_steps_are_those_in_one(name: str, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given, options = CASES[case](), FleetConfig(block=BLOCK, cache_mb=0)
    with sampler(given, name, k=15, shards=1) as one:
        expected = one.select(given[2].state_dict(), 2)
    monkeypatch.setattr(negsift.service.selection.distributed_top_k, "_AT_ONCE", 0)
    monkeypatch.setattr(negsift.service.selection.distributed_top_k, "_SPARE", -3.0)
    monkeypatch.setattr(negsift.service.scoring.top_k_sample, "MARKS", 2)
    for shards in (2, 5):
        with sampler(given, name, k=15, shards=shards, options=options) as several:
            found = several.select(given[2].state_dict(), 2)
        assert_same(found, expected)
        assert found.account.traffic.rounds == 2
        assert found.account.scored == expected.account.scored
