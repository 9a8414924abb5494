"""Planted passwords, credentials and keys leave SIM by no way: answers, errors, reports, output."""

import contextlib
import os
import pty
import threading
import time

import pytest
from raw_controller import PATIENCE, request
from sim_process import ROLES, start_sim

__all__ = ["start_sim"]

PASSWORD = b"plant3d-password"
AP_PASSWORD = b"plant3d-own-one"
WRONG_PASSWORD = b"plant3d-wrong-one"
EAP_PASSWORD = b"plant3d-eap-word"
KEY = b"-----BEGIN PRIVATE KEY-----\nplant3dKeyMaterial\n-----END PRIVATE KEY-----\n"
PLANTED = (PASSWORD, AP_PASSWORD, WRONG_PASSWORD, EAP_PASSWORD, b"plant3d")

AIR = f"""0 takes scan=20 join=5 search=20 handshake=20 address=5
0 appears Workshop password={PASSWORD.decode()}
0 appears Attic password=something-else
0 appears Campus password=something-else
"""
REPORTS = (
    "import spinet.report as r; from spinet import service; s = service.current",
    "r.slots(); r.listeners(); r.network(); r.counters()",
    "print(s.networks, s.wlan, s.wlan.station, s.networks.entries[1], dir(s.networks))",
    "print('sho' + 'wn')",
)


class Terminal:
    """A pty that is read all the time, so that the module can always print."""

    def __init__(self):
        self._master, self.slave = pty.openpty()
        self.text = b""
        self._typed = 0
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with contextlib.suppress(OSError):  # the other end is gone
            while text := os.read(self._master, 4096):
                with self._news:
                    self.text += text
                    self._news.notify_all()

    def type(self, line):
        """What is typed before there is a prompt would be lost."""
        self._until(lambda: self.text.count(b">>> ") > self._typed)
        self._typed += 1
        os.write(self._master, line.encode() + b"\r")

    def shows(self, text):
        self._until(lambda: text in self.text)

    def _until(self, condition):
        with self._news:
            there = self._news.wait_for(condition, PATIENCE)
        assert there, self.text[-2000:].decode()

    def close(self):
        os.close(self.slave)
        self._reader.join(PATIENCE)
        os.close(self._master)


def record(ssid, password=b"", sizes=None):
    ip = bytes([192, 168, 4, 1]) if ssid == b"Spinet" else bytes(4)
    tail = b"".join(n.to_bytes(4, "little") for n in sizes) if sizes else password
    return ip + bytes(12) + ssid.ljust(32, b"\0") + tail.ljust(64, b"\0")


def plant(sim):
    """Everything that can be secret is remembered."""
    assert sim.ask(10, data=record(b"Workshop", PASSWORD))[0] == 0
    assert sim.ask(10, data=record(b"Attic", WRONG_PASSWORD))[0] == 0
    assert sim.ask(13, data=record(b"Spinet", AP_PASSWORD))[0] == 0
    plant_login(sim, b"Campus", 2, (b"", b"", b"someone", EAP_PASSWORD, b""))
    plant_login(sim, b"Lab", 1, (b"", b"", b"certificate", KEY, b"plant3d-key-word"))


def plant_login(sim, ssid, protocol, credentials):
    sizes = [len(credential) for credential in credentials]
    assert sim.ask(26, flags=0, param=protocol, data=record(ssid, sizes=sizes))[0] == 0
    for i, credential in enumerate(credentials):
        if credential:
            assert sim.ask(26, flags=1, param=i, data=credential)[0] == 0
    assert sim.ask(26, flags=2)[0] == 0


def outcome(sim, ssid):
    """Try to join, and stop; the last error that came."""
    assert sim.ask(14, data=ssid)[0] == 0
    state = response = 0
    limit = time.monotonic() + PATIENCE
    while not response and state != 4:
        assert time.monotonic() < limit, f"state {state}"
        state, response, data = sim.controller.transact(request(19))
    sim.ask(16)
    return data[: max(0, response - 1)]


def ask_everything(sim):
    """Every command but those that end what is there to be asked."""
    for command in range(32):
        if command not in (11, 17):
            for length in (0, 112):
                sim.ask(command, data=bytes(length))
    sim.ask(16)


@pytest.mark.parametrize("role", ROLES)
def test_nothing_planted_comes_out(start_sim, tmp_path, role):
    (tmp_path / "air").write_text(AIR)
    terminal = Terminal()
    sim = start_sim(
        *(role, "--radio", "air", "--repl"),
        script=("-i", "-m", "sim"),
        stdin=terminal.slave,
        stdout=terminal.slave,
    )
    sim.power_on()
    plant(sim)
    assert outcome(sim, b"Workshop") == b""
    assert outcome(sim, b"Attic") == b"Attic: wrong password"
    assert outcome(sim, b"Campus") == b"Campus: enterprise login refused"
    assert outcome(sim, b"Lab") == b"Lab: network not found"
    assert sim.ask(15)[0] == 0
    sim.ask(16)
    ask_everything(sim)
    assert sim.ask(21)[0] == 5 * 48
    for line in REPORTS:
        terminal.type(line)
    terminal.shows(b"shown")
    sim.end()
    terminal.close()
    out = terminal.text + "\n".join(sim.lines).encode()
    frames = b"".join(payload for _, _, payload in sim.controller.frames)
    assert b"networks remembered" in out  # by diagnostics and by the REPL
    assert b"Workshop" in frames
    for secret in PLANTED:
        assert secret not in out
        assert secret not in frames
        assert secret in (sim.state / "networks").read_bytes()  # it was there to be found
