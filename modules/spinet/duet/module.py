"""The commands about the module itself: its status, its name, its last error, its keys.

See duet/commands.py for when each method is called.
"""

from spinet import compat, fields
from spinet.duet import wire
from spinet.network_status import NetworkStatus


class Module:
    """Serves these commands; the arguments are those of Commands."""

    def __init__(self, service, wlan, keys, listeners, error, discovery, set_clock, report):
        self._service = service
        self._wlan = wlan
        self._keys = keys
        self._listeners = listeners
        self._error = error
        self._report = report
        self._set_clock = set_clock
        self._discovery = discovery
        self._told_error = b""  # the text that networkGetLastError sends in this transaction
        self._updates = None  # made when they are asked for
        self._status = NetworkStatus()  # reused, as networkGetStatus may come at any rate

    def network_status(self, request):
        status = self._status
        status.clear()
        self._service.board.fill(status)
        status.host_name = self._discovery.host_name
        self._wlan.fill(status)
        return wire.put_network_status(request.tx, status)

    def last_error(self, request):
        text = self._error.text
        if not text:
            response = 0
        elif len(text) + 1 > request.available:
            response = wire.BUFFER_TOO_SMALL
        else:
            fields.put_bytes(request.tx, wire.DATA, text, len(text) + 1)
            response = len(text) + 1
        self._told_error = text
        request.once = self._last_error_told
        return response

    def _last_error_told(self, request):
        self._wlan.told(request.shown, self._told_error)

    def set_host_name(self, request):
        name = fields.get_text(request.rx, wire.DATA, wire.HOST_NAME_LENGTH)
        self._discovery.set_host_name(name)

    def diagnostics(self, _request):
        self._report()

    def set_tx_power(self, request):
        if request.flags > wire.MAX_TX_POWER:
            return wire.BAD_PARAMETER
        self._wlan.radio.power(request.flags)
        return 0

    def set_clock(self, request):
        if self._set_clock:
            try:
                self._set_clock(wire.clock_frequency(wire.request_param(request.rx)))
            except OSError as e:
                self._error.set("SPI clock refused, " + compat.error_text(e))

    def enable_tls(self, _request):
        wrong = self._keys.enable()
        self._tell(wrong)
        return wire.NO_TLS_CERT if wrong else 0

    def _tell(self, wrong):
        if wrong:
            self._error.set(wrong)

    def _sent_text(self, request):
        return bytes(memoryview(request.rx)[wire.DATA : wire.DATA + request.length])

    def set_tls_cert(self, request):
        ca = request.flags & wire.FLAG_CA
        take = self._keys.set_ca if ca else self._keys.set_certificate
        self._tell(take(self._sent_text(request)))

    def set_tls_key(self, request):
        self._tell(self._keys.set_key(self._sent_text(request)))

    def clear_tls(self, _request):
        self._listeners.stop_tls()
        self._keys.clear()

    def update(self, request):
        """The answer and the deferred part in one method, as each method takes heap at boot."""
        if request.answered:
            self._tell(self._updates.step(request))
            return 0
        if self._updates is None:
            import spinet.update.steps  # noqa: F401  first, as a nested import needs more stack
            from spinet.duet.update import Updates

            self._updates = Updates(self._service)
        return self._updates.answer(request)
