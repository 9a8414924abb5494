"""The controller library knows what each of the firmware's last errors is about."""

import ast
from pathlib import Path

import pytest

from spinet.wifi import station
from spinet_controller.codes import LastError

SOURCES = Path(__file__).resolve().parents[3] / "modules" / "spinet"
ANYTHING = "a.test"


def told():
    """Every text that begins with words in the source, with something where it goes on."""
    for source in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("_error.set", ".fail", "._fail")
            ):
                yield from words(node.args[0])


def words(node):
    if isinstance(node, ast.IfExp):
        yield from words(node.body)
        yield from words(node.orelse)
    elif isinstance(node, ast.BinOp):
        for text in words(node.left):
            yield text if isinstance(node.op, ast.Mod) else text + ANYTHING
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value.replace("%s", ANYTHING)


TOLD = sorted(set(told()))


def test_the_texts_are_found():
    assert {"Listen failed", "host not found: a.test", "SSID table full"} <= set(TOLD)
    assert len(TOLD) > 20


@pytest.mark.parametrize("text", TOLD)
def test_a_text_of_the_firmware_has_a_kind(text):
    assert LastError.of(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (station.UNKNOWN_NAME, LastError.NETWORK_UNKNOWN),
        (station.NOTHING_KNOWN, LastError.NETWORK_NOT_FOUND),
        (station.SCAN_FAILED, LastError.NETWORK_FAILED),
        (f"Home: {station.TIMED_OUT}", LastError.NETWORK_FAILED),
        (f"Home: {station.NO_ADDRESS}", LastError.NETWORK_FAILED),
        (f"Home: {station.LOST}", LastError.NETWORK_LOST),
        (f"Home: {station.RECONNECTED}", LastError.NETWORK_BACK),
        (f"Home: {station.WRONG_PASSWORD}", LastError.WRONG_PASSWORD),
        (f"Home: {station.LOGIN_REFUSED}", LastError.NETWORK_FAILED),
    ],
)
def test_what_wifi_tells_has_a_kind(text, kind):
    assert LastError.of(text) is kind
