"""What a module prints at its REPL, over a serial port or a pseudo-terminal, while it serves.

The friendly REPL is used, as a person would: a board, SIM and an emulated core all have it.
"""

import re
import time
from typing import TYPE_CHECKING

from spinet_controller.errors import ReplError
from spinet_controller.extras import extra

if TYPE_CHECKING:
    from serial import Serial

BAUD = 115200
DUMP = b"import spinet.report; spinet.report.trace_dump()\r"
INTERRUPT = b"\r\x03"  # ends a line that was left unfinished
PATIENCE = 5.0  # seconds without a byte

_END = re.compile(rb"~trace end \d+\r?\n")
_ERROR = re.compile(rb"^(\w*Error: .*?)\r?$", re.MULTILINE)


def read_dump(port: str, patience: float = PATIENCE) -> str:
    """Give the text of a trace_dump() at the REPL on this port.

    Raises ReplError, and ExtraMissing without the extra `cli`.
    """
    with extra("cli"):
        import serial
    try:
        with serial.Serial(port, BAUD, timeout=0.1) as line:
            line.write(INTERRUPT)
            line.write(DUMP)
            return _read_until_end(line, port, patience)
    except (serial.SerialException, OSError) as error:
        raise ReplError(f"cannot use {port}: {_reason(error)}") from error


def _read_until_end(line: "Serial", port: str, patience: float) -> str:
    seen = b""
    silent_since = time.monotonic()
    while not _END.search(seen):
        got = line.read(4096)
        if got:
            seen += got
            silent_since = time.monotonic()
        elif error := _ERROR.search(seen):
            raise ReplError(f"the REPL on {port} says {error[1].decode('utf-8', 'replace')}")
        elif time.monotonic() - silent_since > patience:
            raise ReplError(f"no trace came from {port}: is there the REPL of a Spinet module?")
    return seen.decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
