"""What a printer is to serve, and where: plain values, quick to import."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

MQTT_PORT, MQTT_TLS_PORT = 1883, 8883

STALLED = 60.0
"""Seconds without one byte after which a client is given up that is to send or to take some."""


@dataclass(frozen=True)
class Broker:
    """Where the MQTT broker is, and our name there.

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
    """Where to serve what; 0 is nowhere. `stalled` is the site's STALLED."""

    http: int
    https: int = 0
    ftp: int = 0
    telnet: int = 0
    broker: Broker | None = None
    stalled: float = STALLED


@dataclass(frozen=True)
class Naming:
    """What the printer is called, in the form that each protocol takes, and HTTPS's certificate.

    `host_name` is any text of 1 to 63 bytes. `files` are a certificate and a key; without them one
    is made and kept in `folder`. `others` are more names that the site answers for, a proxy's say.
    """

    host_name: str = "spinet-printer"
    files: tuple[Path, Path] | None = None
    folder: Path | None = None
    others: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The DNS label: what the module announces for this name (docs/discovery.md)."""
        raw = self.host_name.encode("utf-8", "surrogateescape")
        fit = re.sub(rb"[^0-9A-Za-z]", b"-", raw).strip(b"-")
        return fit.decode() or "spinet"

    @property
    def topic(self) -> str:
        """The first level of MQTT's topics: the name, with "-" for what no level may have."""
        fit = "".join(letter if letter.isprintable() else "-" for letter in self.host_name)
        return re.sub(r"^\$|[+#/]", "-", fit)

    def is_own(self, host: str, address: str) -> bool:
        """True when this, in lower case, is a name of the printer at the module's address.

        A name that another module has already is announced with a number behind it.
        """
        local = ("localhost",) if ip_address(address).is_loopback else ()
        if host in (address, *local, self.host_name.lower()) or self.is_other(host):
            return True
        numbered = re.fullmatch(re.escape(self.label.lower()) + r"(-\d+)?(\.local)?", host)
        return numbered is not None

    def is_other(self, host: str) -> bool:
        """True when this, in lower case, is one of `others`."""
        return host in (name.lower() for name in self.others)


def domain_names(label: str) -> tuple[str, str]:
    """Give the names that a printer with this label has on its network."""
    return label, f"{label}.local"


def mqtt_client_id(mac: str) -> str:
    """Give the client id of the module with this MAC ("02:53:..."); every broker takes its form."""
    return "spinet" + mac.replace(":", "")
