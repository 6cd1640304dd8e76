"""Scorers that move to a new node: until loads are even, where there is room, and only when that is known."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.service.fleet.rebalance import Move, plan_moves, room_for

ROOM = {"old": 8.0, "new": 2.0}


@pytest.mark.parametrize(
    ("where", "room", "expected"),
    [
        ({0: "old", 1: "old"}, ROOM, [Move(1, "new")]),
        ({0: "old"}, ROOM, []),
        ({0: "old", 1: "new"}, ROOM, []),
        ({0: "old", 1: "old", 2: "old"}, ROOM, [Move(2, "new")]),
        (dict.fromkeys(range(8), "old"), ROOM, [Move(7, "new"), Move(6, "new")]),
        ({0: "old", 1: "old"}, {"old": 8.0, "new": 0.0}, []),
        ({0: "old", 1: "dead", 2: "old"}, ROOM, []),
        ({}, ROOM, []),
    ],
)
def test_a_new_node_takes_scorers_until_loads_are_even(
    where: dict[int, str], room: dict[str, float], expected: list[Move]
) -> None:
    assert plan_moves(where, room, {"new"}) == expected


def test_nothing_moves_to_nodes_that_were_there_from_the_start() -> None:
    assert plan_moves({0: "old", 1: "old"}, ROOM, set()) == []


@given(st.dictionaries(st.integers(0, 12), st.sampled_from("abc"), min_size=1), st.integers(0, 5), st.integers(0, 5))
def test_moves_fill_the_least_loaded_and_stay_within_the_room(where: dict[int, str], one: int, other: int) -> None:
    room = {"a": 20.0, "b": 20.0, "c": 20.0, "d": float(one), "e": float(other)}
    moves = plan_moves(where, room, {"d", "e"})
    after = where | {move.scorer: move.node for move in moves}
    load = Counter(after.values())
    assert len({move.scorer for move in moves}) == len(moves)
    assert all(load[node] <= room[node] for node in "de")
    assert all(load[node] == room[node] or max(load.values()) - load[node] < 2 for node in "de")


@pytest.mark.parametrize(
    ("have", "needs", "expected"),
    [
        ({"CPU": 4.0}, (1.0, 0.0), 4), ({"CPU": 4.0}, (1.0, 0.5), 0), ({"CPU": 9.0, "GPU": 2.0}, (2.0, 0.5), 4),
        ({"CPU": 1.0}, (0.2, 0.0), 5), ({"GPU": 7.0}, (0.0, 0.7), 7), ({"GPU": 7.5}, (0.0, 0.25), 30),
        ({"GPU": 8.0}, (0.0, 2.0), 4), ({"CPU": -1.0}, (0.5, 0.0), 0), ({}, (0.0, 0.0), float("inf")), ({}, (0.5, 0.0), 0),
    ],
)  # fmt: skip
def test_room_is_what_cpus_and_gpus_allow(have: dict[str, float], needs: tuple[float, float], expected: float) -> None:
    assert room_for(have, needs) == expected
