"""CircuitPython's libraries in this process, with SIM as their module: the fixture `rig`.

Peers are threads of the test. On the stack lwIP all of it has a network of its own, in which SIM is
at the other end of a TAP device.
"""

import contextlib
import gc
import importlib
import socket
import sys
import time
from types import SimpleNamespace

import pytest
from own_network import ADDRESSES, WITH_TAP, own_network
from sim_process import BINARY, LWIP_BINARY, PATIENCE, SimProcess

from spinet_controller import circuitpython
from spinet_controller.circuitpython import board
from spinet_controller.circuitpython.busio import SPI
from spinet_controller.circuitpython.digitalio import DigitalInOut
from spinet_controller.circuitpython.wiring import Wiring

UNHURRIED = 20
"""How much slower the driver's clock runs: others may have the processor."""

NETWORK, PASSWORD = "Workshop", "spinet-sim"
CONNECTIONS = 8


def until(condition, what):
    """Wait until condition() holds; what it gave."""
    limit = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < limit, f"did not happen: {what}"
        time.sleep(0.01)
    return found


class Rig:
    """`esp` is the driver, `pool` its sockets, `sim` the module's process.

    `peer` is the address of peers, `address` the module's.
    """

    def __init__(self, stack, sim, wiring, libraries):
        self.peer, self.address = ADDRESSES[stack]
        self.sim = sim
        self.wiring = wiring
        self.libraries = libraries
        self._pins = contextlib.ExitStack()
        pins = (board.ESP_CS, board.ESP_BUSY, board.ESP_RESET)
        lines = [self._pins.enter_context(DigitalInOut(pin)) for pin in pins]
        self.cs, self.ready, _ = lines
        self.spi = self._pins.enter_context(SPI(board.SCK, board.MOSI, board.MISO))
        self.driver = libraries.esp32spi
        self.esp = self.driver.ESP_SPIcontrol(self.spi, *lines)
        self.pool = libraries.connections.get_radio_socketpool(self.esp)

    def close(self):
        self._pins.close()

    def join(self):
        """Be in SIM's network."""
        self.esp.connect_AP(NETWORK, PASSWORD)

    def session(self):
        """A session of adafruit_requests."""
        context = self.libraries.connections.get_radio_ssl_context(self.esp)
        return self.libraries.requests.Session(self.pool, context)

    def connected(self, port):
        """A socket that is connected to a peer."""
        sock = self.pool.socket(self.pool.AF_INET, self.pool.SOCK_STREAM)
        sock.connect((self.peer, port))
        return sock

    def loses_nothing(self):
        """As many connections as the module ever has can be open at once."""
        with socket.create_server((self.peer, 0)) as listener:
            port = listener.getsockname()[1]
            opened = [self.connected(port) for _ in range(CONNECTIONS)]
            assert len({sock._socknum for sock in opened}) == CONNECTIONS
            assert all(sock._connected() for sock in opened)
            for sock in opened:
                sock.close()


class SlowClock:
    """The module `time`, for the driver: its time-outs are longer."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    sleep = staticmethod(time.sleep)

    @staticmethod
    def monotonic():
        return time.monotonic() / UNHURRIED


@pytest.fixture
def libraries(monkeypatch):
    """The libraries of PyPI; what they import is the stand-ins', for as long as the test runs."""
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    for name in circuitpython.STAND_INS:
        monkeypatch.setitem(sys.modules, name, None)  # to be restored
    circuitpython.install()
    found = SimpleNamespace(
        esp32spi=importlib.import_module("adafruit_esp32spi.adafruit_esp32spi"),
        connections=importlib.import_module("adafruit_connection_manager"),
        requests=importlib.import_module("adafruit_requests"),
        httpserver=importlib.import_module("adafruit_httpserver"),
        wifi=importlib.import_module("adafruit_esp32spi.adafruit_esp32spi_wifimanager"),
        ntp=importlib.import_module("adafruit_ntp"),
        minimqtt=importlib.import_module("adafruit_minimqtt.adafruit_minimqtt"),
    )
    monkeypatch.setattr(found.esp32spi, "time", SlowClock)
    gc.freeze()  # the driver collects after each send: not all that the tests have imported
    yield found
    gc.unfreeze()


@pytest.fixture(params=["sockets", "lwip"])
def stack(request):
    return request.param


@pytest.fixture
def start_rig(stack, libraries, tmp_path):
    """start_rig(*options of SIM) -> Rig; it is ended and looked at."""
    with contextlib.ExitStack() as ending:
        if stack == "lwip":
            ending.enter_context(own_network())
        wiring = ending.enter_context(Wiring(0))

        def start(*options):
            arguments = ("-m", "sim", "--protocol", "nina", "--port", str(wiring.port))
            sim = SimProcess(
                [*arguments, "--state", str(tmp_path / "state"), *options],
                binary=BINARY if stack == "sockets" else LWIP_BINARY,
                before=() if stack == "sockets" else WITH_TAP,
                cwd=tmp_path,
            )
            ending.callback(sim.check)
            ending.callback(sim.end)
            wiring.wait_for_module(PATIENCE)
            return ending.enter_context(contextlib.closing(Rig(stack, sim, wiring, libraries)))

        yield start


@pytest.fixture
def rig(start_rig):
    """A driver whose module has joined its network."""
    started = start_rig()
    started.join()
    return started
