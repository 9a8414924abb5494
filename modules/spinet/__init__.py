"""Spinet: an ESP32-class WiFi module as a network card for a controller that speaks SPI.

Imports point downwards only:

    service            the loop: wait, dispatch, serve the link, reap, housekeeping
      commands         command number -> handler; what is deferred until CS rises
        manager        the eight slots; slot and connection: one slot's states, and its life
        listener       the ports we accept on
        wlan           station and access point; networks: what we remember
          tcp_buffer   rings    wire  records    stack  the contract of every TCP stack
      link             one transaction; spi_master, spi_slave: the two roles
    port               the one place where the Pythons differ

`connection` knows no SPI, `link` knows no TCP, nobody but `wire` knows an offset and nobody
but a board file knows a pin number.
"""

VERSION = "2.3.0-spinet"
