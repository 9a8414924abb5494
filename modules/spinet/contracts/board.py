"""The contract of a board: everything that depends on the hardware.

There is one board object in a process (`board.BOARD`). A service is made from it at each boot, and
asks in this order: power_up, stack, link_port, store, radio, announcers. Everything is called in
the service thread unless it says otherwise.

    DEBUG               True: a bug raises; False: it is counted, and the module goes on
    PROTOCOL            "duet" or "nina": the protocol that the controller speaks
    ROOTS               the file (PEM) of public roots, by which NINA's clients verify servers;
                        "": they are in the firmware
    OWNER               the certificate (PEM, text) of the owner, whose key may update over the
                        network; it counts where none is stored; ""
    UPDATE_PORT         where that listens
    buffers             (tx, rx), the link's two message buffers, for SPI hardware that reaches no
                        other memory: wire.MESSAGE_SIZE bytes for Duet's protocol, frames.SIZE for
                        NINA's; None: the link allocates them. Read after link_port()
    power_up(wanted)    wait until the module has power and is not held in reset, for as long as
                        wanted() is true; False once it is not. May raise LinkLost
    stack()             a new TCP stack (tcp/stack.py); that of the last boot has been shut
    link_port()         a link driver (contracts/link_driver.py) for PROTOCOL, whose edges end the
                        stack's waits
    radio()             a radio (contracts/radio.py)
    store(name)         a wifi.networks.Store, or another object with its load(), save() and
                        erase(); `name` is "networks", "tls", "preferences", "update"
                        or "owner"
    pins()              for NINA's protocol: the pins of the module that its driver may use, after a
                        reset: set_mode(pin, 0 input, 1 output, 2 input that is pulled up),
                        write(pin, level), write_duty(pin, 0 to 255), read(pin) -> 0 or 1,
                        read_analog(pin, attenuation) and read_channel(channel of the first ADC) ->
                        0 to 4095. They raise ValueError or OSError for a pin that cannot do that,
                        or is the board's own
    address_of(name)    the address (u32) that the board itself knows for a host name (bytes, in
                        lower case), as a computer does from its hosts file; 0: none
    partitions()        the two slots for images (contracts/partitions.py); None where the flash
                        has one, or the firmware cannot write them
    announcers(manager, stir)
                        (an announcer, a function that makes one more for access point mode): see
                        contracts/announcer.py; `manager`, the ConnectionManager, is
                        for their UDP ports
    fill(status)        the hardware's part of a network_status.NetworkStatus: reset_reason (one of
                        its RESET_ numbers), free_heap and flash_size in bytes, version as bytes
    free_memory()       (free bytes of Python's heap, of the system's heap); no byte is in both
    temperature()       of the chip, in degrees Celsius; None without a sensor
    feed()              feed the watchdog, toggle an LED; called about once a second
    say(text)           print one line for people; from any thread
    crashed()           the service thread has ended by a bug, and has printed it
"""
