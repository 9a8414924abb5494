"""The text of the last error, kept until the controller has fetched it.

Every part that can fail gets the one LastError in its constructor. Service thread only.
"""

from spinet import trace


class LastError:
    """The text that networkGetLastError answers with. `stir()` is called when it is set."""

    def __init__(self, stir):
        self.text = b""
        self._stir = stir
        self._told = True  # False while the text is news

    def set(self, text):
        """Replace the last error. `text` is a string, or bytes if it contains an SSID."""
        self.text = text if isinstance(text, bytes) else text.encode()
        self._told = False
        self._stir()
        trace.say(self.text)

    def forget(self):
        """Clear the text: a new command begins, and only its own errors count from now on."""
        self.text = b""

    def is_news(self):
        """True while there is a text that the controller has not fetched."""
        return bool(self.text and not self._told)

    def told(self, text):
        """The controller has fetched `text`: clear it, unless a newer error has replaced it."""
        if self.text is text:
            self._told = True
            self.text = b""
