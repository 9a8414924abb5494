"""Addresses of host names, over the stack's UDP: DNS (RFC 1035), and for names below .local the
one-shot queries of multicast DNS (RFC 6762, 5.1).

A question has a number and a UDP port of its own, both random. A datagram answers it if it comes
from a server that was asked, with that number and that question. The servers are asked in turn,
after longer and longer pauses. One that has no address for the name is asked no more. Once it was
the last, or the look-up's time is over, there is no such host.

Service thread only. Nothing here waits.
"""

from random import getrandbits

from micropython import const

from spinet.compat import sooner, ticks_add, ticks_diff
from spinet.fields import get_u32
from spinet.udp import dns
from spinet.udp.datagrams import peer, port_of
from spinet.udp.names import without_dot
from spinet.udp.ports import DatagramPort

_AT_ONCE = const(8)  # look-ups that have a UDP port; more wait for them
_FIRST_MS = const(1000)  # until the next server is asked; twice as long after each two tries
_ALIASES = const(8)  # that are followed to an address
_KEPT = const(4)  # answers that are kept
_LONGEST_S = const(3600)  # and for how long
_FAILURE = const(15)  # the flags' response code: 0, or there is no answer
_LOCALHOST = const(0x0100007F)


def spelled(text):
    """The address that a text (bytes) spells, as a u32; -1: it is a name."""
    parts = text.split(b".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        return -1
    return get_u32(bytes([int(part) for part in parts]), 0)


class Resolver:
    """Goes on with the look-ups of `names`, a Names."""

    def __init__(self, names):
        self.names = names
        self._servers = ()  # that the kept answers are of
        self._kept = []  # answers: (name, ip, ticks until when they hold)

    def poll(self, asked, now):
        """Take the look-ups that are done out of the list `asked`, and go on with the others; the
        ms until the next call, -1: nothing has a time."""
        for kept in self._kept:
            if ticks_diff(kept[2], now) <= 0:
                self._kept.remove(kept)  # and the next one in the next call
        if not asked:
            return -1
        for lookup in [each for each in asked if _is_done(each, now)]:
            asked.remove(lookup)
            _answer(lookup)
        soonest = -1
        for i, lookup in enumerate(asked):
            soonest = sooner(soonest, max(0, ticks_diff(lookup.deadline, now)))
            if i < _AT_ONCE:
                soonest = sooner(soonest, self._step(lookup, now))
        return soonest

    def _step(self, lookup, now):
        """Begin, or go on, to ask; the ms until the next step, 0: it is done."""
        if not lookup.question:
            self._begin(lookup, now)
        return 0 if lookup.ip >= 0 else lookup.question.step(now)

    def _begin(self, lookup, now):
        name = without_dot(lookup.name).lower()
        servers = self.names.radio.dns()
        if servers != self._servers:
            self._servers = servers
            self._kept = []
        known = self._known(name)
        peers = [peer(ip, self.names.udp_port) for ip in servers if ip]
        if name.endswith(b".local"):
            peers = [peer(dns.GROUP, dns.MULTICAST_PORT)]
        if known < 0 and peers:
            lookup.question = _Question(self, lookup, name, peers, now)
        else:
            lookup.ip = max(0, known)

    def _known(self, name):
        """The address that is known without a question; -1: none is. Source: RFC 6761, 6."""
        if name == b"localhost" or name.endswith(b".localhost"):
            return _LOCALHOST
        if name.endswith(b".invalid"):
            return 0
        for kept in self._kept:
            if kept[0] == name:
                return kept[1]
        ip = spelled(name)
        return ip if ip >= 0 else self.names.board.address_of(name) or -1

    def keep(self, name, ip, ttl):
        """This was the answer, which holds for so many seconds."""
        until = ticks_add(self.names.manager.now, ttl * 1000)
        self._kept = (self._kept + [(name, ip, until)])[-_KEPT:]


def _is_done(lookup, now):
    is_over = ticks_diff(now, lookup.deadline) >= 0
    return lookup.ip >= 0 or is_over or not lookup.asker.is_waiting(lookup)


def _answer(lookup):
    if lookup.question:
        lookup.question.close()
    if lookup.asker.is_waiting(lookup):
        lookup.asker.found(lookup, max(0, lookup.ip))


class _Question:
    """What is asked for one look-up. `name` is in lower case; `servers` are peers."""

    def __init__(self, resolver, lookup, name, servers, now):
        self._resolver = resolver
        self._manager = resolver.names.manager
        self._lookup = lookup
        self._name = name
        self._key = dns.name(*name.split(b"."))
        self._servers = servers  # that may know it; the first _tries of them were asked
        self._tries = 0
        self._due = now
        self._port = None
        self._is_near = port_of(servers[0]) == dns.MULTICAST_PORT  # any host may answer
        question = dns.question_bytes(dns.Question(self._key, dns.A, dns.IN))
        flags = 0 if self._is_near else dns.RECURSION_DESIRED
        self._message = dns.message_bytes(getrandbits(16), flags, [question], [], [], [])

    def step(self, now):
        """Ask when it is time to; the ms until the next time."""
        left = ticks_diff(self._due, now)
        if left > 0:
            return left
        pause = _FIRST_MS << (self._tries >> 1)
        self._due = ticks_add(now, pause)
        server = self._servers[self._tries % len(self._servers)]
        self._tries += 1
        try:
            self._port = self._port or DatagramPort(self._manager, self._take, 0)
        except OSError:
            return pause  # there may be a port then
        self._port.send(self._message, server)
        return pause

    def close(self):
        """It is over: its port is closed."""
        if self._port:
            self._port.close()
            self._port = None

    def _take(self, data, sender):
        server = self._server_at(sender)
        if server is None or data[:2] != self._message[:2]:
            return
        try:
            message = dns.parse(data)
        except dns.Malformed:
            return
        if self._is_answered_by(message):
            self._on_answer(message, server)

    def _server_at(self, sender):
        """The server that was asked and has now sent something; None: it is another host."""
        for server in self._servers[: self._tries]:
            if bytes(sender) == server or (self._is_near and sender[:2] == server[:2]):
                return server
        return None

    def _is_answered_by(self, message):
        kind = message.flags & (dns.RESPONSE | dns.OPCODE_MASK)
        if kind != dns.RESPONSE or len(message.questions) != 1:
            return False
        asked = message.questions[0]
        is_in = asked.klass & dns.CLASS_MASK == dns.IN
        return asked.key == self._key and asked.kind == dns.A and is_in

    def _on_answer(self, message, server):
        now = self._manager.now
        ip, ttl = (0, 0) if message.flags & _FAILURE else _address(message.answers, self._key)
        if ip:
            self._lookup.ip = ip
            self._resolver.keep(self._name, ip, ttl)
        else:
            self._servers.remove(server)
            self._due = now
            if not self._servers:
                self._lookup.ip = 0
        self._resolver.names.stir()


def _address(answers, key):
    """The address of this name, and for how many seconds it holds; (0, 0): there is none."""
    ttl = _LONGEST_S
    for _ in range(_ALIASES):
        alias = None
        for record in answers:
            if record.key[0] == key and record.klass & dns.CLASS_MASK == dns.IN:
                if record.kind == dns.A and len(record.data) == 4:
                    return get_u32(record.data, 0), min(ttl, record.ttl)
                if record.kind == dns.CNAME:
                    alias = record
        if alias is None:
            break
        key = alias.data.lower()
        ttl = min(ttl, alias.ttl)
    return 0, 0
