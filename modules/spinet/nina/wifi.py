"""Commands of WiFi: joining, addresses, what is in the air."""


class Wifi:
    """Serves these commands over the Wlan."""

    def __init__(self, wlan, discovery):
        self._wlan = wlan
        self._discovery = discovery

    def status(self, request):
        request.answer_u8(0)
