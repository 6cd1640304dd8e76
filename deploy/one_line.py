"""Messages as they are printed: one line of bounded length, whatever is in the names and reasons that they quote."""

import re

MOST = 300
_ELLIPSIS = "…"
_LAST, _FIRST = re.compile(r"(?<=[\s/])[^\s/]{1,40}$"), re.compile(r"^[^\s/]{1,40}(?=[\s/])")
"""A word, or a name in a path, that a cut would divide; longer ones are cut."""


def one_line(message: object, most: int = MOST) -> str:
    """The message on one line of at most `most` characters; its longest part is cut first, in the middle.

    Parts are those between semicolons: what was found, what was expected, what to do. So what begins or ends with the
    name of a file keeps it. Characters that can't be printed are escaped.
    """
    parts = _printable(" ".join(str(message).split())).split("; ")
    longest = max(range(len(parts)), key=lambda number: len(parts[number]))
    others = len("; ".join(parts)) - len(parts[longest])
    parts[longest] = _cut(parts[longest], max(most - others, most // 3))
    return _cut("; ".join(parts), most)


def readable(text: str, most: int = MOST) -> str:
    """The text with each line cut to `most` characters, and those that can't be printed escaped, whatever data hold."""
    return "\n".join(_cut(_printable(line), most) for line in text.split("\n"))


def _cut(text: str, most: int) -> str:
    """The beginning, which is what names a file more often, and the end, of whole words and whole names of folders."""
    if len(text) <= most:
        return text
    end = most // 3
    head, tail = text[: most - end - len(_ELLIPSIS)], text[-end:]
    return _LAST.sub("", head) + _ELLIPSIS + _FIRST.sub("", tail)


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
