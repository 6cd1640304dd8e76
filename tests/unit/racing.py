"""Programs that write to one table at the same moment, as real processes."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier

from negsift.common.errors import BadInput
from tests.unit.tables import as_table, random_bags, write

_start: list[Barrier] = []


@contextmanager
def racers(count: int) -> Iterator[ProcessPoolExecutor]:
    """`count` processes that wait for each other before each race."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    with ProcessPoolExecutor(count, context, _take, (barrier,)) as pool:
        yield pool


def race(pool: ProcessPoolExecutor, count: int, where: Path, number: int) -> list[tuple[int, str]]:
    """The first bag and the error, if any, of each of `count` programs that append to a table at the same moment."""
    firsts = [10 * (number * count + place) for place in range(count)]
    return list(zip(firsts, pool.map(_append, [where] * count, firsts), strict=True))


def named(first: int) -> Sequence[str]:
    """The bags that a program adds."""
    return [f"b{bag}" for bag in range(first, first + 3)]


def _take(barrier: Barrier) -> None:
    _start.append(barrier)


def _append(where: Path, first: int) -> str:
    _start[0].wait(60)
    try:
        write(where, as_table(random_bags(3), [[], ["bird"], []], first), append=True)
    except BadInput as error:
        return str(error)
    return ""
