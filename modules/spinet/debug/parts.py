"""The parts of a report on a Service, each printed: see spinet.report."""

import gc

from spinet import states
from spinet.debug import trace_lines
from spinet.debug.trace_lines import shown
from spinet.fields import dotted
from spinet.network_status import NetworkStatus
from spinet.states import STATES, WIFI_STATES
from spinet.tcp import status
from spinet.tcp.callhome import EVENT_NAMES, STATE_NAMES
from spinet.version import VERSION


def _address(record):
    peer = dotted(status.peer_ip(record))
    return "%d <- %s:%d" % (status.local_port(record), peer, status.remote_port(record))


def _print_slot(slot, known_as):
    owners = (("stack", slot.handle != 0), ("controller", slot.held_by_controller()))
    holders = [name for name, held in owners if held]
    print(
        "%d %-14s %-17s %-28s in %5d  room %5d%s"
        % (
            slot.number,
            STATES[slot.state],
            "+".join(holders) or "-",
            _address(slot.record) if holders else "",
            slot.readable(),
            slot.space(),
            known_as,
        )
    )


def print_slots(service):
    """The eight slots."""
    for slot in service.manager.slots:
        _print_slot(slot, service.personality.of_slot(slot))


def print_listeners(service):
    """The ports that are listened on."""
    for entry in service.listeners.entries:
        if entry:
            used = entry.connections
            waiting = ", more are waiting" if entry.waiting else ""
            print(
                "port %d protocol %d: %d of %d%s"
                % (entry.port, entry.protocol, used, entry.limit, waiting)
            )


def print_sessions(service):
    """The call-home sessions: peer, connections, state, and counts of events."""
    for entry in service.sessions.entries if service.sessions else ():
        if entry:
            used = entry.connections
            state = STATE_NAMES[entry.state]
            events = ["%s %d" % event for event in zip(EVENT_NAMES, entry.counts)]
            print(
                "home %s protocol %d: %d of %d, %s; %s"
                % (entry.title(), entry.protocol, used, entry.limit, state, ", ".join(events))
            )


def print_network(service):
    """The WiFi state, the module's names and the last error."""
    wlan = service.wlan
    print("WiFi %s, rssi %d" % (WIFI_STATES[wlan.state], wlan.rssi))
    if wlan.state in (states.WIFI_CONNECTED, states.WIFI_ACCESS_POINT):
        _print_link(wlan)
    print("%d reconnects" % wlan.station.reconnects)
    _print_names(service)
    print("last error: %s" % (shown(service.error.text) or "none"))
    print("%d networks remembered" % len(service.networks.remembered()))


def _print_names(service):
    known = service.discovery.announcer.name()
    known = "announced as %s.local" % known if known else "not announced"
    print("host name %s, %s" % (shown(service.discovery.host_name), known))


def _print_link(wlan):
    status = NetworkStatus()
    wlan.fill(status)
    print("network %s, channel %d, " % (shown(status.ssid), status.channel), end="")
    addresses = dotted(status.ip), dotted(status.netmask), dotted(status.gateway)
    print("address %s, netmask %s, gateway %s" % addresses)
    if wlan.state == states.WIFI_ACCESS_POINT:
        print("%d stations" % status.clients)


def print_heap(service):
    """Free memory: Python's heap, and the system's as networkGetStatus reports it."""
    python, system = service.board.free_memory()
    used = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
    print("Python's heap free %d, in use %d" % (python, used))
    print("system's heap free %d" % system)


def print_counters(service):
    """The counters since the last boot."""
    manager = service.manager
    print("Spinet %s, protocol %s" % (VERSION, service.board.PROTOCOL))
    for line in service.personality.counters():
        print(line)
    print("connect time-outs %d" % manager.connect_timeouts)
    print("closes without acknowledgement %d" % manager.unacknowledged_closes)
    print("connections lost before accept %d" % service.listeners.refused)
    tls = service.tls
    if tls:
        values = tls.sessions(), tls.visitors, tls.failures, tls.timeouts
        print("TLS sessions %d, handshakes under way %d, failed %d, timed out %d" % values)
    print("writes without acknowledgement %d" % manager.write_timeouts)
    print("faults %d, stale references %d" % (manager.faults, manager.stale))
    print("out of memory %d times" % service.commands.shortages)


_PARTS = (
    print_network,
    print_listeners,
    print_sessions,
    print_slots,
    print_counters,
    print_heap,
)


def diagnostics(service):
    """Everything but the trace."""
    for part in _PARTS:
        part(service)


def print_update(service):
    """What runs, and how the last update ended. Imported are only the parts that are asked for."""
    from spinet.update import record

    slots = service.board.partitions()
    if slots is None:
        print("one slot: an image can come by cable only")
        return
    print("version %s in slot %d, %d KB each" % (slots.version, slots.slot, slots.size // 1024))
    ended = record.told(service.board.store("update"), slots.slot)
    print("last update: %s" % (ended or "none"))
    print("over the network: %s" % (service.updates.told() if service.updates else "off"))


def telling(service):
    """Everything and the trace, for the diagnostics command. A generator: each step prints so
    little that the UART has sent it before a waiting controller times out."""
    for part in _PARTS:
        part(service)
        yield True
    for line in trace_lines.dump_lines():
        print(line)
        yield True
