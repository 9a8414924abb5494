"""`select` for MicroPython's qemu port, which has none: there is nothing to poll here."""


def poll():
    """Raises OSError."""
    raise OSError("this machine has nothing to poll")
