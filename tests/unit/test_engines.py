"""Other ways to seed: distinct positions, exact scores; the sequential loop against whole numbers, FAISS mapped back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from negsift.common.errors import BadInput
from negsift.common.rng import stream_key
from negsift.service.kmeanspp import engines
from negsift.service.kmeanspp.engines import ENGINES, sequential
from negsift.service.kmeanspp.point_pool import SeedingSpec
from negsift.service.kmeanspp.points import Points
from tests.unit.common.test_rng import splitmix64
from tests.unit.test_race import heavy_tailed, points_of

ROWS = st.integers(1, 40).flatmap(lambda count: arrays(np.int64, (count, 3), elements=st.integers(-9, 9)))


def draw(weights: list[int], share: float) -> int:
    """The first row at which the running sum reaches `share` of the whole."""
    threshold, running = share * float(sum(weights)), 0
    for row, weight in enumerate(weights):
        running += weight
        if running >= threshold:
            return row
    raise AssertionError("a share above 1")


def naive(rows: np.ndarray, index: list[int], wanted: SeedingSpec) -> tuple[list[int], int]:
    """The positions of sequential D² sampling in whole numbers, and how many only fill."""
    key = stream_key(wanted.seed, "badge", wanted.epoch)
    norms = [int(norm) for norm in (rows**2).sum(1)]
    chosen = [norms.index(max(norms))]
    while len(chosen) < min(wanted.count, len(rows)):
        weights = [int(gap) for gap in ((rows[:, None] - rows[None, chosen]) ** 2).sum(2).min(1)]
        if not sum(weights):
            break
        chosen.append(draw(weights, splitmix64(key, len(chosen))))
    fill_key = stream_key(wanted.seed, "badge-fill", wanted.epoch)
    free = sorted(set(range(len(rows))) - set(chosen), key=lambda row: splitmix64(fill_key, index[row]))
    missing = min(wanted.count, len(rows)) - len(chosen)
    return [index[row] for row in chosen + free[:missing]], missing


@given(rows=ROWS, share=st.floats(0.0, 1.0), epoch=st.integers(0, 3))
def test_the_sequential_engine_is_naive_sampling(rows: np.ndarray, share: float, epoch: int) -> None:
    points, wanted = points_of(rows), SeedingSpec(max(1, round(share * len(rows))), 0, epoch)
    found = sequential(points, wanted)
    assert (found.index.tolist(), found.filled) == naive(rows, points.index.tolist(), wanted)


@pytest.mark.parametrize("factors", [1, 2])
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_gives_distinct_positions_and_their_squared_distances(name: str, factors: int) -> None:
    rows = heavy_tailed(200, 4, seed=0) >> 8
    points = points_of(rows)
    if factors == 2:
        points = Points(points.index, ((rows[:, :2] >> 4).astype(np.float32), rows[:, 2:].astype(np.float32)))
    found = ENGINES[name](points, SeedingSpec(50, 1, 2))
    assert len(set(found.index.tolist())) == 50
    assert found.filled == 0
    matrix = engines._product(points).astype(np.float64)[(found.index - 5) // 3]
    gaps = [((matrix[:at] - matrix[at]) ** 2).sum(1).min() for at in range(1, 50)]
    assert found.score.tolist() == [(matrix[0] ** 2).sum(), *gaps]


@pytest.mark.parametrize("wanted", [0, 1, 6, 9])
@pytest.mark.parametrize("rows", [np.zeros((6, 2)), np.ones((6, 2)), np.eye(6)[[0, 1, 0, 1, 0, 2]], np.zeros((0, 2))])
@pytest.mark.parametrize("name", ENGINES)
def test_duplicates_fill_whichever_the_engine(name: str, rows: np.ndarray, wanted: int) -> None:
    found = ENGINES[name](points_of(rows), SeedingSpec(wanted, 0, 0))
    assert len(set(found.index.tolist())) == len(found.index) == len(found.score) == min(wanted, len(rows))
    distinct = len(np.unique(rows[(found.index - 5) // 3], axis=0)) if len(found.index) else 0
    assert found.filled >= len(found.index) - max(distinct, 1) if len(found.index) else not found.filled


@pytest.mark.parametrize("name", ["faiss", "faiss_afkmc2"])
def test_faiss_draws_anew_with_another_epoch_and_the_same_again(name: str) -> None:
    points = points_of(heavy_tailed(300, 4, seed=0))
    again, once, other = (ENGINES[name](points, SeedingSpec(40, 0, epoch)).index.tolist() for epoch in (0, 0, 1))
    assert again == once != other


def test_engines_that_build_the_matrix_refuse_one_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_MOST_BYTES", 1 << 10)
    with pytest.raises(BadInput, match=r"gradients as one matrix; expected at most .*strategy\.engine=exact"):
        ENGINES["faiss"](points_of(heavy_tailed(300, 4, seed=0)), SeedingSpec(5, 0, 0))
