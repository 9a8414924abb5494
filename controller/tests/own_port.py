"""TCP ports of this computer that are ours until this process ends, for programs to listen on."""

import socket

_held = []  # their sockets: closed, the kernel would give the ports to others


def own_port(address="127.0.0.1"):
    """A port without a listener, which the kernel does not hand out again.

    It is bound and refuses connections. A server's socket, with SO_REUSEADDR, can listen on it.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((address, 0))
    _held.append(holder)
    return holder.getsockname()[1]
