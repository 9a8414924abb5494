"""Reports for the REPL, while the service runs.

    >>> import spinet.report as r
    >>> r.all()          all of these but the trace
    >>> r.slots()        every slot: state, holders, addresses, bytes waiting
    >>> r.listeners()    every port that is listened on
    >>> r.sessions()     the call-home sessions: peer, state, counts of events
    >>> r.network()      WiFi: state, network, address, names, last error (never a password)
    >>> r.counters()     transactions, time-outs, failures, faults
    >>> r.heap()         free memory
    >>> r.trace()        the latest events, one line each
    >>> r.trace_dump()   the same for `spinet-controller trace`, which draws it
Each prints, returns None, and changes nothing of the service.
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
    """Print the call-home sessions: peer, connections, state, and counts of events."""
    _run(parts.print_sessions)


def network():
    """Print the WiFi state, the module's names and the last error."""
    _run(parts.print_network)


def counters():
    """Print the counters since the last boot."""
    _run(parts.print_counters)


def heap():
    """Print the free memory: Python's heap, and the system's as networkGetStatus reports it."""
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
