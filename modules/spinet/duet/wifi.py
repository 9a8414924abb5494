"""The commands that join and leave networks, scan, and make an access point.

See duet/commands.py for when each method is called.
"""

from spinet import fields
from spinet.duet import wire


class Wifi:
    """Serves these commands; the arguments are those of Commands."""

    def __init__(self, wlan, manager, listeners, sessions, discovery):
        self._wlan = wlan
        self._manager = manager
        self._listeners = listeners
        self._sessions = sessions
        self._discovery = discovery

    def may_start(self, request):
        return request.take() if self._wlan.may_start() else wire.WRONG_STATE

    def may_start_ap(self, _request):
        return 0 if self._wlan.may_start() else wire.WRONG_STATE

    def start_client(self, request):
        ssid = fields.get_text(request.rx, wire.DATA, request.length)
        self._wlan.station.start(ssid, self._manager.now)

    def start_ap(self, _request):
        self._wlan.start_access_point()

    def stop(self, _request):
        self._manager.terminate_all()
        self._listeners.stop_all()
        self._sessions.stop_all()
        self._discovery.leave()  # while the module is still on the air
        self._wlan.stop()

    def may_scan(self, _request):
        if not self._wlan.may_scan():
            return wire.WRONG_STATE
        return wire.SCAN_IN_PROGRESS if self._wlan.scanning else 0

    def start_scan(self, _request):
        self._wlan.scan(self._manager.now)

    def scan_result(self, request):
        if self._wlan.scanning:
            return wire.SCAN_IN_PROGRESS
        found = self._wlan.found
        if found is None:
            return wire.NO_SCAN_STARTED
        fitting = found[: request.available // wire.SCAN_DATA_SIZE]
        for i, entry in enumerate(fitting):
            wire.put_scan_data(request.tx, i, entry)
        request.once = self._scan_result_told
        return len(fitting) * wire.SCAN_DATA_SIZE

    def _scan_result_told(self, _request):
        self._wlan.drop_scan_result()
