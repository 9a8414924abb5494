"""How the programs of tools/ end."""

import os
import subprocess
import sys

import pytest
from project import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from exit_code import exit_code


class TooOldError(Exception):
    """One failure."""


class TooNewError(Exception):
    """Another."""


def raising(error):
    """Work that ends so."""

    def work():
        raise error

    return work


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (7, 7)])
def test_work_may_have_a_code_of_its_own(capsys, answer, code):
    assert exit_code(lambda: answer, TooOldError) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("failure", [TooOldError, TooNewError])
def test_failure_is_one_line(capsys, failure):
    assert exit_code(raising(failure("it is 1.24")), TooOldError, TooNewError) == 1
    assert capsys.readouterr() == ("", "it is 1.24\n")


def test_what_is_no_failure_is_a_bug():
    with pytest.raises(TooNewError):
        exit_code(raising(TooNewError()), TooOldError)


@pytest.mark.parametrize(
    ("named", "line"),
    [({}, "stopped\n"), ({"stopped": "half is there"}, "half is there\n")],
)
def test_ctrl_c(capsys, named, line):
    assert exit_code(raising(KeyboardInterrupt()), TooOldError, **named) == 130
    assert capsys.readouterr() == ("", line)


def test_a_failure_is_told_behind_the_name_of_the_program(capsys):
    assert exit_code(raising(TooOldError("it is 1.24")), TooOldError, name="bench") == 1
    assert capsys.readouterr().err == "bench: it is 1.24\n"


def test_who_has_nothing_to_say_when_stopped_says_nothing(capsys):
    assert exit_code(raising(KeyboardInterrupt()), TooOldError, stopped="") == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("length", [1, 100_000])
def test_a_reader_that_has_gone_is_told_nothing(length):
    work = f"exit_code(lambda: print('x' * {length}))"
    program = f"import sys; from exit_code import exit_code; sys.exit({work})"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT / "tools",
            env={**os.environ, "PYTHONUNBUFFERED": ""},  # else nothing is left to print at the end
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
