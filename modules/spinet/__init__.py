"""Spinet: an ESP32-class WiFi module as a network card for a controller that speaks SPI.

Rooms, from the ground up; each imports from itself and from those before it:

    compat      differences between Pythons; version, states, fields, network_status, contracts
    trace       the latest events           last_error, worker, garbage
    fastpath    the hot path, and the words that it shares
    tcp         slots, listeners, calling out; the contract of a stack, and two stacks
    tls         TLS over any of those stacks
    wifi        joining networks            naming    being found by name
    update      a new image, on trial
    duet, nina  the personalities: a protocol's frames, commands and link drivers; one runs
    loop        a pass of the loop          service   a boot, and the thread
    report      reports for the REPL; debug has their parts
"""

from spinet import version

__version__ = version.VERSION
VERSION_TEXT = version.VERSION_TEXT
