"""What the Pythons have or say differently."""

from spinet import port


def case_words_of_an_error():
    assert port.error_text(OSError("Wifi Not Started")) == "Wifi Not Started"
    assert port.error_text(OSError()) == ""


def case_number_of_an_error():
    assert port.error_text(OSError(5, "I/O error")) == "error 5"


def case_ticks():
    now = port.ticks_ms()
    assert port.ticks_diff(port.ticks_add(now, 5), now) == 5
    assert port.ticks_diff(now, port.ticks_add(now, 5)) == -5
