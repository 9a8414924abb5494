"""networkAddEnterpriseSsid in its steps: SSID, credential chunks, then commit or cancel.

See duet/commands.py for when each method is called.
"""

from spinet.duet import wire
from spinet.wifi import config
from spinet.wifi.networks import LARGEST_CREDENTIALS, Network, announced


class EnterpriseEntry:
    """A network that is being entered: its record, and the credentials received so far."""

    def __init__(self, networks):
        self._networks = networks
        self._record = None  # between the SSID step and commit or cancel
        self._chunks = None  # one bytearray per credential
        self.refusal = 0  # why the SSID step failed: the response code of the next step

    def pending(self):
        """True between the SSID step and commit or cancel."""
        return self._record is not None

    def begin(self, record, protocol):
        """The SSID step; False, and `refusal` says why, when the network cannot be added."""
        record = bytearray(record)
        config.set_eap(record, protocol)
        ssid = config.ssid(record)
        if not self._networks.has_room(ssid):
            self.refusal = wire.TOO_MANY_SSIDS
            return False
        if announced(record) > LARGEST_CREDENTIALS:
            self.refusal = wire.BAD_PARAMETER
            return False
        self.refusal = 0
        self._record = record
        self._chunks = [bytearray() for _ in range(config.CREDENTIALS)]
        return True

    def add(self, index, chunk):
        """A credential chunk; False (and all is dropped) when it exceeds the announced size."""
        if index < config.CREDENTIALS:
            self._chunks[index].extend(chunk)
            if len(self._chunks[index]) <= config.credential_size(self._record, index):
                return True
        self.cancel()
        return False

    def cancel(self):
        """Drop what was received so far."""
        self._record = None
        self._chunks = None
        self.refusal = 0

    def commit(self):
        """Remember the network; False (and all is dropped) when credentials are incomplete."""
        record = self._record
        chunks = self._chunks
        self.cancel()
        for index, chunk in enumerate(chunks):
            if len(chunk) != config.credential_size(record, index):
                return False
        return self._networks.remember(Network(record, b"".join(chunks)))


class Enterprise:
    """Serves this command; the arguments are those of Commands."""

    def __init__(self, networks, error):
        self._entry = EnterpriseEntry(networks)
        self._error = error

    def may_add(self, request):
        step = request.flags
        entry = self._entry
        if step > wire.ENTERPRISE_CANCEL:
            return wire.BAD_PARAMETER
        if step == wire.ENTERPRISE_CANCEL:
            return 0
        if (step == wire.ENTERPRISE_SSID) == entry.pending():
            return wire.WRONG_STATE if entry.pending() else self._refusal(request)
        if step == wire.ENTERPRISE_SSID and request.length != config.SIZE:
            return wire.BAD_DATA_LENGTH
        return request.take() if step != wire.ENTERPRISE_COMMIT else 0

    def _refusal(self, request):
        """Why the SSID step failed; the next step is answered with it, once."""
        request.once = self._refusal_told
        return self._entry.refusal or wire.WRONG_STATE

    def _refusal_told(self, _request):
        self._entry.refusal = 0

    def add(self, request):
        step = request.flags
        if step == wire.ENTERPRISE_SSID:
            self._begin(request)
        elif step == wire.ENTERPRISE_CREDENTIAL:
            chunk = memoryview(request.rx)[wire.DATA : wire.DATA + request.length]
            if not self._entry.add(wire.request_param(request.rx), chunk):
                self._error.set("bad enterprise credential")
        elif step == wire.ENTERPRISE_CANCEL:
            self._entry.cancel()
        elif not self._entry.commit():
            self._error.set("enterprise SSID not saved")

    def _begin(self, request):
        record = wire.sent_config(request.rx)
        protocol = wire.request_param(request.rx)
        if not (config.is_ssid(config.ssid(record)) and 1 <= protocol <= 3):
            self._entry.refusal = wire.BAD_PARAMETER
            self._error.set("bad enterprise SSID")
        elif not self._entry.begin(record, protocol):
            full = self._entry.refusal == wire.TOO_MANY_SSIDS
            self._error.set("SSID table full" if full else "enterprise credentials too long")

    def cancel(self):
        """Drop what was received so far."""
        self._entry.cancel()
