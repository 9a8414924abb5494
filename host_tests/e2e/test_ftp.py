"""FTP with the programs people use: lftp and Python's own client."""

import ftplib
import hashlib
import io
import subprocess

import pytest
from printer_process import PATIENCE, eventually, pattern

FILES = 200
MIB = 1024 * 1024


def lftp(printer, commands, check=True):
    """Run commands in one session; give what it said."""
    settings = "set net:max-retries 1; set dns:order inet; set cmd:fail-exit yes"
    done = subprocess.run(
        [
            "lftp",
            "--norc",
            "-c",
            f"{settings}; open {printer.host}:{printer.ports['ftp']}; {commands}",
        ],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    said = done.stdout + done.stderr
    assert not check or done.returncode == 0, said
    return said


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).digest() for path in folder.iterdir()}


def alone(printer):
    """True when the asking connection is the only one."""
    return printer.status()["sockets"]["used"] <= 1


@pytest.fixture
def printer(full_printer):
    """The printer, without a file."""
    for path in full_printer.files.iterdir():
        path.unlink(missing_ok=True)
    yield full_printer
    eventually(lambda: alone(full_printer), "all sockets free again")


def test_200_files_go_up_and_down_unchanged(printer, tmp_path):
    up, down = tmp_path / "up", tmp_path / "down"
    up.mkdir()
    for number in range(FILES):
        (up / f"part {number}.gcode").write_bytes(pattern(number * 37))
    lftp(printer, f"mirror --reverse --parallel=3 --no-perms {up} /")
    assert digests(printer.files) == digests(up)
    lftp(printer, f"mirror --parallel=3 / {down}")
    assert digests(down) == digests(up)


@pytest.mark.parametrize("passive", ["yes", "no"])
def test_a_big_file_crosses_either_way_of_connecting(printer, tmp_path, passive):
    source, back = tmp_path / "big", tmp_path / "back"
    source.write_bytes(pattern(2 * MIB))
    mode = f"set ftp:passive-mode {passive}"
    lftp(printer, f"{mode}; put {source} -o big; get big -o {back}")
    assert back.read_bytes() == source.read_bytes() == (printer.files / "big").read_bytes()


def test_interrupted_transfers_are_resumed(printer, tmp_path):
    source, back = tmp_path / "big", tmp_path / "back"
    whole = pattern(MIB)
    source.write_bytes(whole)
    (printer.files / "big").write_bytes(whole[:300_000])
    back.write_bytes(whole[:500_000])
    lftp(printer, f"put -c {source} -o big; get -c big -o {back}")
    assert (printer.files / "big").read_bytes() == whole
    assert back.read_bytes() == whole


def session_of(printer):
    session = ftplib.FTP(timeout=PATIENCE)
    session.connect(printer.host, printer.ports["ftp"])
    session.login()
    return session


@pytest.mark.parametrize("passive", [True, False])
def test_aborted_transfers_leave_the_session_and_the_sockets(printer, passive):
    printer.make_endless("big")
    with session_of(printer) as session:
        session.set_pasv(passive)
        for _ in range(5):
            data = session.transfercmd("RETR big")
            assert data.recv(1000)
            answer = session.abort()
            assert answer.startswith("426")
            assert session.getresp().startswith("226")
            data.close()
        assert session.size("big") == (printer.files / "big").stat().st_size
        assert session.nlst() == ["big"]


def test_who_is_killed_in_mid_upload_can_go_on(printer):
    whole = pattern(400_000)
    session = session_of(printer)
    data = session.transfercmd("STOR part")
    data.sendall(whole[:250_000])
    stored = lambda: sum(path.stat().st_size for path in printer.files.iterdir())  # noqa: E731
    eventually(stored, "the upload under way")
    data.close()
    session.close()
    eventually(lambda: (printer.files / "part").exists(), "the part that came")
    with session_of(printer) as again:
        there = again.size("part")
        assert 0 < there <= 250_000
        again.storbinary("STOR part", io.BytesIO(whole[there:]), rest=there)
    assert (printer.files / "part").read_bytes() == whole
