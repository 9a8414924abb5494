"""What a printer is to serve, and where: plain values, quick to import."""

from dataclasses import dataclass, field
from pathlib import Path

MQTT_PORT, MQTT_TLS_PORT = 1883, 8883


@dataclass(frozen=True)
class Broker:
    """Where the MQTT broker is, and who we are there.

    With `tls` its certificate must be for `host` and from `ca` (PEM).
    """

    host: str
    port: int
    user: str | None = None
    password: bytes | None = field(default=None, repr=False)
    tls: bool = False
    ca: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Ports:
    """Where to serve what; 0 is nowhere."""

    http: int
    https: int = 0
    ftp: int = 0
    telnet: int = 0
    broker: Broker | None = None


@dataclass(frozen=True)
class Naming:
    """What the printer is called, and whose certificate HTTPS shows.

    `files` are a certificate and a key; without them one is made and kept in `folder`.
    """

    host_name: str = "spinet-printer"
    files: tuple[Path, Path] | None = None
    folder: Path | None = None
