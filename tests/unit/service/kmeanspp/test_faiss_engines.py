"""FAISS's seedings: distinct positions with exact scores, from vectors mapped back to rows."""

import numpy as np
import pytest

from negsift.common.errors import BadInput
from negsift.service.kmeanspp import faiss_engines
from negsift.service.kmeanspp.faiss_engines import ENGINES
from negsift.service.kmeanspp.points import Points
from negsift.service.kmeanspp.seeding import SeedingSpec
from tests.unit.seeding_pools import heavy_tailed, points_of


@pytest.mark.parametrize("factors", [1, 2])
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_gives_distinct_positions_and_their_squared_distances(name: str, factors: int) -> None:
    rows = heavy_tailed(200, 4, seed=0) >> 8
    points = points_of(rows)
    if factors == 2:
        points = Points(points.index, ((rows[:, :2] >> 4).astype(np.float32), rows[:, 2:].astype(np.float32)))
    seeding = ENGINES[name](points, SeedingSpec(50, 1, 2))
    assert len(set(seeding.index.tolist())) == 50
    assert seeding.filled == 0
    chosen = faiss_engines.tensor_products(points).astype(np.float64)[(seeding.index - 5) // 3]
    gaps = [((chosen[:place] - chosen[place]) ** 2).sum(1).min() for place in range(1, 50)]
    assert seeding.score.tolist() == [(chosen[0] ** 2).sum(), *gaps]


@pytest.mark.parametrize("count", [0, 1, 6, 9])
@pytest.mark.parametrize("rows", [np.zeros((6, 2)), np.ones((6, 2)), np.eye(6)[[0, 1, 0, 1, 0, 2]], np.zeros((0, 2))])
@pytest.mark.parametrize("name", ENGINES)
def test_duplicates_fill_whichever_the_engine(name: str, rows: np.ndarray, count: int) -> None:
    seeding = ENGINES[name](points_of(rows), SeedingSpec(count, 0, 0))
    assert len(set(seeding.index.tolist())) == len(seeding.index) == len(seeding.score) == min(count, len(rows))
    distinct = len(np.unique(rows[(seeding.index - 5) // 3], axis=0)) if len(seeding.index) else 0
    assert seeding.filled >= len(seeding.index) - max(distinct, 1) if len(seeding.index) else not seeding.filled


@pytest.mark.parametrize("name", ENGINES)
def test_another_epoch_draws_differently_and_the_same_epoch_alike(name: str) -> None:
    points = points_of(heavy_tailed(300, 4, seed=0))
    again, once, other = (ENGINES[name](points, SeedingSpec(40, 0, epoch)).index.tolist() for epoch in (0, 0, 1))
    assert again == once != other


def test_a_matrix_too_large_to_build_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_engines, "_MOST_BYTES", 1 << 10)
    with pytest.raises(BadInput, match=r"gradients as one matrix; expected at most .*strategy\.engine=exact"):
        ENGINES["faiss"](points_of(heavy_tailed(300, 4, seed=0)), SeedingSpec(5, 0, 0))
