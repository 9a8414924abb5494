"""The certificate of HTTPS: one's own, or one that is made at the first start.

The module takes PEM of up to 2048 bytes (link protocol, networkSetTlsCert).
"""

import datetime
import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from spinet_controller.codes import MAX_DATA
from spinet_controller.printer.plan import domain_names

DAYS = 365
"""A certificate lives this long, and is made anew when fewer than LEFT are left."""
LEFT = 30


class BadCertificate(ValueError):
    """A certificate or key that the module cannot be given; the text says why, and no more."""


@dataclass(frozen=True)
class Identity:
    """A certificate and its key in PEM; `path` is where the certificate lies."""

    cert: bytes
    key: bytes = field(repr=False)
    path: Path


def given(cert_path: Path, key_path: Path) -> Identity:
    """Give the Identity of two files; BadCertificate when they are none, or not of each other."""
    cert, key = Path(cert_path).read_bytes(), Path(key_path).read_bytes()
    for what, pem in (("certificate", cert), ("key", key)):
        if not 1 <= len(pem) <= MAX_DATA:
            raise BadCertificate(f"the {what} has {len(pem)} bytes; the module takes {MAX_DATA}")
    try:
        if _public(_certificate(cert).public_key()) != _public(_key(key).public_key()):
            raise BadCertificate("the key is not the certificate's")
    except UnsupportedAlgorithm as error:
        raise BadCertificate(f"the certificate or its key: {error}") from None
    return Identity(cert, key, Path(cert_path))


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise BadCertificate("the certificate is not in PEM") from error


def _key(pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        # Without the cause, which might show what the file has in it.
        raise BadCertificate("the key is not in PEM, or has a password") from None


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def kept(
    folder: Path, host_name: str, address: str, now: datetime.datetime | None = None
) -> Identity:
    """Give the Identity kept in `folder`; make it when it is not there, or no longer fits."""
    now = now or datetime.datetime.now(datetime.UTC)
    folder = Path(folder)
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    try:
        identity = given(cert_path, key_path)
        if _fits(_certificate(identity.cert), host_name, address, now):
            return identity
    except (FileNotFoundError, BadCertificate):
        pass
    return _made(folder, host_name, address, now)


def _names(host_name: str, address: str) -> list[x509.GeneralName]:
    return [*map(x509.DNSName, domain_names(host_name)), x509.IPAddress(ip_address(address))]


def _fits(
    certificate: x509.Certificate, host_name: str, address: str, now: datetime.datetime
) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    enough = certificate.not_valid_after_utc - now > datetime.timedelta(LEFT)
    return list(names) == _names(host_name, address) and enough


def _made(folder: Path, host_name: str, address: str, now: datetime.datetime) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(host_name, address)), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / "key.pem", _pem_of(key))
    _write(folder / "cert.pem", certificate.public_bytes(serialization.Encoding.PEM))
    return given(folder / "cert.pem", folder / "key.pem")


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    os.replace(temporary, path)
