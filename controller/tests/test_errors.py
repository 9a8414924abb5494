"""The exceptions of the package, and what last errors are about."""

import errno
import importlib
import inspect
import pkgutil
import socket

import pytest

import spinet_controller
from spinet_controller import errors
from spinet_controller.codes import Command, LastError
from spinet_controller.errors import SpinetError

ERRNO = {
    TimeoutError: errno.ETIMEDOUT,
    ConnectionRefusedError: errno.ECONNREFUSED,
    ConnectionResetError: errno.ECONNRESET,
    ConnectionAbortedError: errno.ECONNABORTED,
    socket.gaierror: socket.EAI_NONAME,
}


def exceptions():
    return [kind for _name, kind in inspect.getmembers(errors, inspect.isclass)]


def test_every_exception_of_the_library_is_in_one_module():
    programs = ("cli", "printer", "circuitpython")
    folders = tuple(f"spinet_controller.{name}" for name in programs)
    for found in pkgutil.walk_packages(spinet_controller.__path__, "spinet_controller."):
        if not found.name.startswith(folders):
            module = importlib.import_module(found.name)
            for _name, kind in inspect.getmembers(module, inspect.isclass):
                if issubclass(kind, BaseException) and kind.__module__.startswith("spinet"):
                    assert kind.__module__ == errors.__name__, kind
                    assert issubclass(kind, SpinetError)


@pytest.mark.parametrize(
    "kind", [kind for kind in exceptions() if issubclass(kind, OSError) and kind.__doc__]
)
def test_an_oserror_has_an_errno_and_nothing_but_its_text(kind):
    error = kind("the text", False) if kind is errors.LinkTimeout else kind("the text")
    expected = [number for base, number in ERRNO.items() if isinstance(error, base)]
    assert [error.errno] == (expected or [errno.EADDRINUSE])
    assert str(error) == error.strerror == "the text"


def test_a_missed_time_out_is_a_timeouterror():
    error = errors.LinkTimeout("late", started=True)
    assert isinstance(error, TimeoutError)
    assert isinstance(error, errors.LinkError)
    assert error.started


def test_a_negative_response_is_known_by_its_code():
    assert errors.module_error(Command.NULL, -8).code == -8
    assert isinstance(errors.module_error(Command.NULL, -8), errors.Busy)
    assert errors.module_error(Command.NULL, -99).code == -99


@pytest.mark.behaviour("D20")
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Listen failed", LastError.LISTEN_FAILED),
        ("Call home failed", LastError.CALL_FAILED),
        ("bad host name", LastError.BAD_HOST_NAME),
        ("call home to a.test:80 given up: refused", LastError.CALL_GIVEN_UP),
        ("host not found: a.test", LastError.HOST_NOT_FOUND),
        ("TLS CA: not in PEM", LastError.BAD_CA),
        ("TLS: certificate verify failed", LastError.HANDSHAKE_FAILED),
        ("out of memory", LastError.OUT_OF_MEMORY),
        ("Home: wrong password", LastError.WRONG_PASSWORD),
        ("Listen failed: wrong password", LastError.WRONG_PASSWORD),  # a network's name
        ("TLS CA: signal lost", LastError.NETWORK_FAILED),
        ("two\nlines: network not found", LastError.NETWORK_NOT_FOUND),
        ("Home: out of memory", None),
        ("", None),
    ],
)
def test_what_a_last_error_is_about(text, kind):
    assert LastError.of(text) is kind


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Home: wrong password", "Home"),
        ("no known networks found", ""),
        ("host not found: a.test", "a.test"),
        ("out of memory", ""),
    ],
)
def test_whom_a_last_error_is_about(text, subject):
    assert LastError.of(text).subject(text) == subject
    assert LastError.LISTEN_FAILED.subject(text) == ""
