"""NINA's protocol as the service's personality.

See spinet.service for what a personality has.
"""

from array import array

from spinet.nina import usual
from spinet.nina.bsd import Bsd
from spinet.nina.client import Client
from spinet.nina.clock import Clock
from spinet.nina.commands import Commands
from spinet.nina.datagrams import Datagrams
from spinet.nina.exchange import Exchange
from spinet.nina.module import Module
from spinet.nina.numbers import Numbers
from spinet.nina.pins import Pins
from spinet.nina.preferences import Preferences
from spinet.nina.security import Security
from spinet.nina.server import Server
from spinet.nina.wifi import Wifi
from spinet.tcp.callhome import NamedPeers


class Personality:
    """The parts of one Service that speak this protocol."""

    def __init__(self, service):
        manager = service.manager
        manager.kit[usual.KIT_WORDS] = words = array("I", [0] * usual.WORDS)
        words[usual.LEVEL] = usual.UNKNOWN
        datagrams = Datagrams(manager, words)
        self.numbers = numbers = Numbers(manager, service.listeners, service.wlan, datagrams, words)
        peers = NamedPeers(manager, service.names, service.error.set)
        clock = Clock(manager, service.names, numbers.is_up, service.bell.stir)
        wifi = Wifi(service.wlan, service.discovery, manager)
        security = Security(service.tls, service.board.ROOTS, clock, wifi, service.error)
        parts = (
            wifi,
            Module(service.board, service.wlan.radio),
            Client(manager, numbers, datagrams, peers, service.names, security, words),
            Server(numbers, datagrams),
            Bsd(manager, numbers, datagrams, words),
            datagrams,
            clock,
            Pins(service.board.pins()),
            Preferences(service.board.store("preferences")),
            security,
        )
        self.sessions = None
        self.commands = Commands(parts, service.garbage, service.error)
        self.link = Exchange(self.commands, words, manager.kit, service.board.buffers)
        self.tasks = (numbers, clock)

    def start(self, _now):
        """The link begins."""

    def counters(self):
        """Lines for a report."""
        link = self.link
        values = link.count[0], self.commands.unknown, link.bad_frames, link.resyncs, link.late
        return (
            "commands %d, unknown %d, bad frames %d, replies dropped for a command %d, late %d"
            % values,
        )

    def of_slot(self, slot):
        """The end of a slot's line in a report: the socket's number, and its server's."""
        return self.numbers.text(slot)
