"""The contract of a board: what only the hardware knows.

There is one board object in a process (`board.BOARD`). A service is made from it at each boot, and
asks in this order: power_up, stack, link_port, store, radio, announcers. Everything is called in
the service thread unless it says otherwise.

    DEBUG               True: a bug raises; False: it is counted, and the module goes on
    buffers             (tx, rx), the link's two message buffers of wire.MESSAGE_SIZE bytes, where
                        the SPI reaches no other memory; None: any will do. Read after link_port()
    power_up(wanted)    wait until the module has power and is not held in reset, for as long as
                        wanted() is true; False once it is not. May raise LinkLost
    stack()             a TCP stack (tcp/stack.py); a new one at each boot, the old one was shut
    link_port()         a link driver (contracts/link_driver.py) whose edges end the stack's waits
    radio()             a radio (contracts/radio.py)
    store(name)         a wifi.networks.Store, or what has its load(), save() and erase(); `name` is
                        "networks" or "tls"
    announcers(stack, stir)
                        (an announcer, a function that makes one more for access point mode): see
                        contracts/announcer.py
    fill(status)        the hardware's part of a network_status.NetworkStatus: reset_reason (one of
                        its RESET_ numbers), free_heap and flash_size in bytes, version as bytes
    free_memory()       (Python's heap, the system's heap): free bytes, each in one of them
    feed()              about once a second: the watchdog, an LED
    say(text)           one line for people; from any thread
    crashed()           the service thread has ended by a bug, and has printed it
"""
