"""Types what docs/hardware.md and docs/debugging.md tell to type: at the REPL of an emulated core
and of SIM, and in a shell."""

import contextlib
import os
import pty
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
import tty

import mpremote.main
import pytest
from own_network import own_network
from project import ROOT
from raw_controller import RawController, listen_or_connect, request

PATIENCE = 120.0
DOCUMENTS = ("hardware.md", "debugging.md")
PROMPT = b">>> "

# What cannot be run here, and why.
NOT_RUN = {
    "service.start(BOARD)": "the emulated core has no threads",
    ". ~/esp-idf/export.sh": "needs ESP-IDF",
    "~/esp-idf/install.sh esp32,esp32c3,esp32s3": "the same",
}
SERVES = "import board; b = board.begin(); b.new_peer(); b.send_from_peer(100)"


def blocks(name):
    """The indented blocks of a document, each a list of lines."""
    found = [[]]
    before = ""
    for line in (ROOT / "docs" / name).read_text().splitlines():
        if line.startswith("    ") and (found[-1] or not before.strip()):
            found[-1].append(line[4:])
        elif found[-1] and line.strip():
            found.append([])
        before = line
    return [block for block in found if block]


def sessions(name):
    """For each REPL session: (what is typed, the lines that are to be printed)."""
    for block in blocks(name):
        typed = []
        for line in block:
            if line.startswith(">>> "):
                typed.append((line[4:], []))
            elif typed:
                typed[-1][1].append(line)
        if typed:
            yield typed


def shell_lines(name):
    """Commands for a shell, from blocks and from running text; a `\\` at the end goes on."""
    for block in blocks(name):
        if not block[0].startswith((">>> ", "from ")):
            yield from re.sub(r"\\\n\s*", "", "\n".join(block)).splitlines()
    for code in re.findall(r"`([^`]+)`", (ROOT / "docs" / name).read_text()):
        line = " ".join(code.split())
        if line.startswith(("make ", "mpremote ", "build/venv/bin/")) and " " in line:
            yield line


class Repl:
    """A friendly REPL on a descriptor."""

    def __init__(self, fd):
        self.fd = fd
        os.write(fd, b"\r\x03")
        self._printed(b"")  # what is typed before the first prompt may be dropped
        self.run("1")

    def _printed(self, echo):
        """What comes between that and the next prompt. A prompt before it is an earlier line's."""
        limit = time.monotonic() + PATIENCE
        seen = b""
        while echo not in seen or not seen[seen.index(echo) + len(echo) :].endswith(PROMPT):
            assert time.monotonic() < limit, seen
            if select.select([self.fd], [], [], 1)[0]:
                seen += os.read(self.fd, 65536)
        printed = seen[seen.index(echo) + len(echo) :].removesuffix(PROMPT)
        return printed.decode().replace("\r", "")

    def run(self, line):
        """Type this line; the lines that it prints."""
        os.write(self.fd, line.encode() + b"\r")
        lines = self._printed(line.encode() + b"\r\n").splitlines()
        assert "Traceback (most recent call last):" not in lines, "\n".join([line, *lines])
        return lines


def shape(line):
    """A line without what differs from module to module and from one moment to the next."""
    for pattern, word in (
        (r"\S+\.local|not announced", "NAME"),
        (r"\b(announced as )", ""),
        (r"\d+\.\d+\.\d+\.\d+", "ADDRESS"),
        (r"\b(connected|closePending|free|otherEndClosed|allocated|aborted|idle)\b", "STATE"),
        (r"\b(stack|controller|stack\+controller|-) (?= )", "HOLDER "),
        (r"-?\d+(\.\d+)?", "N"),
        (r"\s+", " "),
    ):
        line = re.sub(pattern, word, line)
    return line.strip()


def prints(repl, typed, wanted):
    """Type it, and see that lines like those wanted are printed."""
    lines = repl.run(typed)
    shapes = {shape(line) for line in lines}
    missing = {shape(line) for line in wanted if line.strip() not in ("", "...")} - shapes
    assert not missing, f"{typed}: {missing} not in\n" + "\n".join(lines)


@pytest.fixture
def core(emulator):
    """The REPL of a core whose service has a connection with 100 bytes to read."""
    emulator.mpremote("exec", "pass")  # begins with a soft reset
    fd = os.open(emulator.port, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd)
    repl = Repl(fd)
    repl.run(SERVES)
    yield repl
    os.close(fd)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_sessions_on_the_core(core, name):
    for session in sessions(name):
        for typed, wanted in session:
            alone = "; ".join(part for part in typed.split("; ") if part not in NOT_RUN)
            if name == "hardware.md":
                prints(core, alone, wanted)
            else:  # which shows a module with more connections and a network
                core.run(alone)


@contextlib.contextmanager
def sim_at_a_terminal(command, *options):
    """The REPL of a SIM that runs at a pseudo-terminal, as socat would start it."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    process = subprocess.Popen(
        ["env", *shlex.split(command), *options],
        stdin=slave,
        stdout=slave,
        stderr=subprocess.DEVNULL,  # what it says comes between the lines that are typed
        cwd=ROOT,
    )
    os.close(slave)
    try:
        yield master
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
        os.close(master)


def socat_command():
    """What docs/debugging.md has socat start."""
    (line,) = [line for line in shell_lines("debugging.md") if line.startswith("socat ")]
    return re.fullmatch(r"socat pty,link=\S+,raw,echo=0 exec:'(.*)',pty", line)[1]


def busy_module(controller):
    """Give the module a network, listeners, three kinds of connections and a last error."""

    def ask(command, *args, **fields):
        return controller.transact(request(command, *args, **fields))[1]

    assert ask(10, data=bytes(16) + b"Workshop".ljust(96, b"\0")) == 0
    assert ask(14, data=b"Workshop") == 0
    peers = []
    for port, limit in ((8080, 8), (2121, 1)):
        assert ask(7, data=listen_or_connect(port, limit=limit)) == 0
        peers += [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    wait_for(lambda: controller.transact(request(6))[2][16] & 7 == 7)
    peers[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peers[1].close()
    wait_for(lambda: controller.transact(request(6))[2][18])
    assert ask(11, data=bytes(32)) == 0
    return peers


def wait_for(condition):
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "it did not happen"


def test_sessions_on_sim(tmp_path):
    with own_network(), contextlib.ExitStack() as stack:
        controller = RawController()
        stack.callback(controller.close)
        options = ("--port", str(controller.port), "--state", str(tmp_path / "state"))
        repl = Repl(stack.enter_context(sim_at_a_terminal(socat_command(), *options)))
        controller.accept()
        controller.wait_boot()
        peers = busy_module(controller)
        for session in sessions("debugging.md"):
            for typed, wanted in session:
                prints(repl, typed, wanted)
        for peer in peers:
            peer.close()


# --- from a shell


def check_make(words):
    """Its targets and variables exist."""
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        if "=" in word:
            assert re.search(rf"\$\({word.split('=')[0]}\)|^{word.split('=')[0]} ", makefile, re.M)
        else:
            assert re.search(rf"^{word}:", makefile, re.MULTILINE), word


GREEDY = {"fs", "cp", "rm", "mip", "mkdir", "ls"}  # take all that follows, until a "+"


def check_mpremote(words):
    """It is a chain of commands, none of which is taken for an argument of another."""
    known = {*mpremote.main._COMMANDS, *mpremote.main._BUILTIN_COMMAND_EXPANSIONS}
    while words:
        command, *words = words
        assert command in known, command
        if command in GREEDY:
            n = words.index("+") if "+" in words else len(words)
            assert not known & set(words[1:n]), f"{command} takes {words[:n]}"
            for path in words[:n]:
                if path.startswith(("boards/", "modules/")):
                    assert (ROOT / path).exists(), path
            words = words[n + 1 :]
        elif command in ("connect", "exec"):
            words = words[1:]


def check_line(emulator, line, folder):
    """Run it, or see that what it names is there."""
    first, *words = shlex.split(line, comments=True)
    program = first.rsplit("/", 1)[-1]
    if program == "make" and words[0] != "-C":  # not MicroPython's own
        check_make(words)
    elif program == "mpremote":
        check_mpremote(words)
        if "exec" in words:
            emulator.mpremote(*words[2:])
    elif program == "spinet-controller" and words[0] != "trace":
        check_controller(*words)
    elif program == "spinet-controller":
        run_trace(emulator, words, folder)
    elif program == "python":
        module, command = words[1], words[-1]
        subprocess.run([sys.executable, "-m", module, command, "--help"], check=True)
    elif words[-3:] == ["-m", "sim", "--repl"]:
        with sim_at_a_terminal(line, "--state", str(folder)) as fd:
            said = Repl(fd).run("import spinet.report as r; r.all()")
        assert said == ["the service does not run"]  # as no controller has come
    elif program == "qemu-system-riscv32":
        image = ["-kernel", "build/qemu/firmware.elf"]
        assert sorted(words) == sorted([*emulator.options, *image])
    else:  # git's fetches a gigabyte
        assert line in NOT_RUN or program in ("git", "make", "socat"), line


def check_controller(command, *words):
    """The command has these options."""
    tool = ROOT / "build/venv/bin/spinet-controller"
    told = subprocess.run([tool, command, "--help"], capture_output=True, text=True, check=True)
    for word in words:
        assert not word.startswith("-") or f"{word} " in told.stdout, word


def run_trace(emulator, words, folder):
    emulator.mpremote("exec", SERVES)
    dump = emulator.mpremote("resume", "exec", "import spinet.report as r; r.trace_dump()")
    (folder / "console.log").write_text(dump)
    words = [emulator.port if word == "/dev/ttyUSB0" else word for word in words]
    command = [str(ROOT / "build/venv/bin/spinet-controller"), *words]
    subprocess.run(command, cwd=folder, check=True, timeout=PATIENCE)
    assert (folder / "trace.json").stat().st_size > 0


@pytest.mark.parametrize("name", DOCUMENTS)
def test_shell_lines(emulator, tmp_path, name):
    lines = list(shell_lines(name))
    assert len(lines) > 2
    for line in lines:
        check_line(emulator, line, tmp_path)


def test_deploy_is_a_chain_of_commands():
    """As `make deploy` gives it to mpremote."""
    said = subprocess.run(
        ["make", "-C", str(ROOT), "-n", "deploy", "PORT=/dev/null"],
        capture_output=True,
        text=True,
        check=True,
    )
    (command,) = re.findall(r"-m mpremote ((?:.*\\\n)*.*)", said.stdout)
    check_mpremote(shlex.split(command.replace("\\\n", "")))


def test_what_edits_board_py_names_what_there_is():
    clocked, nina = [block for block in blocks("hardware.md") if block[0].startswith("from chip ")]
    for module, names in re.findall(
        r"^from ([\w.]+) import (.+)$", "\n".join(clocked + nina), re.M
    ):
        path = "chip/__init__.py" if module == "chip" else module.replace(".", "/") + ".py"
        source = (ROOT / "boards" / path).read_text()
        for name in names.split(", "):
            assert re.search(rf"^(class )?{name}\b", source, re.MULTILINE), name
    assert clocked[1] == "ROLE = CONTROLLER_CLOCKED"
    assert "NinaWiring(spi=2, sck=18, mosi=14, miso=23, cs=5, ready=33, gpio0=0)" in nina[2]
