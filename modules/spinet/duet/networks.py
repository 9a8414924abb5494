"""The commands of remembered networks and of the module's own access point settings.

See duet/commands.py for when each method is called.
"""

from spinet import compat, fields
from spinet.duet import wire
from spinet.wifi import config
from spinet.wifi.networks import Network, is_access_point


class RememberedNetworks:
    """Serves these commands; the arguments are those of Commands."""

    def __init__(self, networks, enterprise, keys, listeners, error, board):
        self._networks = networks
        self._enterprise = enterprise
        self._keys = keys
        self._listeners = listeners
        self._error = error
        self._board = board

    def _personal_network(self, request):
        """The network that the controller sent; None, and a last error, when it is invalid."""
        record = wire.sent_config(request.rx)
        password = config.password(record)
        if not config.is_ssid(config.ssid(record)):
            self._error.set("bad SSID")
        elif not config.is_password(password):
            self._error.set("bad password")
        else:
            network = bytearray(record)
            if not config.is_psk(password):
                config.set_eap(network, 0)  # a controller may leave it set
            return Network(network)
        return None

    def add_ssid(self, request):
        network = self._personal_network(request)
        if network and not self._networks.remember(network):
            self._error.set("SSID table full")

    def delete_ssid(self, request):
        if not self._networks.forget(fields.get_text(request.rx, wire.DATA, config.SSID_LENGTH)):
            self._error.set("SSID not found")

    def set_ap(self, request):
        if config.deletes(wire.sent_config(request.rx)):
            self._networks.set_access_point(None)
            return
        network = self._personal_network(request)
        if network is None:
            return
        if is_access_point(network):
            self._networks.set_access_point(network)
        else:
            self._error.set("bad access point configuration")

    def list_ssids(self, request):
        own = self._networks.access_point()
        names = [own.ssid if own else b""]
        names += [network.ssid for network in self._networks.remembered()]
        text = b"".join(name + b"\n" for name in names) + b"\0"
        if len(text) > request.available:
            return wire.BUFFER_TOO_SMALL
        fields.put_bytes(request.tx, wire.DATA, text, len(text))
        return len(text)

    def retrieve_ssids(self, request):
        size = config.PUBLIC_SIZE
        if request.available < size:
            return wire.BUFFER_TOO_SMALL
        own = self._networks.access_point()
        records = [own.record if own else b""]
        records += [network.record for network in self._networks.remembered()]
        fitting = records[: request.available // size]
        for i, record in enumerate(fitting):
            fields.put_bytes(request.tx, wire.DATA + i * size, record[:size], size)
        return len(fitting) * size

    def factory_reset(self, request):
        self._error.forget()
        self._enterprise.cancel()
        self._listeners.stop_tls()
        self._erase(self._keys.clear)
        self._erase(self._networks.erase)
        self._erase(self._board.store("owner").erase)
        return 0

    def _erase(self, erase):
        try:
            erase()
        except OSError as e:
            self._error.set("factory reset failed, " + compat.error_text(e))
