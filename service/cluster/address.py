"""Which Ray cluster the user names, found out without Ray."""

import os
import re
import socket

from negsift.common.errors import BadInput

_ANSWER_S = 5.0
_JOBS = ", by which `submit` and `jobs` find the dashboard, too"
_PLACE = re.compile(r"(?:ray://)?(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})")


def named_address() -> str | None:
    """RAY_ADDRESS; None where it is unset, empty or Ray's word for a Ray of this program's own, `local`."""
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def require_address(purpose: str) -> None:
    """Raise BadInput where RAY_ADDRESS names no cluster, or one where nobody listens; `purpose` needs one."""
    address = named_address()
    if address is None:
        raise BadInput(
            f"no RAY_ADDRESS for {purpose}", "the address of a running Ray cluster",
            "`ray start --head`, then export RAY_ADDRESS=HOST:PORT",
        )  # fmt: skip
    require_answer(address)


def require_answer(address: str) -> None:
    """Raise BadInput for what is no address, and where nobody listens; Ray itself would try for minutes."""
    if address == "auto":  # Ray searches this machine
        return
    place = _PLACE.fullmatch(address)
    if place is None:
        also = _JOBS if "://" in address else ""
        raise BadInput(
            f"RAY_ADDRESS={address[:80]!r}", "HOST:PORT or ray://HOST:PORT",
            f"give the address that `ray start --head` has printed{also}, or unset RAY_ADDRESS",
        )  # fmt: skip
    try:
        socket.create_connection((place[1] or place[2], int(place[3])), _ANSWER_S).close()
    except (OSError, OverflowError, UnicodeError) as error:  # UnicodeError: a name with an empty or a long part
        raise no_cluster(address, str(error)) from None


def no_cluster(address: str, reason: str) -> BadInput:
    """The error of an address where no cluster is."""
    return BadInput(
        f"no Ray cluster at RAY_ADDRESS={address} ({reason})", "one that answers",
        "start it, correct the address, or unset RAY_ADDRESS",
    )  # fmt: skip
