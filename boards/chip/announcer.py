"""The announcer of a chip: see spinet/contracts/announcer.py.

ESP-IDF's mDNS component announces name and services, through the C module `_spinet_mdns`. Its calls
wait for a task of the component, so a worker makes them. Without the C module (stock firmware),
MicroPython announces only the host name that was set before the station joined.
"""

import network

from spinet import VERSION_TEXT
from spinet.compat import WORKER_STACK
from spinet.naming.discovery import label
from spinet.worker import Worker

try:
    import _spinet_mdns as mdns
except ImportError:
    mdns = None

PRODUCT = "Spinet"
HOST_NAME_LIMIT = 32  # of network.hostname()


class ChipAnnouncer:
    """The announcer of a chip. `say(text)` prints what the component refuses."""

    def __init__(self, say):
        self._say = say
        self._label = "spinet"
        self._up = False
        self._services = {}  # kind -> port
        self._worker = Worker(WORKER_STACK)

    def named(self, host_name):
        """Set the name for DHCP and MicroPython's own mDNS, which take it when WiFi connects."""
        self._label = label(host_name).decode()
        network.hostname(self._label[:HOST_NAME_LIMIT].rstrip("-"))

    def start(self, _host_name, _ip, _netmask):
        """Announce name and services; the component knows the addresses."""
        self._up = True
        if mdns:
            self._do(mdns.name, (self._label,))
            for kind, port in self._services.items():
                self._offer(kind, port)

    def service(self, kind, tcp_port):
        """Offer it, or withdraw it."""
        kind = kind.decode()
        if tcp_port:
            self._services[kind] = tcp_port
        else:
            self._services.pop(kind, None)
        if not self._up or not mdns:
            return
        if tcp_port:
            self._offer(kind, tcp_port)
        else:
            self._do(mdns.withdraw, (kind,))

    def stop(self):
        """Withdraw the services. The component withdraws the name when the address is gone."""
        self._up = False
        if mdns:
            for kind in self._services:
                self._do(mdns.withdraw, (kind,))

    def name(self):
        """The name that was asked for: the component does not report when it took another one."""
        return self._label if self._up else ""

    def poll(self, _now):
        """Nothing has a time."""
        return -1

    def _offer(self, kind, port):
        self._do(mdns.offer, (kind, port, PRODUCT, VERSION_TEXT))

    def _do(self, function, arguments):
        if not self._worker.add(Call(function, arguments, self._say)):
            self._say("no memory for mDNS")


class Call:
    """A call of the component, as a job for the worker."""

    def __init__(self, function, arguments, say):
        self._function = function
        self._arguments = arguments
        self._say = say

    def work(self):
        error = self._function(*self._arguments)
        if error:
            self._say("mDNS refuses %s: error %d" % (self._arguments[0], error))

    def no_memory(self):
        self._say("no memory for mDNS")
