"""What each scorer takes where nobody asks for an amount: the most with which all of them fit."""

from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement

import pytest

from negsift.service.fleet.even_share import even_share
from negsift.service.fleet.placement import Needs, less, packed, scorers_by_node
from negsift.service.fleet.rebalance import room_for

SEVEN = {"CPU": 32.0, "GPU": 7.0}


@pytest.mark.parametrize(
    ("nodes", "count", "expected"),
    [
        ([SEVEN], 7, (1.0, 1.0)), ([SEVEN], 8, (1.0, 0.5)), ([SEVEN], 10, (1.0, 0.5)), ([SEVEN], 14, (1.0, 0.5)),
        ([SEVEN], 16, (1.0, 0.333)), ([{"CPU": 4.0, "GPU": 7.5}], 15, (0.266, 0.5)), ([{"CPU": 1.0}], 3, (0.333, 0.0)),
        ([{"CPU": 1.5}, {"CPU": 1.5}], 3, (0.75, 0.0)), ([{"GPU": 2.0}, {"CPU": 8.0}], 2, (0.0, 1.0)), ([], 2, (0, 0)),
    ],
)  # fmt: skip
def test_the_share_is_the_largest_with_which_all_fit(
    nodes: list[Mapping[str, float]], count: int, expected: Needs
) -> None:
    assert even_share(nodes, (None, None), count) == expected


def test_what_is_asked_for_stays_and_the_other_kind_is_shared_beside_it() -> None:
    assert even_share([SEVEN | {"CPU": 14.0}], (None, 0.25), 28) == (0.5, 0.25)
    assert even_share([SEVEN], (None, 1.0), 8) == (1.0, 1.0), "the eighth waits for its GPU"
    assert even_share([{"CPU": 1.0, "GPU": 3.0}, {"CPU": 8.0}], (None, 1.0), 4) == (0.333, 1.0)
    assert even_share([SEVEN], (8.0, None), 4) == (8.0, 1.0)
    assert even_share([SEVEN], (16.0, None), 4) == (16.0, 1.0)


def clusters() -> Iterator[Mapping[str, Mapping[str, float]]]:
    """One to three nodes of 1 to 8 GPUs, with one CPU, a few, or many; with and without a trainer's GPU."""
    for size, sizes in ((1, range(1, 9)), (2, range(1, 9)), (3, (1, 3, 7, 8))):
        for gpus in combinations_with_replacement(sizes, size):
            cpus = [(1.0, 4.0, 96.0)[(sum(gpus) + number) % 3] for number in range(size)]
            free = {str(n): {"CPU": cpus[n], "GPU": float(gpus[n])} for n in range(size)}
            yield free
            yield less(free, (1.0, 1.0), packed(free, (1.0, 1.0), 1))


def test_what_the_default_asks_for_is_placed() -> None:
    for free in clusters():
        for count in range(1, 41):
            needs = even_share(list(free.values()), (None, None), count)
            found = scorers_by_node(free, needs, count)
            assert sum(found.values()) == count, (free, needs)
            assert all(found[node] <= room_for(have, needs) for node, have in free.items()), (free, needs)
            assert needs[1] > 0 or not any(have["GPU"] for have in free.values()), (free, needs)
