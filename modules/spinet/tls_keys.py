"""Certificate, key and CA, as the controller sends them. They are kept in memory and nowhere else.

Each is looked at as it comes: what is wrong is the answer then, in words, and changes nothing.
"""

from spinet import port


class TlsKeys:
    """`tls` is the TlsStack whose identity this is; None in a firmware without TLS."""

    def __init__(self, tls):
        self._tls = tls
        self._certificate = None
        self._key = None
        self._ca = None  # a context of the C module's

    def set_certificate(self, pem):
        """Keep the certificate chain; what is wrong with it, or None."""
        if self._tls is None:
            return _MISSING
        wrong = port.tls_session.check_certificate(pem)
        if wrong:
            return "TLS certificate: " + wrong
        self._certificate = pem
        return None

    def set_key(self, pem):
        """Keep the private key; what is wrong with it, or None.

        With a certificate there, the key must belong to it.
        """
        if self._tls is None:
            return _MISSING
        wrong = port.tls_session.check_key(pem)
        if wrong:
            return "TLS key: " + wrong
        if self._certificate and _identity(self._certificate, pem) is None:
            return _STRANGERS
        self._key = pem
        return None

    def set_ca(self, pem):
        """Believe what this CA vouches for; what is wrong with it, or None."""
        if self._tls is None:
            return _MISSING
        try:
            self._ca = port.tls_session.Trust(pem)
        except ValueError as e:
            return "TLS CA: " + str(e)
        return None

    def enable(self):
        """Show visitors certificate and key from now on; why that cannot be, or None."""
        if self._tls is None:
            return _MISSING
        if not self._certificate or not self._key:
            return "TLS has no certificate and key"
        identity = _identity(self._certificate, self._key)
        if identity is None:
            return _STRANGERS
        self._tls.identity = identity
        return None

    def enabled(self):
        """True from enable() to clear()."""
        return self._tls is not None and self._tls.identity is not None

    def has_ca(self):
        """True when outgoing connections can be verified."""
        return self._ca is not None

    def trust(self, verified):
        """What an outgoing connection believes; None when there is no memory for it."""
        if verified:
            return self._ca
        try:
            return port.tls_session.Trust(None)
        except (ValueError, MemoryError):
            return None

    def clear(self):
        """Forget everything; connections that are there go on."""
        self._certificate = self._key = self._ca = None
        if self._tls:
            self._tls.identity = None


_MISSING = "TLS is not in this firmware"
_STRANGERS = "TLS key: it does not belong to the certificate"


def _identity(certificate, key):
    """Both, each of which is sound, as a context; None when they do not belong together."""
    try:
        return port.tls_session.Identity(certificate, key)
    except ValueError:
        return None
