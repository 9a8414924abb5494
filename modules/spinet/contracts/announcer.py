"""The contract of an announcer: it tells the network our name and services.

A board's announcers() gives one for the life of the service, and a function that makes one more for
access point mode. Everything is called in the service thread. `stir()`, which announcers() was
given, makes the loop call poll(); an announcer calls it, in the service thread, when a datagram
came or when its next time has become sooner.

    named(host_name)    the controller's name for the module (bytes); before any start() with it
    start(host_name, ip, netmask)
                        the module is on the network under this name (any bytes), with this address
                        (u32s as in the records: the lowest byte is the first octet)
    service(kind, tcp_port)
                        offer b"_http", b"_ftp" or b"_telnet" on this port; 0: no longer. It may be
                        called before start(), and holds from start() on
    stop()              the module leaves the network: say goodbye, keep the services
    name()              the name (a string) that is announced, "" while there is none
    poll(now)           do what is due; returns the ms until more is due, -1: nothing has a time

Any of them may raise MemoryError: the caller repeats the call later.
"""


class Silent:
    """An announcer that does nothing: for boards and tests without one."""

    def named(self, _host_name):
        """Does nothing."""

    def start(self, _host_name, _ip, _netmask):
        """Does nothing."""

    def service(self, _kind, _tcp_port):
        """Does nothing."""

    def stop(self):
        """Does nothing."""

    def name(self):
        """No name."""
        return ""

    def poll(self, _now):
        """Nothing has a time."""
        return -1
