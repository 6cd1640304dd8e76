"""Lists of names in messages: whole names, as many as a line has room for, and how many more there are."""

from collections.abc import Iterable

_ROOM = 160


def some_of(names: Iterable[object], most: int = 8, room: int = _ROOM) -> str:
    """At most `most` of the names, fewer where they are longer than `room` characters, and `and M more`."""
    texts, shown = [str(name) for name in names], 0
    while shown < min(most, len(texts)) and (not shown or len(", ".join(texts[: shown + 1])) <= room):
        shown += 1
    more = f" and {len(texts) - shown:,} more" if shown < len(texts) else ""
    return ", ".join(texts[:shown]) + more
