# What every board freezes: the firmware, and main.py that starts it at boot.
import os
import sys

sys.path.insert(0, os.path.abspath("tools"))

from fold_constants import fold

freeze(fold("modules", os.path.abspath("build/frozen")))
