"""The certificate of HTTPS: made, kept, made anew; one's own; and HTTPS with it."""

import base64
import datetime
import ssl

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from own_port import own_port
from served import served

from spinet_controller.printer import certificate
from spinet_controller.printer.certificate import BadCertificate, given, kept
from spinet_controller.printer.plan import Naming, Ports


def test_it_is_made_once_and_kept(tmp_path):
    first = kept(tmp_path / "tls", "printer", "192.0.2.1")
    assert kept(tmp_path / "tls", "printer", "192.0.2.1") == first
    assert first.path == tmp_path / "tls" / "cert.pem"
    assert {path.name for path in first.path.parent.iterdir()} == {"cert.pem", "key.pem"}
    assert [path.stat().st_mode & 0o777 for path in first.path.parent.iterdir()] == [0o600] * 2
    assert first.path.parent.stat().st_mode & 0o777 == 0o700


def test_one_without_names_is_made_anew(tmp_path):
    _self_signed(tmp_path, ec.SECP256R1())
    assert kept(tmp_path, "printer", "192.0.2.1").cert.startswith(b"-----BEGIN CERTIFICATE")
    first = kept(tmp_path, "printer", "192.0.2.1")
    assert kept(tmp_path, "printer", "192.0.2.1") == first


def _self_signed(folder, curve):
    key = ec.generate_private_key(curve)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "printer")])
    cert = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    cert = cert.public_key(key.public_key()).serial_number(1)
    cert = cert.not_valid_before(later(-1)).not_valid_after(later(300)).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(certificate._pem_of(key))


def test_a_kind_of_key_that_is_not_known_is_refused_in_words(tmp_path):
    _self_signed(tmp_path, ec.SECP256R1())
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    known, unknown = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f")
    for what, path in zip(("CERTIFICATE", "PRIVATE KEY"), files, strict=True):
        der = base64.b64decode("".join(path.read_text().splitlines()[1:-1]))
        text = base64.encodebytes(der.replace(known, unknown)).decode()
        path.write_text(f"-----BEGIN {what}-----\n{text}-----END {what}-----\n")
    with pytest.raises(BadCertificate):
        given(*files)


def later(days):
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days)


@pytest.mark.parametrize(
    ("name", "address", "days", "same"),
    [
        ("printer", "192.0.2.2", 0, False),
        ("other", "192.0.2.1", 0, False),
        ("printer", "192.0.2.1", 334, True),
        ("printer", "192.0.2.1", 336, False),
    ],
)
def test_it_is_made_anew_when_it_no_longer_fits(tmp_path, name, address, days, same):
    first = kept(tmp_path, "printer", "192.0.2.1")
    assert (kept(tmp_path, name, address, later(days)) == first) is same


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_it_is_made_anew_when_it_is_damaged(tmp_path, name, content):
    first = kept(tmp_path, "printer", "192.0.2.1")
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    assert kept(tmp_path, "printer", "192.0.2.1").cert != first.cert


def locked(key_pem):
    """The same key with a password."""
    return serialization.load_pem_private_key(key_pem, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )


def test_what_is_no_pair_is_refused_in_words_that_show_nothing(tmp_path):
    one, other = kept(tmp_path / "1", "a", "192.0.2.1"), kept(tmp_path / "2", "b", "192.0.2.1")
    cert, key = tmp_path / "cert", tmp_path / "key"
    for cert_pem, key_pem, reason in (
        (one.cert, other.key, "the key is not the certificate's"),
        (one.cert, locked(one.key), "the key is not in PEM, or has a password"),
        (one.cert, one.key[:90], "the key is not in PEM, or has a password"),
        (one.key, one.key, "the certificate is not in PEM"),
        (one.cert * 9, one.key, f"the certificate has {9 * len(one.cert)} bytes"),
        (b"", one.key, "the certificate has 0 bytes"),
    ):
        cert.write_bytes(cert_pem)
        key.write_bytes(key_pem)
        with pytest.raises(BadCertificate) as raised:
            given(cert, key)
        assert str(raised.value).startswith(reason)
        assert raised.value.__cause__ is None or "key" not in reason
    assert one.key.decode() not in repr(one)


async def test_https(tmp_path):
    ports = Ports(own_port(), https=own_port())
    naming = Naming("localhost", folder=tmp_path / "tls")
    async with served(tmp_path / "files", ports, naming) as made:
        url = made.report.services["HTTPS"]
        assert url == f"https://127.0.0.1:{ports.https}/"
        trusted = ssl.create_default_context(cafile=tmp_path / "tls" / "cert.pem")
        connector = aiohttp.TCPConnector(ssl=trusted)
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.put(f"{url}files/x", data=bytes(100_000)) as answer:
                assert answer.status == 201
            async with session.get(f"{url}files/x") as answer:
                assert await answer.read() == bytes(100_000)
        assert made.rig.firmware.tls_ports == {ports.https}
        assert made.said(f"the certificate of HTTPS is {tmp_path / 'tls' / 'cert.pem'}")
        key = (tmp_path / "tls" / "key.pem").read_text().splitlines()[1]
        assert key in made.rig.firmware.key.decode()
        assert not made.said(key)


async def test_a_module_that_has_no_tls_serves_the_rest(tmp_path):
    ports = Ports(own_port(), https=own_port(), telnet=own_port())
    naming = Naming("localhost", folder=tmp_path / "tls")

    def refusing(rig):
        rig.firmware._pem = lambda *_data: rig.firmware.tell(b"TLS is not in this firmware")

    async with served(tmp_path / "files", ports, naming, before=refusing) as made:
        assert made.said("HTTPS is not served: the module says: TLS is not in this firmware")
        assert list(made.report.services) == ["HTTP", "Telnet"]


async def test_a_certificate_of_ones_own_that_is_none(tmp_path):
    for name in ("cert", "key"):
        (tmp_path / name).write_bytes(b"nonsense")
    naming = Naming("localhost", files=(tmp_path / "cert", tmp_path / "key"))
    ports = Ports(own_port(), https=own_port())
    async with served(tmp_path / "files", ports, naming) as made:
        assert made.said("HTTPS is not served: the certificate is not in PEM")
    assert certificate.DAYS > certificate.LEFT
