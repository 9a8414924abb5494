"""Certificate, key and CA, as the controller sends them.

Each is checked when it comes; the result says in words what is wrong with it. Certificate and key
are stored in one file that is replaced as a whole, so that a power cut never leaves a certificate
with another one's key. The CA is kept in memory only.
"""

from spinet import compat, fields


class TlsKeys:
    """`tls` is the TlsStack that uses the keys; None in a firmware without TLS."""

    def __init__(self, tls, store):
        self._tls = tls
        self._store = store  # a networks.Store; holds certificate and key
        self._certificate, self._key = _decoded(store.load(whole=True) if tls else b"")
        self._ca = None  # a Trust of the C module

    def set_certificate(self, pem):
        """Store the certificate chain; returns what is wrong with it, or None. Raises OSError.

        A stored key that does not belong to it is deleted.
        """
        if self._tls is None:
            return _MISSING
        wrong = compat.tls_session.check_certificate(pem)
        if wrong:
            return "TLS certificate: " + wrong
        if pem == self._certificate:
            return None
        wrong = _identity(pem, self._key)[1] if self._key else None
        if wrong and wrong != _STRANGERS:
            return wrong  # no memory for the check: keep the key
        self._keep(pem, b"" if wrong else self._key)
        return None

    def set_key(self, pem):
        """Store the private key; returns what is wrong with it, or None. Raises OSError.

        If a certificate is stored, the key must belong to it.
        """
        if self._tls is None:
            return _MISSING
        wrong = compat.tls_session.check_key(pem)
        if wrong:
            return "TLS key: " + wrong
        if pem == self._key:
            return None
        wrong = _identity(self._certificate, pem)[1] if self._certificate else None
        if not wrong:
            self._keep(self._certificate, pem)
        return wrong

    def _keep(self, certificate, key):
        self._store.save(_encoded(certificate, key))
        self._certificate = certificate
        self._key = key

    def set_ca(self, pem):
        """Verify servers with this CA from now on; returns what is wrong with it, or None.

        A bad CA removes the previous one too, as the controller wanted to replace that.
        """
        if self._tls is None:
            return _MISSING
        self._ca = None
        try:
            self._ca = compat.tls_session.Trust(pem)
        except ValueError as e:
            return "TLS CA: " + str(e)
        return None

    def enable(self):
        """Let listeners use certificate and key from now on; returns why that fails, or None."""
        if self._tls is None:
            return _MISSING
        if not self._certificate or not self._key:
            return "TLS has no certificate and key"
        identity, wrong = _identity(self._certificate, self._key)
        if not wrong:
            self._tls.show(identity)
        return wrong

    def enabled(self):
        """True from enable() to clear()."""
        return self._tls is not None and self._tls.identity is not None

    def has_ca(self):
        """True when outgoing connections can be verified."""
        return self._ca is not None

    def trust(self, verified):
        """A Trust for an outgoing connection: the CA, or one that accepts any certificate. None
        when there is no memory for it."""
        if verified:
            return self._ca
        try:
            return compat.tls_session.Trust(None)
        except (ValueError, MemoryError):
            return None

    def clear(self):
        """Delete certificate, key and CA; open connections go on. Raises OSError."""
        self._certificate = self._key = b""
        self._ca = None
        if self._tls:
            self._tls.show(None)
        self._store.erase()


_MISSING = "TLS is not in this firmware"
_STRANGERS = "TLS key: it does not belong to the certificate"


def _encoded(certificate, key):
    size = bytearray(2)
    fields.put_u16(size, 0, len(certificate))
    return bytes(size) + certificate + key


def _decoded(data):
    """(certificate, key) from the stored data; each may be empty."""
    if not data:
        return b"", b""
    end = 2 + fields.get_u16(data, 0)
    return data[2:end], data[end:]


def _identity(certificate, key):
    """(an Identity of both, None), or (None, why they do not belong together)."""
    try:
        return compat.tls_session.Identity(certificate, key), None
    except ValueError as e:
        return None, "TLS key: " + str(e)
