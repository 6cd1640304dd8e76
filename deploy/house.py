"""Checks that the rooms imported are those of this checkout, and not packages that happen to have their names."""

import importlib.util
from pathlib import Path

from deploy.complaint import Complaint

ROOMS = ("common", "service", "trainer")


def check_house() -> None:
    """Raise Complaint if `common`, `service` or `trainer` is missing or lies elsewhere, naming the intruder."""
    home = Path(__file__).resolve().parents[1]
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        found = Path(spec.origin).resolve().parents[1] if spec and spec.origin else None
        if found != home:
            where = f"{room!r} in {found}" if found else f"no package {room!r}"
            raise Complaint(f"found {where}; expected it beside deploy, in {home}; run from the checkout's folder")
