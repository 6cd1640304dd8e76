"""Files and folders that appear complete or not at all.

They are written under a hidden name beside their own. Nobody can guess it, and it is created exclusively, so that no
link which somebody has put there is followed. Modes are those that the umask says. A writer holds a lock on what it
writes; what has none was left by a process that was killed, and the next writer in the folder removes it.
"""

import fcntl
import functools
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_PREFIX = ".making-"
_TO_LOCK_S = 60.0
"""What is empty and younger may have a writer that is about to lock it."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file, to be written, that then takes the place of `path`, in a folder that is there."""
    with _placed(path, Path.replace) as stream:
        yield stream


@contextmanager
def creating(path: Path) -> Iterator[BinaryIO]:
    """A new file, to be written, that then becomes `path`, unless that is there by then: the first writer wins."""
    with suppress(FileExistsError), _placed(path, rename_to_new) as stream:
        yield stream


def rename_to_new(old: Path | str, new: Path | str) -> None:
    """Rename a file, which never replaces another. Raises FileExistsError if the new name is taken."""
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: whoever creates the file may replace it
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.replace(old, new)
    else:
        os.unlink(old)


@contextmanager
def _placed(path: Path, place: Callable[[Path, Path], object]) -> Iterator[BinaryIO]:
    hidden = _name_beside(path)
    try:
        with hidden.open("xb") as stream, _locked(hidden):
            yield stream
            stream.close()  # the last of its bytes may not find room
            place(hidden, path)
    finally:
        with suppress(OSError):  # a folder that can't be written has no partial file
            hidden.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder, to be filled, that then becomes `path`, which must not be there by then, or be empty."""
    hidden = _name_beside(path)
    hidden.mkdir()
    try:
        with _locked(hidden):
            yield hidden
            hidden.rename(path)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _name_beside(path: Path) -> Path:
    _remove_abandoned(path.parent)
    return path.with_name(f"{_PREFIX}{uuid.uuid4().hex}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """With a lock on what is there, until this process ends; without one on file systems that have none."""
    opened = _open(path)
    try:
        with suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX)  # who looks whether it is abandoned has the lock for a moment
        yield
    finally:
        os.close(opened)


@functools.cache  # once a process is enough
def _remove_abandoned(folder: Path) -> None:
    for path in filter(_is_abandoned, folder.glob(f"{_PREFIX}*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    """Whether no writer holds it, as far as can be known."""
    with ExitStack() as after:
        try:
            opened = _open(path)
            after.callback(os.close, opened)
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_empty = not os.listdir(opened) if path.is_dir() else not os.fstat(opened).st_size
            return not is_empty or time.time() - os.fstat(opened).st_mtime > _TO_LOCK_S
        except OSError:  # a living writer's, another user's, a link, or gone
            return False


def _open(path: Path) -> int:
    return os.open(path, (os.O_RDONLY if path.is_dir() else os.O_RDWR) | os.O_NOFOLLOW | os.O_NONBLOCK)
