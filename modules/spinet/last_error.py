"""What went wrong last, in words, until the controller has fetched it.

Every part that can fail gets the one LastError in its constructor. Service thread only.
"""

from spinet import trace


class LastError:
    """The text that networkGetLastError brings. `stir()` is called when there is another one."""

    def __init__(self, stir):
        self.text = b""
        self._stir = stir
        self._told = True  # False while the text is news

    def set(self, text):
        """This is the last error now: text, or bytes with a network's name in it."""
        self.text = text if isinstance(text, bytes) else text.encode()
        self._told = False
        self._stir()
        trace.say(self.text)

    def forget(self):
        """A new command begins: what it does wrong is the last error from now on."""
        self.text = b""

    def is_news(self):
        """True while there is a text that the controller has not fetched."""
        return bool(self.text and not self._told)

    def told(self, text):
        """The controller has this: it is cleared, unless there has been another one meanwhile."""
        if self.text is text:
            self._told = True
            self.text = b""
