"""DNS in access point mode: every name leads to the module, so browsers find it by any name.

A DNS server (RFC 1035) on UDP. It answers a question for an address with the module's own; other
kinds of record do not exist. One datagram in, at most one out; no state. Service thread only.
"""

from micropython import const

from spinet import compat, fields
from spinet.contracts.announcer import Silent
from spinet.udp import dns
from spinet.udp.ports import DatagramPort

PORT = const(53)
_TTL = const(60)  # seconds: a client that joins another network soon asks again
_REFUSED = const(5)
_NOT_IMPLEMENTED = const(4)


class CaptiveDns(Silent):
    """An announcer (contracts/announcer.py) that is started in access point mode only. It announces
    no name.

    `manager` is the ConnectionManager, whose stack has the port. `say(text)` prints why it could
    not be opened; `stir()` tells the loop that memory was used.
    """

    def __init__(self, manager, say, stir, udp_port=PORT):
        self._manager = manager
        self._say = say
        self._udp_port = udp_port
        self._stir = stir
        self._port = None  # None while there is no access point
        self._own = b""

    def start(self, _host_name, ip, _netmask):
        """Answer with this address (a u32 of the records) from now on."""
        self._own = fields.octets(ip)
        try:
            self._port = DatagramPort(self._manager, self._take, self._udp_port)
        except OSError as e:
            self._say("no DNS for the access point: " + compat.error_text(e))

    def stop(self):
        """Close the port."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _take(self, data, sender):
        self._stir()
        try:
            message = dns.parse(data, 1)
        except dns.Malformed:
            return
        if not message.flags & dns.RESPONSE and len(message.questions) == 1:
            self._port.send(self._answer(message), sender)

    def _answer(self, message):
        question = message.questions[0]
        flags = dns.RESPONSE | dns.AUTHORITATIVE | message.flags & dns.RECURSION_DESIRED
        answers = []
        if message.flags & dns.OPCODE_MASK:
            flags |= _NOT_IMPLEMENTED | message.flags & dns.OPCODE_MASK
        elif question.klass not in (dns.IN, dns.ANY):
            flags |= _REFUSED
        elif question.kind in (dns.A, dns.ANY):
            record = dns.Record(question.name, dns.A, dns.IN, _TTL, self._own)
            answers = [dns.record_bytes(record, dns.IN, _TTL)]
        questions = [dns.question_bytes(question)]
        return dns.message_bytes(message.number, flags, questions, answers, [], [])
