"""`python -m negsift COMMAND`: the same as `negsift COMMAND`."""

import sys

from negsift.deploy.main import run

if __name__ == "__main__":
    sys.exit(run())
