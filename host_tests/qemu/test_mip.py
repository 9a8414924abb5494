"""The packages of `make mip`, installed by mpremote on the emulated core and run there."""

import json
import subprocess
import sys

import pytest
from project import ROOT

# The core has no flash: a file system of this program's memory, as far as mpremote and import go.
FILES = """
import io, sys, vfs
class Written:
    def __init__(self, name): self.name = name; self.parts = []
    def write(self, data): self.parts.append(bytes(data)); return len(data)
    def close(self): files[self.name] = self.parts
class Memory:
    def mount(self, readonly, mkfs): pass
    def umount(self): pass
    def mkdir(self, path): files[path.strip('/')] = None
    def open(self, path, mode):
        path = path.strip('/')
        if 'w' in mode: return Written(path)
        if files.get(path) is None: raise OSError(2)
        return io.BytesIO(b''.join(files[path]))
    def stat(self, path):
        path = path.strip('/')
        if path not in files: raise OSError(2)
        return (0x4000 if files[path] is None else 0x8000,) + (0,) * 9
files = {'': None, 'lib': None}
vfs.mount(Memory(), '/flash')
sys.path.insert(0, '/flash/lib')
"""


# As many as the core's heap has room for beside what is frozen; fields has machine code.
SOME = ("spinet/__init__.mpy", "spinet/fields.mpy", "spinet/version.mpy")


@pytest.fixture
def package(tmp_path):
    """package.json of the core's instruction set, cut short. `make mip` has a folder of its own."""
    command = [sys.executable, ROOT / "tools/make_mip.py", "--into", tmp_path]
    done = subprocess.run(command, check=False, timeout=120)
    assert done.returncode == 0
    some = tmp_path / "rv32imc/package.json"
    whole = json.loads(some.read_text())
    whole["urls"] = [entry for entry in whole["urls"] if entry[0] in SOME]
    some.write_text(json.dumps(whole))
    return some


def test_mip_installs_modules_that_run(emulator, package):
    emulator.mpremote("exec", FILES)
    out = emulator.mpremote("resume", "mip", "install", "--target=/flash/lib", str(package))
    assert "Installing: /flash/lib/spinet/fields.mpy" in out
    out = emulator.mpremote(
        "resume",
        "exec",
        "from spinet import fields\n"
        "record = bytearray(b'from flash')\n"
        "fields.put_u32(record, 4, 0x01020304)\n"
        "print(fields.__file__, record, fields.get_u16(record, 4))",
    )
    assert out == "/flash/lib/spinet/fields.mpy bytearray(b'from\\x04\\x03\\x02\\x01sh') 772\n"
