"""The contract of an announcer: it tells the network our name and services.

A board's announcers() gives the one that is there for good, and a function that makes one more for
access point mode. Everything is called in the service thread. `stir()`, which announcers() was
given, brings a poll() about; an announcer calls it, in the service thread, when a datagram came or
its next time has become sooner.

    named(host_name)    the controller's name for us (bytes); before any start() with it
    start(host_name, ip, netmask)
                        we are on the network under this name (any bytes), with this address (u32s
                        as in the records: the first octet is the lowest)
    service(kind, tcp_port)
                        offer b"_http", b"_ftp" or b"_telnet" on this port; 0: no longer. What was
                        said before a start() holds from then on
    stop()              we leave the network: say goodbye; the services stay those that were said
    name()              the name (a string) that it came to, "" while there is none
    poll(now)           do what is due; how many ms until more is, -1: nothing has a time

MemoryError may leave any of them: it is called again later.
"""
