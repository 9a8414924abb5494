"""The tests of the C cores once more, in a Python that has the address sanitizer loaded."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORES = (
    "test_exchange_core.py",
    "test_target_core.py",
    "test_nina_core.py",
    "test_core_link.py",
    "test_core_nina.py",
    "test_slabs_core.py",
)


def test_no_address_outside(request):
    run = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    )
    environment = {
        **os.environ,
        "SPI_SANITIZE": "address",
        "LD_PRELOAD": run.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself gives nothing back at its end
    }
    command = [sys.executable, "-m", "pytest", "-q"]
    again = subprocess.run(
        [*command, *(str(HERE / name) for name in CORES)],
        env=environment,
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stdout[-4000:] + again.stderr[-4000:]
    assert " passed" in again.stdout
