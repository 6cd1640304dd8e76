"""`python -m negsift COMMAND`: the same as `negsift COMMAND`."""

import sys

from negsift.deploy.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
