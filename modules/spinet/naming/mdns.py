"""A multicast DNS responder: one host name, and the services of that host (RFC 6762, 6763).

An announcer (contracts/announcer.py) for boards whose system has none. Each unique name is a Claim:
it is probed three times, then announced twice, then answered for. When another host has the name
already, that host keeps it, and all the module's names get a number: spinet-2. An answer is a pair:
the record, and its name as the question spelled it. Service thread only.
"""

from random import getrandbits

from micropython import const

from spinet import compat, fields
from spinet.compat import ticks_add, ticks_diff, ticks_ms
from spinet.naming.discovery import label
from spinet.udp import datagrams, dns
from spinet.udp.ports import DatagramPort

_PROBES = const(3)
_PROBE_MS = const(250)
_ANNOUNCEMENTS = const(2)
_ANNOUNCE_MS = const(1000)
_DEFER_MS = const(1000)  # the loser of simultaneous probes probes again after this
_CROWDED = const(15)  # after so many renamings, each further one waits _PATIENCE_MS
_PATIENCE_MS = const(5000)
_AGAIN_MS = const(1000)  # a record is not multicast more often than this
_HOST_TTL = const(120)  # seconds; for records that change with the address or the host name
_OTHER_TTL = const(4500)
_LEGACY_TTL = const(10)  # for legacy queries: plain DNS from another port than 5353
_PACKET = const(1300)  # bytes of records in one message
_GOODBYE = const(0)
_PAST = const(16)

_PROBING = const(0)
_ANNOUNCING = const(1)
_ESTABLISHED = const(2)

_LOCAL = b"local"
_ANSWER = dns.RESPONSE | dns.AUTHORITATIVE


class OwnRecord(dns.Record):
    """A record of the module. `last`: ticks of its last multicast; None: never."""

    def __init__(self, owner, kind, ttl, data, unique=True, goodbye=True):
        klass = dns.IN | dns.FLUSH if unique else dns.IN
        super().__init__(owner, kind, klass, ttl, data)
        self.unique = unique
        self.goodbye = goodbye  # False for a record that other hosts share
        self.last = None

    def is_fresh(self, now):
        """True when it was multicast less than _AGAIN_MS ago."""
        return self.last is not None and 0 <= ticks_diff(now, self.last) < _AGAIN_MS


class Claim:
    """A unique name, its records, and the shared records that point to it."""

    def __init__(self, owner, records, due):
        self.key = owner.lower()
        self.records = records
        self.own = [record for record in records if record.key[0] == self.key]
        self.denial = OwnRecord(owner, dns.NSEC, _HOST_TTL, owner + _bit_map(self.own))
        self.state = _PROBING
        self.sent = 0  # probes, then announcements
        self.due = due  # ticks of the next one; not used once established

    def restart(self, due):
        """Probe for the name again, from `due` on."""
        self.state = _PROBING
        self.sent = 0
        self.due = due

    def answers(self, question):
        """The records that answer a question; for a kind that this name does not have, the NSEC
        record, which says so."""
        if self.state == _PROBING or question.klass & dns.CLASS_MASK not in (dns.IN, dns.ANY):
            return []
        named = [record for record in self.records if record.key[0] == question.key]
        found = [record for record in named if question.kind in (record.kind, dns.ANY)]
        return found or ([self.denial] if question.key == self.key else [])

    def disputed_by(self, record):
        """True when another host's record conflicts with this claim."""
        if record.key[0] != self.key or not record.ttl:
            return False
        if any(own.key == record.key for own in self.own):
            return False
        return self.state == _PROBING or any(own.kind == record.kind for own in self.own)

    def loses_to(self, theirs):
        """The tie-break of simultaneous probes: the lexicographically later records win."""
        return sorted(map(_rank, self.own)) < sorted(map(_rank, theirs))


def _rank(record):
    return (record.klass & dns.CLASS_MASK, record.kind, record.data)


def _bit_map(records):
    """An NSEC record's type bit map, up to the byte of the highest type (RFC 4034, 4.1.2)."""
    octets = bytearray((max(record.kind for record in records) >> 3) + 1)
    for record in records:
        octets[record.kind >> 3] |= 0x80 >> (record.kind & 7)
    return bytes((0, len(octets))) + octets


class Responder:
    """An announcer over a UDP port. `txt`: the strings (bytes) of every service's TXT record.

    `stir()` makes the loop call poll(). `say(text)` prints the name that the module got, or why it
    has none. `manager` is the ConnectionManager, whose stack has the port.
    `open_port(manager, take, number, group, own)` returns a DatagramPort; tests give another.
    """

    def __init__(self, manager, txt, say, stir, open_port=DatagramPort):
        self._manager = manager
        self._txt = b"".join([bytes((len(text),)) + text for text in txt]) or b"\0"
        self._say = say
        self._open = open_port
        self._group = datagrams.peer(dns.GROUP, dns.MULTICAST_PORT)
        self._stir = stir
        self._port = None  # None while not on the network
        self._base = b""  # the name that was asked for
        self._number = 1  # its suffix; 1: none
        self._own = b""  # the module's address, 4 octets
        self._mask = b""
        self._host = b""
        self._services = {}  # type, as b"_http" -> port
        self._claims = {}  # type, b"" for the host -> Claim
        self._queue = []  # answers that are sent at _queue_due
        self._queue_due = 0
        self._past = []  # keys of dropped records: the module's own multicasts may come back late

    # --- an announcer

    def named(self, _host_name):
        """No effect: start() gives the name again."""

    def start(self, host_name, ip, netmask):
        """Claim this name (any bytes) for this address (u32s of the records)."""
        self._own = fields.octets(ip)
        self._mask = fields.octets(netmask)
        self._base = label(host_name)
        self._number = 1
        try:
            self._port = self._open(self._manager, self._take, dns.MULTICAST_PORT, dns.GROUP, ip)
        except OSError as e:
            self._say("no mDNS: " + compat.error_text(e))
            return
        self._claim_all(self._soon(_PROBE_MS))

    def stop(self):
        """Say goodbye, and close the port."""
        if self._port is None:
            return
        for claim in self._claims.values():
            self._take_leave(claim)
        self._claims = {}
        self._past = []
        self._queue = []
        self._port.close()
        self._port = None

    def service(self, kind, tcp_port):
        """Offer this service, as b"_http", on that port from now on; 0: no longer."""
        if tcp_port:
            self._services[kind] = tcp_port
        else:
            self._services.pop(kind, None)
        if self._port is None:
            return
        if kind in self._claims:
            self._take_leave(self._claims.pop(kind))
        if tcp_port:
            self._claim_service(kind, ticks_ms())
        self._stir()

    def name(self):
        """The host name without its .local, "" while there is none."""
        return self._label().decode() if self._port else ""

    def poll(self, now):
        """Probe, announce and answer what is due."""
        if self._port is None:
            return -1
        self._step(now)
        return self._due_ms(now)

    def _step(self, now):
        for claim in list(self._claims.values()):
            if claim.state != _ESTABLISHED and ticks_diff(now, claim.due) >= 0:
                self._advance(claim, now)
        if self._queue and ticks_diff(now, self._queue_due) >= 0:
            answers = self._queue
            self._queue = []
            self._multicast(answers, now)

    def _due_ms(self, now):
        dues = [claim.due for claim in self._claims.values() if claim.state != _ESTABLISHED]
        if self._queue:
            dues.append(self._queue_due)
        return min([max(0, ticks_diff(due, now)) for due in dues]) if dues else -1

    # --- names

    def _label(self):
        if self._number == 1:
            return self._base
        suffix = b"-%d" % self._number
        return self._base[: 63 - len(suffix)] + suffix

    def _claim_all(self, due):
        self._claims = {}
        self._host = dns.name(self._label(), _LOCAL)
        reverse = [str(octet).encode() for octet in reversed(self._own)]
        reverse = dns.name(*(reverse + [b"in-addr", b"arpa"]))
        records = [
            OwnRecord(self._host, dns.A, _HOST_TTL, self._own),
            OwnRecord(reverse, dns.PTR, _HOST_TTL, self._host),
        ]
        self._claims[b""] = Claim(self._host, records, due)
        for kind in self._services:
            self._claim_service(kind, due)
        self._stir()

    def _claim_service(self, kind, due):
        offered = dns.name(kind, b"_tcp", _LOCAL)
        instance = dns.name(self._label())[:-1] + offered
        place = bytes(4) + self._services[kind].to_bytes(2, "big") + self._host
        all_kinds = dns.name(b"_services", b"_dns-sd", b"_udp", _LOCAL)
        records = [
            OwnRecord(offered, dns.PTR, _OTHER_TTL, instance, unique=False),
            OwnRecord(instance, dns.SRV, _HOST_TTL, place),
            OwnRecord(instance, dns.TXT, _OTHER_TTL, self._txt),
            OwnRecord(all_kinds, dns.PTR, _OTHER_TTL, offered, unique=False, goodbye=False),
        ]
        self._claims[kind] = Claim(instance, records, due)

    def _advance(self, claim, now):
        if claim.state == _PROBING and claim.sent < _PROBES:
            self._probe(claim)
            claim.due = ticks_add(now, _PROBE_MS)
        else:
            if claim.state == _PROBING:
                self._settled(claim)
            self._multicast(_unasked(claim.records), now)
            claim.due = ticks_add(now, _ANNOUNCE_MS)
        claim.sent += 1
        if claim.state == _ANNOUNCING and claim.sent == _ANNOUNCEMENTS:
            claim.state = _ESTABLISHED

    def _settled(self, claim):
        claim.state = _ANNOUNCING
        claim.sent = 0
        if claim.key == self._host.lower():
            self._say("known as %s.local" % self.name())

    def _probe(self, claim):
        question = dns.Question(claim.own[0].name, dns.ANY, dns.IN | dns.UNICAST)
        proposed = [dns.record_bytes(own, dns.IN, own.ttl) for own in claim.own]
        self._send(dns.message_bytes(0, 0, [dns.question_bytes(question)], [], proposed, []))

    def _taken(self, claim, now):
        """Another host has this name. Outside of probing, probe for it once more. While probing,
        take another name: all claims start anew then, as each service's name contains the host's.
        """
        if claim.state != _PROBING:
            claim.restart(now)
            self._stir()
            return
        for other in self._claims.values():
            if other is not claim:
                self._take_leave(other)
        self._number += 1
        self._claim_all(ticks_add(now, _PATIENCE_MS if self._number > _CROWDED else 0))

    def _take_leave(self, claim):
        self._past = (self._past + [own.key for own in claim.own])[-_PAST:]
        if claim.state != _PROBING:
            known = [record for record in claim.records if record.goodbye]
            self._send_answers(_unasked(known), _GOODBYE)

    # --- received messages

    def _take(self, data, sender):
        self._stir()
        if not self._is_near(sender):
            return
        try:
            message = dns.parse(data)
        except dns.Malformed:
            return
        if message.flags & dns.OPCODE_MASK:
            return
        if message.flags & dns.RESPONSE:
            self._on_response(message, ticks_ms())
        else:
            self._on_query(message, sender, ticks_ms())

    def _is_near(self, peer):
        """True for a peer of this network. Others get no answer: with a forged sender, the
        answers would flood a third host."""
        for i in range(4):
            if (peer[2 + i] ^ self._own[i]) & self._mask[i]:
                return False
        return True

    def _on_response(self, message, now):
        for record in message.answers:
            for claim in self._claims.values():
                if claim.disputed_by(record) and record.key not in self._past:
                    self._taken(claim, now)
                    return  # _taken() has replaced the claims

    def _on_query(self, message, sender, now):
        self._yield_to(message.authority, now)
        if not message.questions:  # the rest of a known-answer list
            self._queue = _unknown(self._queue, message.answers)
            return
        answers = _unknown(self._answers(message.questions), message.answers)
        if not answers:
            return
        if datagrams.port_of(sender) != dns.MULTICAST_PORT:
            self._answer_legacy(message, answers, sender)
        elif message.authority:
            self._multicast(answers, now)  # a probe for a name of this module: defend it at once
        elif all(question.klass & dns.UNICAST for question in message.questions):
            self._send_answers(answers, None, sender)
        else:
            self._answer_all(answers, message.flags & dns.TRUNCATED, now)

    def _yield_to(self, theirs, now):
        for claim in self._claims.values():
            rivals = [record for record in theirs if record.key[0] == claim.key]
            if rivals and claim.state == _PROBING and claim.loses_to(rivals):
                claim.restart(ticks_add(now, _DEFER_MS))

    def _answers(self, questions):
        """The answers, each record once, with its name as the first question spelled it."""
        found = []
        for question in questions:
            for claim in self._claims.values():
                mine = [(record, question.name) for record in claim.answers(question)]
                found += _without(mine, _records(found))
        return found

    def _answer_all(self, answers, more_is_coming, now):
        fresh = [answer for answer in answers if not answer[0].is_fresh(now)]
        if all(record.unique for record, _ in fresh) and not more_is_coming:
            self._multicast(fresh, now)
            return
        if not self._queue:
            self._queue_due = self._soon(100, 400 if more_is_coming else 20)
        self._queue += _without(fresh, _records(self._queue))
        self._stir()

    def _answer_legacy(self, message, answers, sender):
        questions = [dns.question_bytes(question) for question in message.questions]
        ttl = _LEGACY_TTL
        records = [
            dns.record_bytes(one, dns.IN, min(one.ttl, ttl), asked) for one, asked in answers
        ]
        data = dns.message_bytes(message.number, _ANSWER, questions, records, [], [])
        self._port.send(data, sender)

    # --- sent messages

    def _soon(self, span, least=0):
        """Ticks of a random moment, `least` to `least + span` ms from now."""
        return ticks_add(ticks_ms(), least + getrandbits(16) % span)

    def _multicast(self, answers, now):
        for record, _ in answers:
            record.last = now
        self._send_answers(answers, None)

    def _send_answers(self, answers, ttl, to=None):
        """Send answers in as many messages as needed; the first has the additional records."""
        extra = [] if ttl == _GOODBYE else _unasked(self._additional(_records(answers)))
        while answers:
            n = _fitting(_records(answers))
            told = [_bytes_of(answer, ttl) for answer in answers[:n]]
            additional = [_bytes_of(answer, ttl) for answer in extra]
            self._send(dns.message_bytes(0, _ANSWER, [], told, [], additional), to)
            answers = answers[n:]
            extra = []

    def _additional(self, records):
        """The records that a client asks for next: a service's SRV and TXT, and the address."""
        wanted = []
        for claim in self._claims.values():
            if any(one in records for one in claim.records):
                wanted += claim.own
        if wanted:
            wanted += self._claims[b""].own
        extra = []
        for record in wanted:
            if record not in records and record not in extra:
                extra.append(record)
        return extra if _fitting(records + extra) == len(records + extra) else []

    def _send(self, data, to=None):
        self._port.send(data, to or self._group)


def _unasked(records):
    """Answers to no question: the names keep the records' own spelling."""
    return [(record, record.name) for record in records]


def _records(answers):
    return [record for record, _ in answers]


def _without(answers, records):
    return [answer for answer in answers if answer[0] not in records]


def _bytes_of(answer, ttl):
    record, asked = answer
    return dns.record_bytes(record, record.klass, record.ttl if ttl is None else ttl, asked)


def _unknown(answers, known):
    """The answers that the querier does not know, or knows for less than half of their TTL."""
    return [one for one in answers if not any(_is_known(one[0], record) for record in known)]


def _is_known(own, record):
    return own.key == record.key and 2 * record.ttl >= own.ttl


def _fitting(records):
    """How many of the first records fit into one message; at least one."""
    size = 0
    for i, record in enumerate(records):
        size += len(record.name) + 10 + len(record.data)
        if size > _PACKET and i:
            return i
    return len(records)
