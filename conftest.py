"""For all tests, the firmware's and the controller's."""

import signal

# A shell starts what it runs in the background with SIGINT ignored, and programs hand that on to
# theirs: those that tests end with Ctrl-C would not end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
