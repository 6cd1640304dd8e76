"""The command line: `python -m deploy COMMAND`. This is the process's outer edge: errors become exit codes here."""

import os
import sys

from deploy.complaint import Complaint
from deploy.house import check_house

EXIT_OURS, EXIT_INPUT, EXIT_INTERRUPTED = 1, 2, 130


def main(arguments: list[str]) -> int:
    """Run a command and return its exit code: 0, 2 for bad input, 1 for our fault, 130 when interrupted."""
    try:
        check_house()
        from deploy.commands import run_command  # imported here: the house is checked first
    except Complaint as complaint:
        return complain(complaint, EXIT_INPUT)
    from common.errors import BadInput, Interrupted, ServiceError

    try:
        run_command(arguments)
    except BadInput as error:
        return complain(error, EXIT_INPUT)
    except ServiceError as error:
        return complain(error, EXIT_OURS)
    except Interrupted as error:
        return complain(error, EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        return complain("interrupted; nothing was under way", EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader is gone, e.g. `| head`
    return 0


def complain(message: object, code: int) -> int:
    """Say it in one line on standard error."""
    print("negsift:", " ".join(str(message).split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
