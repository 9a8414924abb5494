"""How a program here ends: a failure in one line and exit code 1, Ctrl-C with 130, no traceback.

Needs nothing but Python's standard library, because some run before the virtual environment.
"""

import os
import sys
from collections.abc import Callable


def exit_code(
    work: Callable[[], int | None],
    *failures: type[Exception],
    name: str = "",
    stopped: str = "stopped",
) -> int:
    """Run a program's work; its exit code, which the work may return itself (None: 0).

    `failures` are exceptions whose text can be shown as it is, behind `name: ` if there is one; any
    other is a bug, and raised. `stopped` is said at Ctrl-C; empty: nothing.
    """
    try:
        code = work() or 0
        sys.stdout.flush()
        return code
    except failures as error:
        print(f"{name}: {error}" if name else error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        silence()
        return 1
    except KeyboardInterrupt:
        if stopped:
            print(stopped, file=sys.stderr)
        return 130


def silence() -> None:
    """The reader of what we print has gone: Python would try to print the rest as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
