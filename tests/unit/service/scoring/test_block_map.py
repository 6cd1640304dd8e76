"""Work with few answers waiting: the answers of a plain loop, in order, and an end at the first error."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.service.scoring.block_map import map_blocks


@given(items=st.lists(st.integers(), max_size=100))
def test_answers_come_in_order(items: list[int]) -> None:
    with ThreadPoolExecutor(3) as threads:
        assert list(map_blocks(threads, lambda item: item + 1, items, (0, 1))) == [item + 1 for item in items]


def test_work_is_begun_only_a_little_ahead() -> None:
    begun: list[int] = []
    with ThreadPoolExecutor(2) as threads:
        answers = map_blocks(threads, begun.append, range(1000), (0, 1))
        next(answers)
        answers.close()  # type: ignore[attr-defined]  # a generator
    assert len(begun) < 100


def test_an_error_ends_the_work_and_propagates() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        if item:
            gate.wait(10)
        else:
            raise KeyError("first")

    with ThreadPoolExecutor(1) as threads:
        with pytest.raises(KeyError, match="first"):
            list(map_blocks(threads, work, range(1000), (0, 1)))
        gate.set()
    assert len(begun) < 5
