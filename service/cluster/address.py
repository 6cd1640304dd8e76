"""Whether there is a cluster to join, found out without Ray."""

import os
import re
import socket

from negsift.common.errors import BadInput

_ANSWER_S = 10.0


def require_address(purpose: str) -> None:
    """Raise BadInput where RAY_ADDRESS names no cluster, or one where nobody listens; `purpose` needs one."""
    if not os.environ.get("RAY_ADDRESS"):
        raise BadInput(
            f"no RAY_ADDRESS for {purpose}", "the address of a running Ray cluster",
            "`ray start --head`, then export RAY_ADDRESS=HOST:PORT",
        )  # fmt: skip
    require_answer(os.environ["RAY_ADDRESS"])


def require_answer(address: str) -> None:
    """Raise BadInput if nobody listens at host:port; Ray itself would try for minutes. Other forms are left to Ray."""
    place = re.fullmatch(r"(?:ray://)?\[?([^/]+?)\]?:(\d+)", address)
    if place is None:
        return
    try:
        socket.create_connection((place[1], int(place[2])), _ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise no_cluster(address, str(error)) from None


def no_cluster(address: str, reason: str) -> BadInput:
    """The error of an address where no cluster is."""
    return BadInput(
        f"no Ray cluster at RAY_ADDRESS={address} ({reason})", "one that answers",
        "start it, correct the address, or unset RAY_ADDRESS",
    )  # fmt: skip
