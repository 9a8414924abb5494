"""Duet's link protocol as the service's personality: its commands, its link, and its news.

See spinet.service for what a personality has.
"""

from micropython import const

from spinet.compat import ticks_add, ticks_diff
from spinet.duet.commands import Commands
from spinet.duet.transaction import Link
from spinet.tcp.callhome import NamedPeers, SessionTable

NEWS_MS = const(200)  # how often the module signals again while news is not fetched


class News:
    """Signals that the state or the last error is new to the controller, at most every NEWS_MS."""

    def __init__(self, wlan, port, stir):
        self._wlan = wlan
        self._port = port
        self._stir = stir
        self._told = 0  # ticks

    def start(self, now):
        """The module is up; the controller knows that from the start-up signalling."""
        self._told = now

    def poll(self, now):
        """A task: signal, as soon as no request is under way."""
        left = NEWS_MS - ticks_diff(now, self._told)
        if left <= 0:
            self._told = ticks_add(now, -NEWS_MS)  # keep it recent, as ticks wrap
        if not self._wlan.has_news():
            return -1
        if left > 0:
            return left
        if not self._port.idle():
            self._stir()
            return -1
        self._told = now
        self._port.signal()
        return NEWS_MS


class Personality:
    """The parts of one Service that speak this protocol."""

    def __init__(self, service):
        manager = service.manager
        fail = service.error.set
        stir = service.bell.stir
        self.sessions = SessionTable(manager, service.names, stir, fail)
        named_peers = NamedPeers(manager, service.names, fail)
        self.commands = Commands(service, self.sessions, named_peers)
        self.link = Link(self.commands, service.board.buffers)
        self.news = News(service.wlan, service.port, stir)
        self.tasks = (self.sessions, self.news)

    def start(self, now):
        """The link begins."""
        self.news.start(now)

    def counters(self):
        """Lines for a report."""
        link = self.link
        values = link.count[0], link.bad_headers, link.cuts, self.commands.unknown
        return ("transactions %d, bad headers %d, cut %d, unknown commands %d" % values,)

    def of_slot(self, _slot):
        """The end of a slot's line in a report: the controller's number for it, if that differs."""
        return ""
