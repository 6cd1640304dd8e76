"""The command line, `negsift COMMAND`. This is the process's outer edge: errors become exit codes here."""

import errno
import io
import os
import sys

from negsift.common.errors import BadInput, Interrupted, ServiceError
from negsift.common.freed_memory import keep_freed_memory
from negsift.common.out_of_memory import lacks_memory
from negsift.deploy.jobs.inside import ended_by_sigterm
from negsift.deploy.one_line import MOST, one_line

EXIT_OURS, EXIT_INPUT, EXIT_INTERRUPTED = 1, 2, 130
LESS = "give less data, smaller images (data.image_size) or a machine with more"

INSTALL = "install there what requirements.lock names; a job uses the packages of its cluster"


def run() -> int:
    """Run the command that this process was started with and return its exit code."""
    keep_freed_memory()
    with ended_by_sigterm():
        return main(sys.argv[1:])


def main(words: list[str]) -> int:
    """Run a command and return its exit code: 0; 1, our fault or a difference; 2, bad input; 130, interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that has no letters in this terminal must not end a run
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        from negsift.deploy.commands import run_command  # imported here: Ctrl-C during it is handled like any other

        code = run_command(words)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return exit_with("interrupted; nothing was being trained", EXIT_INTERRUPTED)
    except BadInput as error:
        return exit_with(error, EXIT_INPUT)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "negsift":
            raise
        found = f"found no module {error.name!r} in the Python {sys.executable}"
        return exit_with(f"{found}; expected the packages of negsift; {INSTALL}", EXIT_INPUT)
    except ServiceError as error:
        return exit_with(error, EXIT_OURS)
    except Interrupted as error:
        return exit_with(error, EXIT_INTERRUPTED)
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        return exit_with(f"found too little memory ({error}); expected enough; {LESS}", EXIT_INPUT)
    except BrokenPipeError:
        mute()  # the reader is gone, e.g. `| head`
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        mute()
        return exit_with("found no space left for the output; expected some; free some space", EXIT_INPUT)
    return 0


def mute() -> None:
    """Let nothing more be written to standard output, not even what is buffered."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exit_with(message: object, code: int) -> int:
    """The exit code, after one line on standard error."""
    print("negsift:", one_line(message, MOST - len("negsift: ")), file=sys.stderr)
    return code
