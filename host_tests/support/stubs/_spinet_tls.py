"""The C module `_spinet_tls` for CPython: the same boxes and answers, over OpenSSL.

As strict as the C: boxes have an end, and a session that has ended raises.
"""

import contextlib
import ssl
import tempfile

from cryptography import x509
from cryptography.exceptions import InvalidSignature

PEER_ENDED = -0x7880
STRANGER = "it does not belong to the certificate"
_VERIFY_FAILED = -0x2700
_BROKEN = -0x7780
_REASONS = {-0x7F00: "out of memory", -0x7280: "the peer left"}


def _in_file(text):
    file = tempfile.NamedTemporaryFile(suffix=".pem")  # noqa: SIM115 -- closed by the caller's with
    file.write(text)
    file.flush()
    return file


def _context(protocol):
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    return context


class Identity:
    server = True

    def __init__(self, certificate, key):
        self.context = _context(ssl.PROTOCOL_TLS_SERVER)
        with _in_file(certificate) as first, _in_file(key) as second:
            try:
                self.context.load_cert_chain(first.name, second.name, password="")
            except ssl.SSLError as error:
                reason = error.reason or "error"  # KEY_VALUES_MISMATCH or KEY_TYPE_MISMATCH
                stranger = reason.endswith("_MISMATCH")
                raise ValueError(STRANGER if stranger else reason) from error


class Trust:
    server = False

    def __init__(self, ca):
        self.context = _context(ssl.PROTOCOL_TLS_CLIENT)
        if ca is None:
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE
            return
        try:
            self.context.load_verify_locations(cadata=ca.decode())
        except (ssl.SSLError, UnicodeDecodeError) as error:
            raise ValueError("error -0x2180") from error


class Roots:
    """The file of roots is read by OpenSSL, which looks at dates by this computer's clock."""

    server = False
    built = 0  # when the firmware was built, in seconds since 1970

    def __init__(self, file, seconds, identity):
        self.date = max(seconds, self.built)
        self.identity = identity
        self.context = _context(ssl.PROTOCOL_TLS_CLIENT)
        try:
            self.context.load_verify_locations(file)
        except (ssl.SSLError, OSError) as error:
            raise ValueError("no CA is known") from error


def check_certificate(pem):
    try:
        Trust(pem)
    except ValueError as error:
        return str(error)
    return None


def check_own(pem):
    wrong = check_certificate(pem)
    if not wrong:
        own, *others = x509.load_pem_x509_certificates(pem)
        if others:
            return "there is more than one"
        try:
            own.verify_directly_issued_by(own)
        except (ValueError, InvalidSignature):
            wrong = "it has not signed itself, or is too weak"
    return wrong


def check_key(pem):
    return None if b"PRIVATE KEY-----" in pem else "error -0x3d00"


class Session:
    def __init__(self, context, inbox, outbox, server_name=None):
        self._inbox = inbox
        self._outbox = outbox
        self._in = self._in_end = 0
        self._out = self._out_end = 0
        self._from_peer = ssl.MemoryBIO()
        self._to_peer = ssl.MemoryBIO()
        self._why = "error"
        self._error = 0
        self._shaken = False
        self._clear = b""
        if server_name == "":  # any will do
            context.context.check_hostname = False
            server_name = None
        self._ssl = context.context.wrap_bio(
            self._from_peer, self._to_peer, context.server, server_hostname=server_name
        )

    def end(self):
        self._ssl = None

    # --- boxes

    def in_room(self):
        assert self._ssl
        n = self._in_end - self._in
        self._inbox[:n] = self._inbox[self._in : self._in_end]
        self._in, self._in_end = 0, n
        return len(self._inbox) - n

    def in_at(self):
        return self._in_end

    def fed(self, n):
        if not 0 <= n <= len(self._inbox) - self._in_end:
            raise ValueError("more than there was room for")
        self._in_end += n

    def out_at(self):
        return self._out

    def out_count(self):
        assert self._ssl
        self._fill_outbox()
        return self._out_end - self._out

    def sent(self, n):
        if not 0 <= n <= self._out_end - self._out:
            raise ValueError("more than there is")
        self._out += n

    def _fill_outbox(self):
        n = self._out_end - self._out
        self._outbox[:n] = self._outbox[self._out : self._out_end]
        more = self._to_peer.read(len(self._outbox) - n)
        self._outbox[n : n + len(more)] = more
        self._out, self._out_end = 0, n + len(more)

    def _empty_inbox(self):
        self._from_peer.write(bytes(self._inbox[self._in : self._in_end]))
        self._in = self._in_end = 0

    # --- handshake and records

    def _fail(self, error):
        self._error = _BROKEN
        if isinstance(error, ssl.SSLCertVerificationError):
            self._error = _VERIFY_FAILED
            self._why = error.verify_message
        else:
            self._why = error.reason or "error"
        return self._error

    def step(self):
        assert self._ssl
        if self._error:
            return self._error
        self._empty_inbox()
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return 0
        except ssl.SSLError as error:
            return self._fail(error)
        self._shaken = True
        return 1

    def look(self):
        assert self._ssl
        if self._clear or self._error:
            return len(self._clear) or self._error
        self._empty_inbox()
        try:
            self._clear = self._ssl.read(16384)
        except ssl.SSLWantReadError:
            return 0
        except ssl.SSLError as error:
            return self._fail(error)
        if not self._clear:
            self._error = PEER_ENDED
        return len(self._clear) or PEER_ENDED

    def open(self, buf, offset, n):
        assert self._ssl
        assert 0 <= offset <= offset + n <= len(buf)
        taken = self._clear[:n]
        self._clear = self._clear[n:]
        buf[offset : offset + len(taken)] = taken
        return len(taken)

    def seal(self, buf, offset, n):
        assert self._ssl
        assert 0 <= offset <= offset + n <= len(buf)
        if self._error not in (0, PEER_ENDED):
            return self._error
        n = min(n, len(self._outbox) - self.out_count() - 64)
        if n <= 0:
            return 0
        sealed = self._ssl.write(bytes(buf[offset : offset + n]))
        self._fill_outbox()
        return sealed

    def finish(self):
        if self._shaken and len(self._outbox) - self.out_count() >= 66:
            with contextlib.suppress(ssl.SSLError):  # it waits for the peer's, which we do not
                self._ssl.unwrap()
            self._fill_outbox()

    def reason(self, error):
        return _REASONS.get(error, self._why)
