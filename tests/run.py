"""Runs pytest and then ends the process: Ray's threads have crashed the interpreter while it shuts down.

python -m tests.run PYTEST_ARGUMENTS

By then pytest and its plugins have finished. `pytest` itself does as well, but for that rare crash behind its last line.
"""

import os
import sys

import pytest

if __name__ == "__main__":
    status = pytest.main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status))
