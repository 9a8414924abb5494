"""The commands of connections: connCreate to connGetStatus, and networkListen.

See duet/commands.py for when each method is called.
"""

from spinet import fields, states
from spinet.duet import wire
from spinet.udp.names import is_host_name, without_dot


class Sockets:
    """Serves these commands over the slots, the listeners and the call-home sessions."""

    def __init__(self, manager, listeners, sessions, named_peers, tls, keys, error):
        self._manager = manager
        self._listeners = listeners
        self._sessions = sessions
        self._named_peers = named_peers
        self._tls = tls  # the TlsStack; None in a firmware without TLS
        self._keys = keys
        self._error = error
        self._token = 0  # of the slot that the connCreate under way has allocated

    def socket_only(self, request):
        return 0 if request.socket < states.SOCKETS else wire.BAD_PARAMETER

    def abort(self, request):
        self._manager.slots[request.socket].abort()

    def close(self, request):
        self._manager.slots[request.socket].close()

    def break_off(self, request):
        """Bytes were lost: break the connection, so that the controller sees it."""
        self._manager.slots[request.socket].break_off()

    def create(self, request):
        refusal = self._create_refusal(request)
        if refusal:
            return refusal
        slot = self._manager.allocate(0)
        if slot is None:
            return wire.BUSY
        self._token = slot.token()
        request.accepted = request.length
        return slot.number

    def _create_refusal(self, request):
        """WRONG_STATE for TLS without support or without a CA to verify with, else 0."""
        if not request.flags & wire.FLAG_TLS:
            return 0
        verifiable = request.flags & wire.FLAG_UNVERIFIED or self._keys.has_ca()
        return 0 if self._tls and verifiable else wire.WRONG_STATE

    def connect(self, request):
        slot = self._manager.resolve(self._token)
        if slot is None:
            return
        message = request.rx
        slot.set_protocol(wire.peer_protocol(message))
        name = wire.peer_name(message, request.length)
        if request.flags & wire.FLAG_TLS and not self._secure(slot, request, name):
            slot.give_up()
        elif name and not wire.peer_ip(message):
            self._named_peers.connect(slot, name, wire.peer_port(message))
        elif slot.connect(wire.peer_ip(message), wire.peer_port(message)) < 0:
            self._error.set("Connection creation failed")

    def _secure(self, slot, request, name):
        """Make the slot's connection use TLS; False, and a last error, when that fails."""
        if name and not is_host_name(name):
            self._error.set("bad host name")
            return False
        trust = self._keys.trust(not request.flags & wire.FLAG_UNVERIFIED)
        if trust is None:
            self._error.set("TLS: out of memory")
            return False
        server = without_dot(name).decode() or fields.dotted(wire.peer_ip(request.rx))
        slot.secure(self._tls, trust, server)
        return True

    def undo_create(self):
        slot = self._manager.resolve(self._token)
        if slot is not None:
            slot.abort()

    def read(self, request):
        if request.socket >= states.SOCKETS:
            return wire.BAD_PARAMETER
        slot = self._manager.slots[request.socket]
        return slot.read(request.tx, wire.DATA, request.available)

    def write(self, request):
        if request.socket >= states.SOCKETS:
            return wire.BAD_PARAMETER
        slot = self._manager.slots[request.socket]
        if slot.cut_off():
            return wire.WRONG_STATE  # not 0: there will never be room again
        request.accepted = min(request.length, slot.space())
        return request.accepted

    def written(self, request):
        slot = self._manager.slots[request.socket]
        flags = request.flags if request.accepted == request.length else 0
        closing = flags & wire.FLAG_CLOSE_AFTER_WRITE
        if request.accepted or flags:
            push = flags & (wire.FLAG_PUSH | wire.FLAG_CLOSE_AFTER_WRITE) != 0
            slot.write(request.rx, wire.DATA, request.accepted, push)
        if closing:
            slot.close()

    def conn_status(self, _request):
        """Only for a socket that does not exist: turn() serves the others."""
        return wire.BAD_PARAMETER

    def may_listen(self, request):
        if request.flags & wire.FLAG_TLS and not self._may_listen_tls(request):
            return wire.WRONG_STATE
        if request.length > wire.LISTEN_OR_CONNECT_SIZE and not request.flags & wire.FLAG_CALL_HOME:
            return wire.BAD_DATA_LENGTH
        return request.take()

    def _may_listen_tls(self, request):
        return self._keys.enabled() and not request.flags & wire.FLAG_CALL_HOME

    def listen(self, request):
        if request.flags & wire.FLAG_CALL_HOME:
            self._call_home(request)
            return
        message = request.rx
        protocol = wire.peer_protocol(message)
        started = self._listeners.listen(
            wire.peer_ip(message),
            wire.peer_port(message),
            protocol,
            wire.peer_limit(message),
            request.flags & wire.FLAG_TLS != 0,
            protocol == wire.PROTOCOL_FTP_DATA,  # one-shot: FTP opens a new port for every transfer
        )
        if not started:
            self._error.set("Listen failed")

    def _call_home(self, request):
        message = request.rx
        name = wire.peer_name(message, request.length)
        if name and not is_host_name(name):
            self._error.set("bad host name")
            return
        started = self._sessions.call(
            wire.peer_ip(message),
            wire.peer_port(message),
            name,
            wire.peer_protocol(message),
            wire.peer_limit(message),
            wire.peer_attempts(message),
        )
        if not started:
            self._error.set("Call home failed")
