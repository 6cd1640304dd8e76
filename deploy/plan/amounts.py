"""Amounts as people write them: 1e8, 100M, 15360, 64GiB; and bytes, counts and seconds as they are read."""

import argparse
import math
import re

_BASES = (("", 1000), ("i", 1024))
_POWERS = {"": 1} | {f"{letter}{i}": base**power for power, letter in enumerate("kmgt", 1) for i, base in _BASES}
_AMOUNT = re.compile(r"([0-9.,_]+(?:[eE][+-]?[0-9]+)?)\s*((?:[KMGT]i?)?)B?", re.IGNORECASE)
_MOST = 1e18


def amount(text: str) -> float:
    """The number that `text` stands for, such as 1e8, 100M or 64GiB: K is 1,000 and Ki 1,024. Raises ArgumentTypeError
    for anything else, and unless it is above 0.
    """
    match = _AMOUNT.fullmatch(text.strip())
    try:
        value = float(match[1].replace(",", "").replace("_", "")) * _POWERS[match[2].lower()] if match else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value < _MOST:
        raise argparse.ArgumentTypeError(f"{text!r}, which is no amount above 0 such as 1e8, 100M or 64GiB")
    return value


def whole_amount(text: str) -> int:
    """The same, for what is counted in whole ones."""
    value = amount(text)
    if value % 1:
        raise argparse.ArgumentTypeError(f"{text!r}, which is no whole number")
    return int(value)


def bytes_text(size: float) -> str:
    """Bytes in a unit that leaves three or four digits."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if size < 100 else f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB" if size < 100 else f"{size:,.0f} TiB"


def seconds_text(seconds: float) -> str:
    """Seconds, or hours where there are many."""
    if seconds >= 7200:
        return f"{seconds / 3600:,.1f} h"
    return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"


def count_text(count: float) -> str:
    """A number of bags, rounded to whole ones."""
    return f"{count:,.0f}" if count >= 100 else f"{count:.3g}"
