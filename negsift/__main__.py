"""`python -m negsift COMMAND`: the same as `negsift COMMAND`."""

from negsift.deploy.main import run

if __name__ == "__main__":
    raise SystemExit(run())
