"""`socket` for MicroPython's qemu port, which has none: this machine has no network."""

AF_INET = 2
SOCK_STREAM = 1
SOCK_DGRAM = 2


def socket(_family=AF_INET, _type=SOCK_STREAM):
    """Raises OSError: there is no network."""
    raise OSError("this machine has no network")
