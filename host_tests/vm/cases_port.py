"""What the Pythons have or say differently."""

from spinet import compat


def case_words_of_an_error():
    assert compat.error_text(OSError("Wifi Not Started")) == "Wifi Not Started"
    assert compat.error_text(OSError()) == ""


def case_number_of_an_error():
    assert compat.error_text(OSError(5, "I/O error")) == "error 5"


def case_ticks():
    now = compat.ticks_ms()
    assert compat.ticks_diff(compat.ticks_add(now, 5), now) == 5
    assert compat.ticks_diff(now, compat.ticks_add(now, 5)) == -5
