"""TLS of the drivers' clients: servers are verified by public roots; 40 and 41 are a client's
certificate and key.

A certificate has to be valid at the time. While that is unknown, it may have begun since the
firmware was built, but not have ended before.
"""

from spinet import compat
from spinet.tls.credentials import TlsKeys
from spinet.udp.names import is_host_name, without_dot


class _Nowhere:
    """A store that keeps nothing: after a reset there is no certificate."""

    def load(self, whole=False):
        return b""

    def save(self, data):
        pass


class Security:
    """Serves these commands. `tls`: the TlsStack, None in a firmware without TLS; `roots`: the
    board's; `clock` has seconds(); `wifi` serves WiFiNINA's 40."""

    def __init__(self, tls, roots, clock, wifi, error):
        self._tls = tls
        self._roots = roots
        self._clock = clock
        self._wifi = wifi
        self._error = error
        self._keys = TlsKeys(tls, _Nowhere())

    def set_certificate(self, request):
        if request.params == 6:
            self._wifi.join_enterprise(request)
        else:
            self._answer(request, self._keys.set_certificate(request.octets(0)))

    def set_key(self, request):
        self._answer(request, self._keys.set_key(request.octets(0)))

    def _answer(self, request, wrong):
        if self._tls:
            self._tls.show(None)
        self._keys.enable()  # as soon as both are there
        if wrong:
            self._error.set(wrong)
        request.answer_u8(0 if wrong else 1)

    def secure(self, slot, name):
        """Have the slot connect over TLS, to a server of this name or address, as bytes. False, and
        a last error, when that cannot be."""
        wrong = "TLS is not in this firmware"
        if not is_host_name(name):
            wrong = "bad host name"
        elif self._tls:
            wrong = self._secure(slot, without_dot(name).decode())
        if wrong:
            self._error.set(wrong)
        return not wrong

    def _secure(self, slot, name):
        """What is wrong; "" when nothing is."""
        try:
            seconds = self._clock.seconds()
            trust = compat.tls_session.Roots(self._roots, seconds, self._tls.identity)
        except ValueError as e:
            return "TLS: " + str(e)
        slot.secure(self._tls, trust, name)
        return ""
