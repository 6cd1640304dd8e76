"""Maps of instances: a square each, of a size that is seen and fits the page, and a frame around one."""

import numpy as np
import pytest

from negsift.trainer.report.places import draw_map

FRAME = (213, 94, 0, 255)


def grid(wide: int, high: int, step: float = 256.0) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.arange(wide), np.arange(high))
    return step * x.ravel() + 1000, step * y.ravel()


@pytest.mark.parametrize(
    ("wide", "high", "square"), [(1, 1, 24), (4, 3, 24), (20, 60, 5), (100, 40, 3), (160, 12, 1), (299, 2, 1)]
)
def test_a_place_of_a_grid_is_a_square_and_the_map_fits_a_narrow_page(wide: int, high: int, square: int) -> None:
    pixels = draw_map(*grid(wide, high), np.arange(wide * high, dtype=np.float64))
    assert pixels.shape == (high * square + 6, wide * square + 6, 4)
    squares = (
        pixels[3:-3, 3:-3].reshape(high, square, wide, square, 4).transpose(0, 2, 1, 3, 4).reshape(wide * high, -1, 4)
    )
    assert all(len({tuple(pixel) for pixel in one.tolist()} - {FRAME}) <= 1 for one in squares[:-1])


def test_a_map_of_more_places_than_pixels_takes_the_largest_score_of_each_square() -> None:
    x, y = grid(600, 3)
    scores = np.zeros(len(x))
    scores[(x == x[401]) & (y == 0)] = 1.0
    pixels = draw_map(x, y, scores)
    assert pixels.shape[1] <= 306
    rows, columns = np.nonzero((pixels == FRAME).all(2))
    assert (rows.min(), columns.min(), columns.max() - columns.min()) == (0, 134, 6)


def test_columns_that_are_merged_are_merged_evenly() -> None:
    x, y = grid(400, 1)
    pixels = draw_map(x, y, np.isin(np.arange(400), range(0, 400, 4)).astype(np.float64))
    lit = pixels[3, 13:-3, 0] > 200
    assert (lit[1:] != lit[:-1]).all()


def test_scattered_places_are_squares_that_are_seen() -> None:
    random = np.random.default_rng(0)
    x, y = random.uniform(0, 1e5, 50), random.uniform(0, 1e5, 50)
    pixels = draw_map(x, y, random.normal(size=50))
    assert 0.02 < (pixels[..., 3] > 0).mean() < 0.2


def test_the_least_positive_place_is_seen_on_a_dark_page() -> None:
    pixels = draw_map(*grid(2, 1), np.array([0.0, 1.0]))
    assert pixels[15, 6, :3].sum() > 200
