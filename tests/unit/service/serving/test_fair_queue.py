"""The queue of rounds: one at a time, tasks in turn, each task's rounds in their order."""

import asyncio

import pytest

from negsift.service.serving.fair_queue import FairQueue


async def order_of(asked: list[str], cancelled: int | None = None) -> list[str]:
    """The order in which rounds run that are asked for while another one runs."""
    turns, done, gate = FairQueue(), [], asyncio.Event()

    async def first() -> None:
        async with turns.turn("first"):
            await gate.wait()

    async def run(task: str, number: int) -> None:
        async with turns.turn(task):
            assert turns.running == task
            await asyncio.sleep(0)
            done.append(f"{task}{number}")

    jobs = [asyncio.ensure_future(first())]
    await asyncio.sleep(0)
    jobs += [asyncio.ensure_future(run(task, number)) for number, task in enumerate(asked)]
    await asyncio.sleep(0)
    assert sum(turns.waiting.values()) == len(asked)
    if cancelled is not None:
        jobs[cancelled + 1].cancel()
    gate.set()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert turns.running is None
    assert not turns.waiting
    return done


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("aaab", "a0 b3 a1 a2"), ("aabbc", "a0 b2 c4 a1 b3"), ("abcabc", "a0 b1 c2 a3 b4 c5"), ("", "")],
)
def test_tasks_take_turns(asked: str, expected: str) -> None:
    assert asyncio.run(order_of(list(asked))) == expected.split()


@pytest.mark.parametrize("cancelled", range(4))
def test_a_cancelled_round_does_not_delay_others(cancelled: int) -> None:
    done = asyncio.run(order_of(list("aabb"), cancelled))
    assert [each for each in ["a0", "b2", "a1", "b3"] if int(each[1]) != cancelled] == done


def test_an_error_in_a_round_passes_the_turn_on() -> None:
    async def both() -> str | None:
        turns = FairQueue()
        with pytest.raises(KeyError):
            async with turns.turn("a"):
                raise KeyError("a bug")
        async with turns.turn("b"):
            return turns.running

    assert asyncio.run(both()) == "b"
