"""A clock that a program sets. `time.localtime()` stays this computer's."""

import time


class RTC:
    """The clock, one for all; this computer's time until it is set."""

    _ahead = 0.0  # seconds

    @property
    def datetime(self) -> time.struct_time:
        """The date and time."""
        return time.localtime(time.time() + RTC._ahead)

    @datetime.setter
    def datetime(self, now: time.struct_time | tuple[int, ...]) -> None:
        RTC._ahead = time.mktime(time.struct_time(now)) - time.time()
