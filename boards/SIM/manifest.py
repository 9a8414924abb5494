# SIM freezes the firmware and every Python file in this folder except this one. A new file needs no
# entry here.
from glob import glob

include("../../manifest.py")
freeze(".", sorted(set(glob("*.py")) - {"manifest.py"}))

# asyncio for use at the REPL, as in the chips' images.
include("$(MPY_DIR)/extmod/asyncio")
