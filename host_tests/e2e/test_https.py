"""The site over TLS, which the module speaks: curl, with the certificate and without."""

import hashlib
import json
import subprocess
import urllib.request

import pytest
from printer_process import Printer, ended_in_order, pattern

MIB = 1024 * 1024
NOT_TRUSTED = 60  # curl's exit code


def url(printer, path):
    return f"https://{printer.host}:{printer.ports['https']}{path}"


@pytest.mark.parametrize(
    ("name", "label"), [("Büro 3D", "B--ro-3D"), ("Printer #2", "Printer--2"), ("T2+CW", "T2-CW")]
)
def test_a_printer_of_any_name_has_https(tmp_path, name, label):
    printer = Printer(
        *("sockets", "module-clocked", tmp_path),
        serves=("https",),
        options=("--host-name", name),
    )
    for host in (label, f"{label}.local"):
        port = printer.ports["https"]
        there = f"{host}:{port}"
        page = f"https://{there}/api/status"
        shown, code = curl(printer, "--connect-to", f"{there}:{printer.host}:{port}", page)
        assert (code, json.loads(shown)["module"]["hostName"]) == (0, name)
    ended_in_order(printer)


def curl(printer, *arguments, trusted=True):
    """Run curl; what it printed, and its exit code."""
    ca = printer.files.parent / "tls" / "cert.pem"
    options = ["--silent", "--fail", "--max-time", "60", *(("--cacert", ca) if trusted else ())]
    done = subprocess.run(["curl", *options, *arguments], capture_output=True, check=False)
    return done.stdout, done.returncode


def test_files_go_up_and_down_over_tls(full_printer, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(pattern(2 * MIB))
    _, code = curl(full_printer, "--upload-file", source, url(full_printer, "/files/tls.bin"))
    assert code == 0
    assert (full_printer.files / "tls.bin").read_bytes() == source.read_bytes()
    back, code = curl(full_printer, url(full_printer, "/files/tls.bin"))
    assert code == 0
    assert hashlib.sha256(back).digest() == hashlib.sha256(source.read_bytes()).digest()
    (full_printer.files / "tls.bin").unlink()


def test_who_does_not_know_the_certificate_does_not_trust_it(full_printer):
    shown, code = curl(full_printer, url(full_printer, "/api/status"), trusted=False)
    assert (shown, code) == (b"", NOT_TRUSTED)


def test_the_key_is_shown_nowhere(full_printer):
    folder = full_printer.files.parent / "tls"
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    secret = (folder / "key.pem").read_text().splitlines()[1]
    for path in ("/", "/page.js", "/api/status", "/api/files", "/api/networks"):
        with urllib.request.urlopen(full_printer.url + path) as answer:
            assert secret not in answer.read().decode()
    assert not full_printer.said(secret)
