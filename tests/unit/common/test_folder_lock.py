"""A folder that one program uses at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from negsift.common import folder_lock
from negsift.common.errors import BadInput
from negsift.common.folder_lock import sole_user

HOLD = """
import sys, time
from pathlib import Path
from negsift.common.folder_lock import sole_user
with sole_user(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_program_is_told_and_a_killed_one_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_lock, "_WAIT_S", 0.0)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(BadInput, match="another program at work in"), sole_user(tmp_path):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with sole_user(tmp_path):
        pass


def test_the_lock_leaves_nothing_behind(tmp_path: Path) -> None:
    with sole_user(tmp_path):
        assert not list(tmp_path.iterdir())
