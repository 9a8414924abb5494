"""As much of `esp` as a board file uses."""


def flash_size():
    return 4 << 20
