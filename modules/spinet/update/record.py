"""What became of the last update: one file, written before each step, and its words.

A letter, the number of the slot that the image is for, its version; after FAILED, why, in a line.
"""

ARRIVING = "A"
CHOSEN = "B"
KEPT = "K"
SILENT = "S"  # neither controller nor owner asked for anything
LOST = "L"  # it was chosen, and the other slot runs
CANCELLED = "C"
FAILED = "F"

_NO_SILENCE = "power was cut or the module was reset before it was asked for anything"
_WORDS = {
    CHOSEN: "%s starts with the next restart, on trial",
    ARRIVING: "%s was not complete: power was cut, the module was reset, or its sender went away",
    CANCELLED: "%s was cancelled",
    FAILED: "%s was refused: ",
    KEPT: "%s was kept",
    LOST: "%s was taken back: " + _NO_SILENCE,
    SILENT: "%s was taken back: it was asked for nothing within two minutes",
}


def load(store):
    """(a letter, "" for none; slot; version; why it failed)."""
    text = store.load(True).decode()
    if len(text) < 2:
        return "", 0, "", ""
    version, _, why = text[2:].partition("\n")
    return text[0], int(text[1]), version, why


def save(store, letter, slot, version, why=""):
    """Replace it. Raises OSError."""
    store.save(("%s%d%s\n%s" % (letter, slot, version, why)).encode())


def told(store, running):
    """In words, where the slot `running` runs; "" when there was no update."""
    letter, slot, version, why = load(store)
    if not letter:
        return ""
    if letter == CHOSEN and slot == running:
        return version + " is on trial until it is asked for something"
    if letter == SILENT and slot == running:
        letter = KEPT  # the boot loader knows that it was
    return _WORDS[letter] % version + why
