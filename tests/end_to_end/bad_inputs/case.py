"""A bad input of the command line, and the kinds of files that are wrong whoever reads them."""

import functools
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Make = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """Words of a command, run in an empty folder where `make` has put its files, and what the error must match.

    `says` matches what a good run would have printed by then; `env` is set meanwhile.
    """

    words: tuple[str, ...]
    names: str
    make: Make = lambda: None
    says: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    unprivileged: bool = False


def case(words: str, names: str, make: Make = lambda: None, **more: object) -> Case:
    """A case whose words hold no blanks."""
    return Case(tuple(words.split()), names, make, **more)  # type: ignore[arg-type]


def written(path: str, content: str | bytes) -> Make:
    """Writes a file, with its folders."""

    def make() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def both(*makes: Make) -> Make:
    """One after the other."""
    return lambda: [make() for make in makes]


def replaced(path: str, make: Make) -> Make:
    """Removes a file, then makes another thing of its name."""
    return both(lambda: Path(path).unlink(missing_ok=True), make)


def fifo(path: str) -> Make:
    return lambda: os.mkfifo(path)


def _socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path)


def not_files(path: str) -> Iterator[tuple[str, Make]]:
    """What may lie at a path without being a file, by kind."""
    yield "folder", lambda: Path(path).mkdir(parents=True)
    yield "FIFO", fifo(path)
    yield "socket", functools.partial(_socket, path)
    yield "link to /dev/zero", lambda: Path(path).symlink_to("/dev/zero")
    yield "link to itself", lambda: Path(path).symlink_to(Path(path).name)


def no_texts(path: str) -> Iterator[tuple[str, Make]]:
    """Files that hold no text in UTF-8, by kind."""
    yield "empty", written(path, "")
    yield "latin-1", written(path, "é;ü\n".encode("latin-1"))
    yield "UTF-16", written(path, '{"seed": 1}\n'.encode("utf-16"))
    yield "zeros", written(path, bytes(64))
    yield "a picture", written(path, b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


NESTED = "[" * 100_000
DEEP_OBJECT = '{"a":' * 100_000
HUGE_NUMBER = json.dumps({"seed": 10**4000})[:-1] + "0" * 1000 + "}"
LONG, NOT_UTF8, NUL = "n" * 300, os.fsdecode(b"caf\xe9"), "a\0b"
BAD_NAMES = {"a name too long": LONG, "a path too long": "long/" * 1000, "a name with NUL": NUL}
