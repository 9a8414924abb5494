"""TCP ports of this computer that are ours until this process ends, for programs to listen on."""

import socket

_held = []  # their sockets: closed, the kernel would give the ports to others


def own_port(address="127.0.0.1"):
    """A port that nobody listens on, and that the kernel hands out to nobody else.

    It is bound and refuses connections. Whoever sets SO_REUSEADDR, as servers do, can listen on it.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((address, 0))
    _held.append(holder)
    return holder.getsockname()[1]
