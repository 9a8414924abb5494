"""Files through the whole system: curl, the virtual printer, the link, the firmware, real TCP."""

import errno
import gzip
import hashlib
import re
import socket
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from own_port import own_port
from printer_process import HOST_NAME, eventually, get, pattern, read_all, request

MIB = 1024 * 1024
BIG = 64 * MIB


def curl(*arguments):
    """Run curl quietly; fails with what it said."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", "--max-time", "600", *arguments],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reset(sock):
    """Kill a connection as a killed client does: RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def alone(printer):
    """True when the asking connection is the only one."""
    return printer.status()["sockets"]["used"] <= 1


def all_slots_serve(printer):
    """Eight connections at the same time, each answered: no slot is lost."""
    holders = [printer.connect() for _ in range(8)]
    for sock in holders:
        sock.sendall(request("GET /api/files"))
    answers = [
        sock.recv(15, socket.MSG_WAITALL) for sock in holders
    ]  # none of them closes before all have theirs
    for sock in holders:
        sock.close()
    return answers == [b"HTTP/1.1 200 OK"] * 8


@pytest.mark.behaviour("D5", "L4")
def test_64_mib_go_up_and_down_unchanged(printer, tmp_path):
    source = tmp_path / "up.bin"
    source.write_bytes(pattern(BIG))
    curl("--upload-file", str(source), printer.url + "/files/big.bin")
    assert digest(printer.files / "big.bin") == digest(source)
    curl("--output", str(tmp_path / "down.bin"), printer.url + "/files/big.bin")
    assert digest(tmp_path / "down.bin") == digest(source)


@pytest.mark.behaviour("D5")
def test_eight_transfers_at_once_arrive_unchanged(printer, tmp_path):
    path = printer.make_file("eight.bin", 2 * MIB)

    def transfer(i):
        target = tmp_path / f"{i}.bin"
        if i % 2:
            curl("--output", str(target), printer.url + "/files/eight.bin")
            return digest(target)
        curl("--upload-file", str(path), printer.url + f"/files/copy{i}.bin")
        return digest(printer.files / f"copy{i}.bin")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(transfer, range(8))) == {digest(path)}


@pytest.mark.behaviour("D15")
def test_a_ninth_connection_waits_and_is_then_served(printer):
    eventually(lambda: alone(printer), "all slots free")
    holders = [printer.connect() for _ in range(8)]
    for holder in holders:
        holder.sendall(b"GET /api/files HTTP/1.1\r\n")  # the request does not end
    ninth = printer.connect()
    ninth.sendall(get("/api/files"))
    ninth.settimeout(0.5)
    with pytest.raises(TimeoutError):
        ninth.recv(1)
    holders.pop().close()
    ninth.settimeout(60)
    assert read_all(ninth).startswith(b"HTTP/1.1 200")
    for sock in (*holders, ninth):
        sock.close()


@pytest.mark.behaviour("D2")
def test_clients_that_stop_reading_stop_nobody_else(printer, tmp_path):
    path = printer.make_file("wanted.bin", 8 * MIB)
    printer.make_endless("endless.bin")
    stalled = [printer.connect() for _ in range(3)]
    for sock in stalled:
        sock.sendall(get("/files/endless.bin"))
        assert sock.recv(1000)  # it has begun, and is not read on
    curl("--output", str(tmp_path / "got.bin"), printer.url + "/files/wanted.bin")
    assert digest(tmp_path / "got.bin") == digest(path)
    for sock in stalled:
        reset(sock)
    eventually(lambda: alone(printer), "the stalled clients' slots are free again")


@pytest.mark.behaviour("D14", "K1")
def test_200_clients_killed_in_mid_transfer_leave_all_slots_free(printer):
    printer.make_endless("endless.bin")
    for i in range(200):
        sock = printer.connect()
        if i % 2:
            sock.sendall(get("/files/endless.bin"))
            assert sock.recv(1 + i * 100)
        else:
            head = request("PUT /files/half.bin", "Content-Length: 1000000")
            sock.sendall(head + bytes(i * 50))
        reset(sock) if i % 3 else sock.close()
    eventually(lambda: alone(printer), "all slots free after 200 killed clients")
    assert all_slots_serve(printer)
    assert not (printer.files / "half.bin").exists()


@pytest.mark.parametrize("method", ["PUT /files/half.bin", "POST /api/networks"])
def test_uploads_that_stand_still_shut_nobody_out(hurried_printer, method):
    head = request(method, "Content-Type: application/json", "Content-Length: 1000000")
    stalled = [hurried_printer.connect() for _ in range(8)]
    for sock in stalled:
        sock.sendall(head + bytes(5000))
    assert hurried_printer.status()["storage"]["files"] == 0
    for sock in stalled:
        assert read_all(sock).startswith(b"HTTP/1.1 408 ")
        sock.close()
    assert not list(hurried_printer.files.iterdir())


def test_downloads_that_stand_still_shut_nobody_out(hurried_printer):
    hurried_printer.make_endless("endless.bin")
    stalled = [hurried_printer.connect() for _ in range(8)]
    for sock in stalled:
        sock.sendall(get("/files/endless.bin"))
        assert sock.recv(1000)
    assert hurried_printer.status()["storage"]["files"] == 1
    for sock in stalled:
        reset(sock)


def answered(printer, data):
    """All that comes to a client that sends this and its FIN."""
    with printer.connect() as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return read_all(sock)


@pytest.mark.behaviour("D13")
def test_a_client_that_ends_its_direction_is_answered(printer):
    path = printer.make_file("wanted.bin", 2 * MIB)
    assert answered(printer, request("GET /files/wanted.bin")).endswith(path.read_bytes())
    three = answered(printer, request("GET /api/files") * 3)
    assert three.count(b"HTTP/1.1 200 OK\r\n") == 3
    put = request("PUT /files/put.bin", "Content-Length: 100000") + path.read_bytes()[:100_000]
    assert answered(printer, put).startswith(b"HTTP/1.1 201 ")
    assert (printer.files / "put.bin").read_bytes() == path.read_bytes()[:100_000]
    half = request("PUT /files/half.bin", "Content-Length: 100000") + bytes(50_000)
    assert answered(printer, half).startswith(b"HTTP/1.1 400 ")
    assert not (printer.files / "half.bin").exists()
    assert answered(printer, request("GET /api/files")[:-1]).startswith(b"HTTP/1.0 400 ")
    two = answered(printer, request("GET /api/files") * 2 + b"no HTTP\r\n\r\n")
    assert re.findall(rb"HTTP/1\.\d (\d+) ", two) == [b"200", b"200", b"400"]
    eventually(lambda: alone(printer), "all slots free")


def status_of(printer, *arguments):
    """The status that curl is answered."""
    asked = ("--no-fail", "--output", "/dev/null", "--write-out", "%{http_code}")
    return int(curl(*asked, *arguments))


def test_another_site_reads_and_changes_nothing(printer):
    path = printer.make_file("mine.bin", 1000)
    there = f"rebound.example:{printer.port}"
    rebound = ("--resolve", f"{there}:{printer.host}")
    assert status_of(printer, *rebound, f"http://{there}/api/files") == 421
    foreign = ("--request", "DELETE", printer.url + "/files/mine.bin", "--header")
    assert status_of(printer, *foreign, "Origin: http://rebound.example") == 403
    assert path.exists()
    assert status_of(printer, *foreign, f"Origin: {printer.url}") == 204
    path.touch()
    default = ("--header", f"Host: {HOST_NAME}")
    assert status_of(printer, *foreign, f"Origin: https://{HOST_NAME}:443", *default) == 204
    named = (f"{HOST_NAME}:{printer.port}", f"{HOST_NAME}.local:{printer.port}")
    for name in named:
        own = ("--resolve", f"{name}:{printer.host}")
        assert status_of(printer, *own, f"http://{name}/api/files") == 200


def test_what_is_sent_encoded_is_refused(printer, tmp_path):
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(pattern(100_000))[:80_000])
    for coding in ("gzip", "br", "x-unknown"):
        header = f"Content-Encoding: {coding}"
        sent = ("--upload-file", str(packed), "--header", header)
        assert status_of(printer, *sent, printer.url + "/files/packed.bin") == 415
    assert not (printer.files / "packed.bin").exists()
    assert "Traceback" not in "".join(printer.output)


def ask_from(printer, port):
    """What a client with this source port receives; the module closes first."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))
        sock.settimeout(60)
        eventually(lambda: is_begun(sock, printer), "the client's own last connection has ended")
        sock.sendall(get("/api/files"))
        return read_all(sock)


def is_begun(sock, printer):
    """Connect; False while the client's own computer still has its last connection."""
    try:
        sock.connect((printer.host, printer.port))
    except OSError as problem:
        if problem.errno != errno.EADDRNOTAVAIL:
            raise
        return False
    return True


@pytest.mark.behaviour("D17")
def test_a_client_that_always_has_the_same_port_is_served_each_time(printer):
    port = own_port()
    for _ in range(5):
        assert ask_from(printer, port).startswith(b"HTTP/1.1 200")


def test_what_is_no_http_gets_an_answer_and_no_trace(printer):
    with printer.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nno header\r\n\r\n")
        assert read_all(sock).startswith(b"HTTP/1.0 400")
    assert "Traceback" not in "".join(printer.output)
