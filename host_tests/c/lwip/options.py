"""lwIP's options on this computer."""

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from project import ROOT


@functools.cache
def sdkconfig():
    """The folder with the sdkconfig.h that a build makes."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    make = ["make", "-s", "-C", ROOT / "host_tests/c/lwip", f"BUILD={folder}"]
    subprocess.run([*make, folder / "sdkconfig.h"], check=True)
    return folder


def here(options):
    """{option: value} of boards/SIM/lwip/lwipopts.h, as the compiler sees it."""
    text = '#include "lwipopts.h"\n' + "".join(f"@{option}\n" for option in options)
    seen = subprocess.run(
        ["gcc", "-E", "-P", f"-I{ROOT / 'boards' / 'SIM' / 'lwip'}", f"-I{sdkconfig()}", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    expressions = [line[1:] for line in seen.splitlines() if line.startswith("@")]
    return {option: eval(text) for option, text in zip(options, expressions, strict=True)}
