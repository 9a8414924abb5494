"""What `serve` serves, and where: options that become Ports and Naming."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from spinet_controller.cli.options import HOST, Number
from spinet_controller.codes import MAX_DATA
from spinet_controller.printer.plan import (
    MQTT_PORT,
    MQTT_TLS_PORT,
    STALLED,
    Broker,
    Naming,
    Ports,
)
from spinet_controller.records import pack_host_name

HTTP_PORT, HTTPS_PORT, FTP_PORT, TELNET_PORT = 8080, 8443, 2121, 2323
"""Ports that anybody may listen on; a printer's own are 80, 443, 21 and 23."""

MQTT_PASSWORD = "SPINET_MQTT_PASSWORD"


class _Port(click.ParamType[int]):
    """A port's number; `none` and 0 mean that something is not served."""

    name = "port|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "none":
            return 0
        return click.IntRange(0, 65535).convert(value, param, ctx)


class _Address(click.ParamType[tuple[str, int | None]]):
    """HOST or HOST:PORT, as (host, port or None)."""

    name = "host[:port]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int | None]:
        host, colon, port = str(value).partition(":")
        if not host or (colon and not port):
            self.fail(f"{value!r} is no HOST or HOST:PORT", param, ctx)
        HOST.convert(host, param, ctx)
        number: Any = port
        return host, click.IntRange(1, 65535).convert(number, param, ctx) if colon else None


class HostName(click.ParamType[str]):
    """What the module is to be called; not empty, as its certificate is for it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            pack_host_name(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value) or self.fail("a name is wanted", param, ctx)


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _port_option(
    name: str, default: int, what: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        name, type=_Port(), default=default, show_default=True, help=f"TCP port of {what}."
    )


_OPTIONS = (
    click.option(
        "--port",
        "http_port",
        type=click.IntRange(1, 65535),
        default=HTTP_PORT,
        show_default=True,
        help="TCP port of the site, on the module.",
    ),
    _port_option("--https-port", HTTPS_PORT, "the site over TLS; none or 0 turns it off"),
    _port_option("--ftp-port", FTP_PORT, "FTP"),
    _port_option("--telnet-port", TELNET_PORT, "the console"),
    click.option("--tls-cert", type=_FILE, help="Certificate of HTTPS, in PEM (with --tls-key)."),
    click.option("--tls-key", type=_FILE, help="Its private key, in PEM."),
    click.option(
        "--tls-folder",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the certificate that is made is kept.  [default: the user's own settings]",
    ),
    click.option("--mqtt-broker", type=_Address(), help="MQTT broker to connect to."),
    click.option(
        "--mqtt-user",
        help=f"Name at the broker; its password is in the environment variable {MQTT_PASSWORD}.",
    ),
    click.option("--mqtt-tls", is_flag=True, help="Speak TLS to the broker (with --mqtt-ca)."),
    click.option("--mqtt-ca", type=_FILE, help="CA of the broker's certificate, in PEM."),
    click.option(
        "--host-name",
        type=HostName(),
        default="spinet-printer",
        show_default=True,
        help="The module's name.",
    ),
    click.option(
        "--allow-host",
        multiple=True,
        metavar="NAME",
        help="Another name that the site answers for, a proxy's say. May be given again.",
    ),
    click.option(
        "--stalled",
        type=Number(0, min_open=True),
        default=STALLED,
        show_default=True,
        help="Seconds without a byte after which a client of the site is given up.",
    ),
)

_NAMES = (
    *("http_port", "https_port", "ftp_port", "telnet_port", "tls_cert", "tls_key", "tls_folder"),
    *("mqtt_broker", "mqtt_user", "mqtt_tls", "mqtt_ca", "host_name", "stalled"),
    "allow_host",
)


def service_options(command: Callable[..., object]) -> Callable[..., Any]:
    """Give a command the options; it gets them as `ports` and `naming`."""

    @functools.wraps(command)
    def gathered(**arguments: Any) -> object:
        chosen = {name: arguments.pop(name) for name in _NAMES}
        return command(ports=_ports(chosen), naming=_naming(chosen), **arguments)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def _ports(chosen: dict[str, Any]) -> Ports:
    return Ports(
        http=chosen["http_port"],
        https=chosen["https_port"],
        ftp=chosen["ftp_port"],
        telnet=chosen["telnet_port"],
        broker=_broker(chosen),
        stalled=chosen["stalled"],
    )


def _broker(chosen: dict[str, Any]) -> Broker | None:
    if chosen["mqtt_broker"] is None:
        if chosen["mqtt_user"] or chosen["mqtt_tls"] or chosen["mqtt_ca"]:
            raise click.UsageError("there is no --mqtt-broker to use this for")
        return None
    if chosen["mqtt_tls"] != bool(chosen["mqtt_ca"]):
        raise click.UsageError("--mqtt-tls and --mqtt-ca go together")
    if any("\ud800" <= character <= "\udfff" for character in chosen["mqtt_user"] or ""):
        raise click.UsageError("--mqtt-user is not UTF-8, as MQTT wants it")
    host, port = chosen["mqtt_broker"]
    tls, ca = chosen["mqtt_tls"], chosen["mqtt_ca"]
    return Broker(
        host=host,
        port=port or (MQTT_TLS_PORT if tls else MQTT_PORT),
        user=chosen["mqtt_user"],
        password=os.environb.get(MQTT_PASSWORD.encode()),
        tls=tls,
        ca=_ca(ca) if ca else None,
    )


def _ca(path: Path) -> bytes:
    pem = path.read_bytes()
    if not 1 <= len(pem) <= MAX_DATA:
        raise click.UsageError(
            f"--mqtt-ca: {path} has {len(pem)} bytes; the module takes {MAX_DATA}"
        )
    return pem


def _naming(chosen: dict[str, Any]) -> Naming:
    files = (chosen["tls_cert"], chosen["tls_key"])
    if any(files) and not all(files):
        raise click.UsageError("--tls-cert and --tls-key go together")
    folder = chosen["tls_folder"] or Path(click.get_app_dir("spinet-controller"))
    given = files if all(files) else None
    return Naming(chosen["host_name"], given, folder, chosen["allow_host"])
