"""The contract of a link driver: the signals and the transfers of one role.

It moves what a transaction.Link decides. The hot path (fastpath.turn) does the same for what
usually happens, with what bind() gives it, and leaves the rest to the methods here. `now` is in
ticks. Everything is called in the service thread; the pins' handlers set words of `signals` in an
interrupt, and end the stack's wait. Nothing but start() and stop() allocates. LinkLost leaves any
of them when the controller took the module's power or holds it in reset.

    start(now)          begin the start-up signalling, which look() continues
    stop()              no request is served any more, no handler is called
    bind(kit)           put into fastpath's `kit` what the hot path serves this link with
    due_ms(now)         how many ms the loop may wait before look(); -1: no limit
    idle()              True when the link is up and no request is known to wait
    look(link, now)     see whether something is late, or a signal was missed
    signal()            tell the controller that there is news: DATA_READY falls and rises
    set_clock(frequency)
                        SCK in Hz, from the next transaction on, where it is the module's to drive.
                        Raises OSError when the SPI refuses it
"""


class LinkLost(Exception):
    """The link's hardware is gone: the module lost its power, or is held in reset."""
