# SIM freezes the firmware and every Python file beside this one but the manifest itself: its
# pins, its SPI and the program that starts it. A new file there needs no entry here.
from glob import glob

include("../../manifest.py")
freeze(".", sorted(set(glob("*.py")) - {"manifest.py"}))

# The chips' images carry asyncio too, for whoever works at the REPL.
include("$(MPY_DIR)/extmod/asyncio")
