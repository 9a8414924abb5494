"""The contract of a link driver: the signals and the transfers of one role.

It transfers what a transaction.Link decides. The hot path (fastpath.turn) serves the usual
transactions itself, through what bind() gives it, and leaves all others to the methods here. `now`
is in ticks. Everything is called in the service thread; the pins' handlers run in an interrupt,
where they set words of `signals` and end the stack's wait. Only start() and stop() allocate. Any
of them raises LinkLost when the controller took the module's power or holds it in reset.

    start(now)          begin the start-up signalling, which poll() continues
    stop()              serve no request any more, call no handler any more
    bind(kit)           put into fastpath's `kit` the objects through which turn() serves this link
    idle()              True when the link is up and no request is known to wait
    poll(link, now)     check for time-outs and for missed edges; returns how many ms the loop may
                        wait before it calls this again, -1: no limit
    signal()            tell the controller that there is news: DATA_READY falls and rises
    set_clock(frequency)
                        SCK in Hz, from the next transaction on, where the module drives SCK.
                        Raises OSError when the SPI refuses it

NINA's link driver is over a target: the SPI hardware of a module that the controller selects, with
its interrupts (on SIM a thread in C). These neither wait nor allocate:

    target.arm(tx, rx, n)
                        the next selection shifts out tx[:n], then zeros; what comes in goes to rx,
                        4096 bytes, and what is beyond is lost. READY falls when CS is high. It
                        rises as CS falls, also while Python is busy, and stays high until the next
                        arm(). Until the transfer has ended, tx and rx are the target's
    target.received()   -1 until the armed transfer has ended, which is when CS rises; then how many
                        bytes came. A selection without a clock does not end it: it is armed again
    target.disarm()     nothing is armed and READY is high: a selection gets zeros
    target.gpio0(level) drive GPIO0

From power-on and a reset READY is high. The end of a transfer ends the stack's wait.
"""
