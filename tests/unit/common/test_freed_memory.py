"""Freed memory that a process keeps: pages of the next allocation are not asked of the system again."""

import os
import subprocess
import sys

import pytest

from negsift.common.freed_memory import keep_freed_memory, keeping_environment

_FAULTS = """
import ctypes, resource, threading
{setting}
libc, size = ctypes.CDLL(None), 8 << 20  # 2,048 pages
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def allocate():
    for _ in range(20):
        place = libc.malloc(size)
        libc.memset(place, 1, size)
        libc.free(place)
def measure():
    allocate()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    allocate()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=measure)
thread.start()
thread.join()
"""
_KEEP = "from negsift.common.freed_memory import keep_freed_memory; keep_freed_memory()"


def _faults(setting: str = "", **environment: str) -> int:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    words = [sys.executable, "-c", _FAULTS.format(setting=setting)]
    done = subprocess.run(words, env=plain | environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_a_process_that_keeps_freed_memory_takes_no_pages_again() -> None:
    rounds = 20  # each asks for a page at least: 2,048 of them, or 4 where the system gives huge ones
    assert _faults(MALLOC_MMAP_THRESHOLD_="131072") > rounds
    assert _faults(_KEEP) < rounds
    assert _faults(**keeping_environment()) < rounds


def test_settings_of_the_environment_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert keeping_environment() == {}
    keep_freed_memory()  # which then does nothing


def test_children_get_what_this_process_would_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(lambda name: name.startswith("MALLOC_"), list(os.environ)):
        monkeypatch.delenv(name)
    assert keeping_environment().keys() == {"MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
    assert all(value.isdigit() for value in keeping_environment().values())
