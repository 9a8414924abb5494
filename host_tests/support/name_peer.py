"""DNS as a server sends it, and a name server at a net's UDP port."""

import struct

A, CNAME, AAAA, IN = 1, 5, 28, 1
NO_SUCH_NAME = 3
ANSWERS = 0x8180  # flags: a response, with recursion
TTL = 60
OWNER = b"\xc0\x0c"  # the question's name, by a pointer


def name_of(question):
    """The name (bytes) that a DNS message asks for."""
    at, labels = 12, []
    while size := question[at]:
        labels.append(question[at + 1 : at + 1 + size])
        at += 1 + size
    return b".".join(labels)


def end_of(question):
    """Where its first question ends; more may follow it."""
    return question.index(b"\0", 12) + 5


def encoded(name):
    """A name (bytes) as on the wire."""
    return b"".join(bytes((len(label),)) + label for label in name.split(b".")) + b"\0"


def record(data, kind=A, owner=OWNER, ttl=TTL, klass=IN):
    """A record; `data` may be an address (u32 of the firmware's records)."""
    data = struct.pack("<I", data) if isinstance(data, int) else data
    return owner + struct.pack(">HHIH", kind, klass, ttl, len(data)) + data


def answer(question, *records, flags=ANSWERS, number=None, asked=None, asks=1):
    """The answer to a question, with these records."""
    number = question[:2] if number is None else number
    asked = question[12 : end_of(question)] if asked is None else asked
    head = number + struct.pack(">HHHHH", flags, asks, len(records), 0, 0)
    return head + asked + b"".join(records)


def answer_to(question, ip, ttl=TTL):
    """The answer with this address (u32); 0 or None: there is no such name."""
    is_address = question[end_of(question) - 4 : end_of(question) - 2] == struct.pack(">H", A)
    found = [record(ip, ttl=ttl)] if ip and is_address else []
    return answer(question, *found, flags=ANSWERS | (0 if ip else NO_SUCH_NAME))


class NamePeer:
    """A name server at `peer`, a datagram_peer() of a net.

    It answers with the addresses (u32s) of `known`, by name (bytes); no other name exists. While it
    `holds`, only answer() does. `asked` has the names that were asked for, each question's.
    """

    def __init__(self, peer, known=None):
        self.peer = peer
        self.known = {} if known is None else known
        self.holds = False
        self.asked = []
        self.questions = {}  # name -> (the last question, the port that it came from)

    @property
    def ip(self):
        return int.from_bytes(self.peer.address[2:], "little")

    @property
    def port(self):
        return int.from_bytes(self.peer.address[:2], "little")

    def serve(self):
        """Take what has come, and answer it."""
        while got := self.peer.receive():
            name = name_of(got[0])
            self.asked.append(name)
            self.questions[name] = got
            if not self.holds:
                self.answer(name, self.known.get(name.lower(), 0))

    def answer(self, name, ip):
        """Answer the last question for this name, for this once."""
        question, port = self.questions[name]
        self.peer.send(answer_to(question, ip, ttl=0), port)
