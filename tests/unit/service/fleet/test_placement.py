"""Where scorers find room, as Ray spreads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.service.fleet.placement import gpu_loads, less, packed, placed
from negsift.service.fleet.rebalance import room_for

HEAD, GPUS = {"CPU": 8.0}, {"CPU": 8.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("gpus", "count", "expected"),
    [
        (1.0, 8, [0, 4, 4]), (1.0, 9, [0, 4, 4]), (0.5, 8, [0, 4, 4]), (0.5, 16, [0, 8, 8]), (0.25, 32, [0, 16, 16]),
        (0.0, 6, [2, 2, 2]),
    ],
)  # fmt: skip
def test_scorers_are_spread_over_the_nodes_that_have_what_they_need(
    gpus: float, count: int, expected: list[int]
) -> None:
    free = {"head": HEAD, "one": GPUS, "two": GPUS}
    assert list(placed(free, (0.5 if gpus >= 0.5 else 0.25, gpus), count).values()) == expected


NODES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=5)


@given(
    nodes=NODES,
    needs=st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.5, 1.0])),
    count=st.integers(0, 40),
)
def test_as_many_are_placed_as_there_is_room_for(
    nodes: list[tuple[int, int]], needs: tuple[float, float], count: int
) -> None:
    free = {str(number): {"CPU": float(cpus), "GPU": float(gpus)} for number, (cpus, gpus) in enumerate(nodes)}
    found, room = placed(free, needs, count), {node: room_for(have, needs) for node, have in free.items()}
    assert sum(found.values()) == min(count, sum(room.values()))
    assert all(found[node] <= room[node] for node in free)


def test_workers_are_packed_on_the_nodes_with_the_most_room() -> None:
    free = {"head": HEAD, "one": {"CPU": 2.0, "GPU": 4.0}, "two": GPUS}
    assert list(packed(free, (1.0, 1.0), 3).values()) == [0, 0, 3]
    assert list(packed(free, (1.0, 1.0), 9).values()) == [0, 2, 4]
    left = less(free, (1.0, 1.0), packed(free, (1.0, 1.0), 5))
    assert [(left[node]["CPU"], left[node]["GPU"]) for node in free] == [(8.0, 0.0), (1.0, 3.0), (4.0, 0.0)]


@pytest.mark.parametrize(
    ("needs", "count", "one", "two"),
    [
        ((0.5, 0.5), 3, [1, 1], [1, 0, 0, 0]),
        ((0.5, 0.5), 6, [1, 1], [1, 1, 1, 1]),
        ((0.5, 0.5), 7, [2, 1], [1, 1, 1, 1]),
        ((0.5, 0.5), 99, [2, 2], [2, 2, 2, 2]),
        ((1.0, 0.5), 99, [1, 1], [2, 2, 2, 2]),
        ((0.0, 0.3), 99, [3, 3], [3, 3, 3, 3]),
        ((0.5, 0.75), 9, [1, 1], [1, 1, 1, 1]),
        ((0.0, 0.25), 8, [2, 1], [2, 1, 1, 1]),
    ],
)
def test_every_gpu_has_a_scorer_before_one_has_two(
    needs: tuple[float, float], count: int, one: list[int], two: list[int]
) -> None:
    free = {"head": HEAD, "one": {"CPU": 2.0, "GPU": 2.5}, "two": GPUS}
    assert gpu_loads(free, needs, count) == [*(("one", load) for load in one), *(("two", load) for load in two)]
