"""Host names: which are valid, and the look-ups of one Service.

The asker of a look-up has, in the service thread:

    asker.is_waiting(lookup)        True while the answer matters
    asker.found(lookup, ip)         the answer: ip is a u32 of the records, 0: there is no such host

What finds the addresses is `resolver`, which is loaded for the first look-up.
"""

from micropython import const

from spinet.compat import ticks_add

_LOOKUP_MS = const(7500)  # less than a connect time-out
_MOST = const(253)  # bytes of a name, and of a label (RFC 1035, 2.3.4)
_MOST_LABEL = const(63)


def is_host_name(text):
    """Valid name of a host, or its dotted address (bytes): labels of 1..63 letters, digits, hyphens
    and underscores, with dots between them and perhaps behind the last; 253 bytes without that."""
    text = without_dot(text)
    return len(text) <= _MOST and all(_is_label(label) for label in text.split(b"."))


def without_dot(text):
    """A name without the dot that may end it."""
    return text[:-1] if text.endswith(b".") else text


def _is_label(text):
    return 1 <= len(text) <= _MOST_LABEL and all(_is_of_name(c) for c in text)


def _is_of_name(c):
    return 97 <= c <= 122 or 65 <= c <= 90 or c == 45 or 48 <= c <= 57 or c == 95


class Lookup:
    """One look-up. `key` and `port` are for the asker's use."""

    def __init__(self, name, asker, key, tcp_port, deadline):
        self.name = name
        self.asker = asker
        self.key = key
        self.port = tcp_port
        self.deadline = deadline  # ticks: without an answer until then, there is no such host
        self.ip = -1  # -1: unknown, 0: there is no such host
        self.question = None  # the resolver's, while it is under way


class Names:
    """All look-ups of one Service. The name servers are the radio's; what the board knows of
    itself needs no look-up. `stir()` makes the loop call poll()."""

    def __init__(self, manager, board, radio, stir):
        self.manager = manager
        self.board = board
        self.radio = radio
        self.stir = stir
        self.udp_port = 53  # of name servers
        self.asked = []  # look-ups without an answer
        self._resolver = None  # until the first look-up

    def ask(self, name, asker, key, tcp_port, now):
        """Begin to look up `name` (bytes); a later poll() calls asker.found(). False: it is no
        valid name."""
        if not is_host_name(name):
            return False
        self.asked.append(Lookup(name, asker, key, tcp_port, ticks_add(now, _LOOKUP_MS)))
        self.stir()
        return True

    def poll(self, now):
        """A task: go on with the look-ups, and hand out the answers."""
        if self._resolver is None:
            if not self.asked:
                return -1
            self._load()
        return self._resolver.poll(self.asked, now)

    def _load(self):
        # One after the other, as a nested import needs more stack.
        import spinet.udp.ports  # noqa: F401
        from spinet.udp import dns  # noqa: F401
        from spinet.udp.resolver import Resolver

        self._resolver = Resolver(self)

    def stop(self):
        """The end of the service: drop all look-ups."""
        for lookup in self.asked:
            if lookup.question:
                lookup.question.close()
        self.asked = []
