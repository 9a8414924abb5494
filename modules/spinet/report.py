"""What to look at from the REPL while the module serves.

    >>> import spinet.report as r
    >>> r.all()          all of these but the trace
    >>> r.slots()        every slot: state, who holds it, addresses, bytes waiting
    >>> r.listeners()    every port
    >>> r.sessions()     whom we call home to, and how that goes
    >>> r.network()      WiFi: state, network, address, names, last error (never a password)
    >>> r.counters()     what has happened so far, what should not have
    >>> r.heap()         memory
    >>> r.trace()        what happened lately, one line for each event
    >>> r.trace_dump()   the same for `spinet-controller trace`, which draws it
Everything returns nothing and prints; nothing here changes the service.
"""

from spinet import service as service_module
from spinet.debug import parts, trace_lines


def _run(function):
    current = service_module.current
    if current is None:
        print("the service does not run")
    else:
        function(current)


def slots():
    """Print the eight slots."""
    _run(parts.print_slots)


def listeners():
    """Print the ports that are listened on."""
    _run(parts.print_listeners)


def sessions():
    """Print whom we call home to, what is done about it, and what has happened."""
    _run(parts.print_sessions)


def network():
    """Print the WiFi state, our names and the last error."""
    _run(parts.print_network)


def counters():
    """Print what was counted since the last boot."""
    _run(parts.print_counters)


def heap():
    """Print how much memory is free: Python's, and the board's as the controller is told."""
    _run(parts.print_heap)


def trace():
    """Print the event trace: seconds before now, slot, event."""
    for line in trace_lines.lines():
        print(line)


def trace_dump():
    """Print the event trace for a program."""
    for line in trace_lines.dump_lines():
        print(line)


def all():
    """Print everything but the trace."""
    _run(parts.diagnostics)
