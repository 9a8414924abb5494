"""Reports for the REPL, while the service runs.

    >>> import spinet.report as r
    >>> r.all()          all of these but update and trace
    >>> r.slots()        every slot: state, holders, addresses, bytes waiting
    >>> r.listeners()    every port that is listened on
    >>> r.sessions()     the call-home sessions: peer, state, counts of events
    >>> r.network()      WiFi: state, network, address, names, last error (never a password)
    >>> r.counters()     transactions, time-outs, failures, faults
    >>> r.heap()         free memory
    >>> r.update()       the version that runs, and how the last update ended
    >>> r.trace()        the latest events, one line each
    >>> r.trace_dump()   the same for `spinet-controller trace`, which draws it
Each prints, returns None, and changes nothing of the service.
"""

from spinet import service as service_module
from spinet.debug import parts, trace_lines


def _report(part):
    def report():
        current = service_module.current
        if current is None:
            print("the service does not run")
        else:
            part(current)

    return report


all = _report(parts.diagnostics)
slots = _report(parts.print_slots)
listeners = _report(parts.print_listeners)
sessions = _report(parts.print_sessions)
network = _report(parts.print_network)
counters = _report(parts.print_counters)
heap = _report(parts.print_heap)
update = _report(parts.print_update)


def trace():
    """Print the event trace: seconds before now, slot, event."""
    for line in trace_lines.lines():
        print(line)


def trace_dump():
    """Print the event trace for a program."""
    for line in trace_lines.dump_lines():
        print(line)
