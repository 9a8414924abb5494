"""FTP with the programs people use: lftp and Python's own client."""

import contextlib
import ftplib
import hashlib
import socket
import struct
import subprocess
import time

import pytest
from own_network import own_network
from printer_process import PATIENCE, Printer, ended_in_order, eventually, pattern, read_all

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


def ftp_url(printer, name):
    return f"ftp://{printer.host}:{printer.ports['ftp']}/{name}"


def stored(printer):
    return sum(path.stat().st_size for path in printer.files.iterdir())


def test_who_is_killed_in_mid_upload_can_go_on(printer, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(pattern(2 * MIB))
    command = ["curl", "--silent", "--upload-file", source, ftp_url(printer, "part")]
    with subprocess.Popen([*command, "--limit-rate", "200k"]) as killed:
        eventually(lambda: stored(printer), "the upload under way")
        killed.kill()
    eventually(lambda: alone(printer), "the session's end")
    with session_of(printer) as session:
        assert session.nlst() == []
        there = session.size("part")
        assert 0 < there < 2 * MIB
    subprocess.run([*command, "--continue-at", "-"], check=True, timeout=PATIENCE)
    assert (printer.files / "part").read_bytes() == source.read_bytes()
    assert [path.name for path in printer.files.iterdir()] == ["part"]


@pytest.fixture(params=["sockets", "lwip"])
def stack(request):
    with own_network() if request.param == "lwip" else contextlib.nullcontext():
        yield request.param


@contextlib.contextmanager
def printer_with(settings, stack, folder):
    """A printer that serves FTP with other limits."""
    running = Printer(stack, "module-clocked", folder, serves=("ftp",), settings=settings)
    yield running
    ended_in_order(running)


def upload_begun(printer, name):
    """A session in an upload, and its data connection.

    A session that the idle clock ends before that is none.
    """

    def begun():
        session = session_of(printer)
        try:
            return session, session.transfercmd(f"STOR {name}")
        except (EOFError, OSError):
            return None

    return eventually(begun, "an upload under way")


def test_a_transfer_may_last_longer_than_the_idle_clock(stack, tmp_path):
    with printer_with("ftp.IDLE = 0.5", stack, tmp_path) as printer:
        session, data = upload_begun(printer, "slow")
        for number in range(8):
            data.sendall(bytes([number]))
            time.sleep(0.25)
        data.close()
        assert session.voidresp().startswith("226")
        assert (printer.files / "slow").read_bytes() == bytes(range(8))
        session.close()


def test_an_upload_that_stalls_has_no_name(stack, tmp_path):
    with printer_with("ftp_data.STALLED = 0.5", stack, tmp_path) as printer:
        session, data = upload_begun(printer, "stalls")
        data.sendall(pattern(1000))
        with pytest.raises(ftplib.error_temp, match="426"):
            session.voidresp()
        assert not (printer.files / "stalls").exists()
        data.close()
        session.close()


def reset(sock):
    """End a connection as a client does whose network or computer went away."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("passive", [True, False])
def test_an_upload_that_is_reset_is_a_part(stack, tmp_path, passive):
    with printer_with("", stack, tmp_path) as printer, session_of(printer) as session:
        (printer.files / "x").write_bytes(b"the older file")
        session.set_pasv(passive)
        data = session.transfercmd("STOR x")
        data.sendall(pattern(300_000))
        eventually(lambda: stored(printer) > 100_000, "the upload under way")
        reset(data)
        with pytest.raises(ftplib.error_temp, match="426"):
            session.voidresp()
        assert (printer.files / "x").read_bytes() == b"the older file"
        assert session.nlst() == ["x"]


def test_who_says_no_more_gets_the_rest_of_a_download(stack, tmp_path):
    with printer_with("", stack, tmp_path) as printer, session_of(printer) as session:
        whole = pattern(2 * MIB)
        (printer.files / "x").write_bytes(whole)
        assert session.sendcmd("REST 1000").startswith("350")
        data = session.transfercmd("RETR x")  # after an EPSV
        session.sock.shutdown(socket.SHUT_WR)
        assert read_all(data) == whole[1000:]
        data.close()
        assert session.voidresp().startswith("226")
        assert session.getresp().startswith("221")


def test_a_download_that_stalls_ends_alone(stack, tmp_path):
    with printer_with("ftp_data.STALLED = 0.5", stack, tmp_path) as printer:
        printer.make_endless("endless")
        with session_of(printer) as session, session.transfercmd("RETR endless"):
            with pytest.raises(ftplib.error_temp, match="426"):
                session.voidresp()
            assert session.voidcmd("NOOP").startswith("200")


@pytest.mark.parametrize("command", ["STOR x", "RETR secret"])
def test_a_stranger_gets_no_data_connection(printer, command):
    whole = pattern(300_000)
    (printer.files / "secret").write_bytes(whole)
    with session_of(printer) as session:
        port = int(session.sendcmd("EPSV").split("|")[3])
        there = (printer.host, port)
        with (
            socket.create_connection(there, PATIENCE, source_address=("127.0.0.2", 0)) as stranger,
            socket.create_connection(there, PATIENCE) as data,
        ):
            stranger.sendall(b"the stranger's")
            session.sendcmd(command)
            if command == "STOR x":
                data.sendall(whole)
            else:
                assert read_all(data) == whole
            data.close()
            assert session.voidresp().startswith("226")
            with contextlib.suppress(ConnectionError):
                assert stranger.recv(1) == b""
    if command == "STOR x":
        assert (printer.files / "x").read_bytes() == whole


def test_patterns_and_names_as_lftp_sends_them(printer, tmp_path):
    for name in ("-dash.gcode", "two  blanks.gcode", "Gr\u00f6\u00dfe.gcode", "other.stl"):
        (printer.files / name).write_bytes(pattern(len(name)))
    assert lftp(printer, "recls -1 *.gcode").splitlines() == [
        *("-dash.gcode", "Gr\u00f6\u00dfe.gcode", "two  blanks.gcode")
    ]
    lftp(printer, f"mget -O {tmp_path} *.gcode; mput -O / {tmp_path}/*.gcode; rm other.stl")
    assert digests(tmp_path) == digests(printer.files)
    (tmp_path / "other.stl").write_bytes(b"anew")
    temporary = "set xfer:use-temp-file yes; set xfer:temp-file-name *.part"
    for _ in range(2):
        lftp(printer, f"{temporary}; mput -O / {tmp_path}/*")
    assert digests(tmp_path) == digests(printer.files)
    said = lftp(printer, "nlist none", check=False)
    assert "550" in said
