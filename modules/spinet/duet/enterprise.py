"""networkAddEnterpriseSsid in its steps: SSID, credential chunks, then commit or cancel.

See duet/commands.py for when each method is called.
"""

from spinet.duet import wire
from spinet.wifi import config
from spinet.wifi.networks import LARGEST_CREDENTIALS, Network, announced


class Enterprise:
    """Serves this command, and holds the network that is being entered."""

    def __init__(self, networks, error):
        self._networks = networks
        self._error = error
        self._record = None  # between the SSID step and commit or cancel
        self._chunks = None  # one bytearray per credential
        self._refusal = 0  # why the SSID step failed: the response code of the next step

    def may_add(self, request):
        step = request.flags
        entered = self._record is not None
        if step > wire.ENTERPRISE_CANCEL:
            return wire.BAD_PARAMETER
        if step == wire.ENTERPRISE_CANCEL:
            return 0
        if (step == wire.ENTERPRISE_SSID) == entered:
            return wire.WRONG_STATE if entered else self._tell_refusal(request)
        if step == wire.ENTERPRISE_SSID and request.length != config.SIZE:
            return wire.BAD_DATA_LENGTH
        return request.take() if step != wire.ENTERPRISE_COMMIT else 0

    def _tell_refusal(self, request):
        """The response code for a step after a failed SSID step: the reason, once."""
        request.once = self._refusal_told
        return self._refusal or wire.WRONG_STATE

    def _refusal_told(self, _request):
        self._refusal = 0

    def add(self, request):
        step = request.flags
        if step == wire.ENTERPRISE_SSID:
            self._begin(bytearray(wire.sent_config(request.rx)), wire.request_param(request.rx))
        elif step == wire.ENTERPRISE_CREDENTIAL:
            chunk = memoryview(request.rx)[wire.DATA : wire.DATA + request.length]
            self._add_chunk(wire.request_param(request.rx), chunk)
        elif step == wire.ENTERPRISE_CANCEL:
            self.cancel()
        elif not self._commit():
            self._error.set("enterprise SSID not saved")

    def _begin(self, record, protocol):
        """The SSID step. A failure is a last error, and the response to the next step."""
        ssid = config.ssid(record)
        self._refusal = wire.BAD_PARAMETER
        if not (config.is_ssid(ssid) and 1 <= protocol <= 3):
            self._error.set("bad enterprise SSID")
        elif not self._networks.has_room(ssid):
            self._refusal = wire.TOO_MANY_SSIDS
            self._error.set("SSID table full")
        elif announced(record) > LARGEST_CREDENTIALS:
            self._error.set("enterprise credentials too long")
        else:
            config.set_eap(record, protocol)
            self._chunks = [bytearray() for _ in range(config.CREDENTIALS)]
            self._record = record
            self._refusal = 0

    def _add_chunk(self, index, chunk):
        """A credential chunk; all is dropped when it exceeds the announced size."""
        if index < config.CREDENTIALS:
            self._chunks[index].extend(chunk)
            if len(self._chunks[index]) <= config.credential_size(self._record, index):
                return
        self.cancel()
        self._error.set("bad enterprise credential")

    def cancel(self):
        """Drop what was received so far."""
        self._record = None
        self._chunks = None
        self._refusal = 0

    def _commit(self):
        """Remember the network; False (and all is dropped) when credentials are incomplete."""
        record = self._record
        chunks = self._chunks
        self.cancel()
        for index, chunk in enumerate(chunks):
            if len(chunk) != config.credential_size(record, index):
                return False
        return self._networks.remember(Network(record, b"".join(chunks)))
