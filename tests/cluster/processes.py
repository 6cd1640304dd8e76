"""The processes of a test's Ray: which are actors, which are left at the end."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from negsift.service.cluster.programs import program_of

_MARK = "NEGSIFT_CHAOS"


def alive(*prefixes: str) -> list[dict[str, Any]]:  # Any: Ray's
    """What the cluster knows of the living actors of such names, by name."""
    from ray._private.state import actors  # the public form needs the dashboard

    found = [actor for actor in actors().values() if actor["State"] == "ALIVE" and actor["Name"].startswith(prefixes)]
    return sorted((actor for actor in found if exists(actor["Pid"])), key=lambda actor: str(actor["Name"]))


class Asking:
    """An actor that puts an object into the store, as a program does that asks for rounds."""

    def program(self) -> str:
        """The actor's process, as Ray's records name it."""
        return program_of(ray.put(None))


def exists(pid: int) -> bool:
    """Whether there is such a process."""
    return os.path.exists(f"/proc/{pid}")


@contextmanager
def marked() -> Iterator[str]:
    """A word in the environment of all processes started from here on."""
    word = uuid.uuid4().hex
    os.environ[_MARK] = word
    try:
        yield word
    finally:
        del os.environ[_MARK]


def having(word: str) -> list[Any]:  # Any: psutil's
    """Other processes with that word."""
    import psutil
    import ray  # noqa: F401  # brings psutil along

    def has_word(process: Any) -> bool:  # Any: psutil's
        try:
            return process.pid != os.getpid() and process.environ().get(_MARK) == word
        except psutil.Error:
            return False

    return [each for each in psutil.process_iter() if has_word(each)]


def scorers_of(word: str) -> list[int]:
    """The pids of scorers, those included that are only being made."""
    import psutil

    def is_scorer(process: Any) -> bool:  # Any: psutil's
        try:
            return process.cmdline()[:1] > [] and process.cmdline()[0].startswith(("ray::Scorer", "ray::scorer-"))
        except psutil.Error:
            return False

    return sorted(process.pid for process in having(word) if is_scorer(process))


def left_behind(word: str, patience_s: float = 60.0) -> list[str]:
    """Other processes with that word that don't end by themselves."""
    import psutil
    import ray  # noqa: F401  # brings psutil along

    _, left = psutil.wait_procs(having(word), timeout=patience_s)
    return [str(process) for process in left]
