"""The one door to files that users name: they are opened only if regular. Reading a named pipe never begins to end, and
a device such as /dev/zero, also behind a link, never ends.
"""

import os
import stat
from pathlib import Path

from negsift.common.errors import BadData

_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


def regular(path: Path) -> Path:
    """The path, if a regular file is there, be it behind a link. Raises BadData for anything else, or nothing."""
    size_of(path)
    return path


def size_of(path: Path) -> int:
    """The size of a regular file in bytes. Raises BadData as `regular`."""
    return status_of(path).st_size


def status_of(path: Path) -> os.stat_result:
    """Size, times and more of a regular file. Raises BadData as `regular`."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise BadData(f"{path} unreadable ({reason})", "a file", "correct the path") from None
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        found = f"{_KINDS.get(kind, 'something else')} at {path}"
        raise BadData(found, "a regular file", "name another, or copy the content to one")
    return status
