"""Tables in a terminal."""

from collections.abc import Sequence


def text_table(head: str, rows: Sequence[Sequence[object]]) -> list[str]:
    """Lines of columns wide enough for what is in them, under the words of `head`; nothing if there are no rows."""
    if not rows:
        return []
    cells = [head.split(), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
