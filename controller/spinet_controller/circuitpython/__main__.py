"""`python -m spinet_controller.circuitpython code.py`: run a CircuitPython program."""

import argparse
import os
import signal
import sys
import traceback
from pathlib import Path
from types import ModuleType

from spinet_controller import circuitpython
from spinet_controller.bus import DEFAULT_PORT
from spinet_controller.circuitpython import board, dialect, settings
from spinet_controller.circuitpython.microcontroller import Restart
from spinet_controller.circuitpython.wiring import Line, Wiring
from spinet_controller.errors import SpinetError

PINS = ",".join(line.value for line in Line)

DESCRIPTION = """\
Run a CircuitPython program that uses adafruit_esp32spi, as it is, with a Spinet module that speaks
NINA on the virtual bus: the module of `make sim PROTOCOL=nina`, or one of its own with --sim.
Libraries are found beside the program, in the folder lib beside it, and where Python has them;
settings.toml beside the program is what os.getenv() has besides the environment."""

QUIET = 1.0
"""Seconds without a module before it is said that one is waited for."""

INTERRUPTED, TERMINATED = 130, 143


def main() -> int:
    """Run the program; give an exit code."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        board.wire(options.pins)
        settings.install(options.program.parent / "settings.toml")
        with Wiring(options.bus_port, sim=options.sim, tell=_say) as wiring:
            if not options.sim:
                _tell_of_waiting(wiring)
            wiring.wait_for_module()
            code = _run(options.program, options.arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Restart:
        sys.stdout.flush()
        os.execv(sys.executable, sys.orig_argv)
    except (SpinetError, ValueError) as error:
        _say(str(error))
        return 1
    return code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m spinet_controller.circuitpython", description=DESCRIPTION
    )
    parser.add_argument(
        "--bus-port",
        type=int,
        metavar="PORT",
        help=f"where the module finds the virtual bus (default {DEFAULT_PORT}; with --sim any)",
    )
    parser.add_argument("--sim", type=Path, metavar="PROGRAM", help="start this SIM as the module")
    parser.add_argument(
        "--pins",
        type=_pins,
        default=PINS,
        metavar="CS,READY,RESET[,GPIO0]",
        help=f"the board's pins that the module is at (default {PINS})",
    )
    parser.add_argument("program", type=_program, metavar="code.py", help="the program")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="...", help="what it finds in sys.argv"
    )
    options = parser.parse_args()
    if options.bus_port is None:
        options.bus_port = 0 if options.sim else DEFAULT_PORT
    return options


def _pins(text: str) -> dict[Line, str]:
    names = text.split(",")
    if not 3 <= len(names) <= len(Line):
        raise argparse.ArgumentTypeError("three or four pins, with commas between them")
    if len(set(names)) < len(names):
        raise argparse.ArgumentTypeError("a pin of its own for each wire")
    return dict(zip(Line, names, strict=False))


def _program(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def _tell_of_waiting(wiring: Wiring) -> None:
    try:
        wiring.wait_for_module(QUIET)
    except TimeoutError:
        _say(f"waiting for a module on port {wiring.port} (make sim PROTOCOL=nina)")


def _run(program: Path, arguments: list[str]) -> int:
    """Run the program as `__main__`; a traceback of what it raises begins with it."""
    circuitpython.install()
    folder = program.absolute().parent
    sys.path[0:1] = [str(folder), str(folder / "lib")]
    sys.argv = [str(program), *arguments]
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__ = str(program)
    try:
        exec(dialect.compiled(program.read_bytes(), str(program)), main.__dict__)
    except Exception as error:
        _show(error, str(program))
        return 1
    return 0


def _show(error: Exception, program: str) -> None:
    begin = error.__traceback__
    while begin and begin.tb_frame.f_code.co_filename != program:
        begin = begin.tb_next
    traceback.print_exception(type(error), error, begin)
    if isinstance(error, ModuleNotFoundError) and error.name:
        _say(f"{error.name} is not installed: docs/nina.md says how CircuitPython's libraries are")


def _say(text: str) -> None:
    print(f"spinet: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
