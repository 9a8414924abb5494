# What every board freezes: the firmware, and main.py that starts it at boot.
import os
import sys
from glob import glob

sys.path.insert(0, os.path.abspath("tools"))

from fold_constants import fold

# What is frozen beside it, and tests that run on an image.
OTHERS = ["host_tests/support/fake_pins.py", "host_tests/support/raw_controller.py"]
for folder in ("boards", "host_tests/vm", "host_tests/qemu"):
    OTHERS += glob(folder + "/**/*.py", recursive=True)
freeze(fold("modules", os.path.abspath("build/frozen"), OTHERS))
