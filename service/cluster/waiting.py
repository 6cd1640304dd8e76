"""Says in the log that actors wait for room in the cluster, while whoever made them waits for them."""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ray.util.placement_group import PlacementGroup

from negsift.common.counted import counted
from negsift.service.cluster.occupancy import amounts_text, unplaced, waiting_groups
from negsift.service.cluster.resources import describe_room, unused_by_node
from negsift.service.fleet.rebalance import room_for

log = logging.getLogger(__name__)
_FIRST_S, _AGAIN_S = 3.0, 60.0


@contextmanager
def waiting_told(waiting: Callable[[], str], limit_s: float) -> Iterator[None]:
    """Meanwhile a thread tells, after seconds and then each minute, who is `waiting`, if anybody is, and for what."""
    done = threading.Event()

    def tell() -> None:
        pause = _FIRST_S
        while not done.wait(pause):
            who = waiting()
            if who:
                log.warning("%s; at most %g s", who, limit_s)
            pause = _AGAIN_S if who else _FIRST_S

    thread = threading.Thread(target=tell, name="negsift-waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def scorers_waiting(names: str, needs: tuple[float, float], group: PlacementGroup | None = None) -> str:
    """How many scorers with such names, a regular expression, wait for what, and who holds it; empty if none does.

    Where Ray has room for all of them they wait for their processes alone, and the line says so.
    """
    number = unplaced(re.compile(names))
    if number and group is None and sum(room_for(free, needs) for free in unused_by_node()) >= number:
        return f"{counted(number, 'scorer')} starting, with room for all; their processes are not up yet"
    return waiting_text(number, "scorer", needs, describe_room(group)) if number else ""


def workers_waiting(workers: int, needs: Mapping[str, float]) -> str:
    """The same for trainer workers, which Ray Train gives room all at once."""
    number = workers if waiting_groups([needs] * workers) else 0
    both = (needs.get("CPU", 0.0), needs.get("GPU", 0.0))
    return waiting_text(number, "trainer worker", both, describe_room()) if number else ""


def waiting_text(number: int, what: str, needs: tuple[float, float], room: str) -> str:
    """So many of `what` wait for the CPUs and GPUs that each needs, and what the `room` is."""
    amounts = amounts_text(dict(zip(("CPU", "GPU"), needs, strict=True)))
    wait = f"waits for {amounts}" if number == 1 else f"wait for {amounts} each"
    return f"{counted(number, what)} {wait}; {room}"
