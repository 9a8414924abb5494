"""The RRF-like controller under a computer that has other things to do."""

import socket
import time

import pytest
from raw_controller import DATA_READY, HELLO, MODULE_CLOCKED, PIN, VERSION, frame
from rrf_controller import OVERSLEPT_S, RrfController


@pytest.fixture
def controller():
    made = RrfController()
    yield made
    made.close()


def test_a_start_is_seen_by_a_look_that_comes_late(controller):
    with socket.create_connection(("127.0.0.1", controller.port)) as module:
        module.sendall(frame(HELLO, MODULE_CLOCKED, bytes([VERSION])))
        controller.accept()
        with controller._changed:  # its thread stands still
            time.sleep(2 * OVERSLEPT_S)
            for level in (0, 1, 0, 1):
                module.sendall(frame(PIN, DATA_READY, bytes([level])))
        controller.wait_boot()
