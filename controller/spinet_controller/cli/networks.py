"""`networks`: what the module remembers."""

import os
import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, TypeVar

import click

from spinet_controller.cli.options import BusOptions, bus_options, packable
from spinet_controller.cli.session import run_with_module
from spinet_controller.cli.showing import show_json, show_table
from spinet_controller.module import Module
from spinet_controller.printer.status import Document
from spinet_controller.records import ANY_ADDRESS, WirelessConfig, shown

_C = TypeVar("_C", bound=Callable[..., Any])

PASSWORD_VARIABLE = "SPINET_PASSWORD"


class _Address(click.ParamType[IPv4Address]):
    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Address:
        try:
            return IPv4Address(value)
        except ValueError:
            return self.fail(f"{value!r} is not an IPv4 address", param, ctx)


ADDRESS = _Address()


@click.group()
def networks() -> None:
    """List, add and remove the networks that the module remembers."""


def _document(config: WirelessConfig) -> Document:
    dhcp = config.ip == ANY_ADDRESS
    return {"ssid": config.ssid, "address": "dhcp" if dhcp else str(config.ip)}


async def _remembered(module: Module) -> Document:
    own, *known = await module.network_retrieve_ssid_data()
    access_point = _document(own) if own.ssid else None
    return {"accessPoint": access_point, "networks": [_document(config) for config in known]}


@networks.command("list")
@bus_options
def list_networks(options: BusOptions) -> None:
    """List the remembered networks, never their passwords."""
    document = run_with_module(options, _remembered)
    if options.json:
        show_json(document)
        return
    rows = [(entry["ssid"], entry["address"], "station") for entry in document["networks"]]
    own = document["accessPoint"]
    if own:
        rows.insert(0, (own["ssid"], own["address"], "access point"))
    if rows:
        show_table(("network", "address", "as"), rows)
    else:
        click.echo("no networks are remembered")


def password_options(command: _C) -> _C:
    """Give a command the options for `taken_password`."""
    from_stdin = click.option(
        "--password-stdin", is_flag=True, help="Read the password from standard input."
    )
    no_password = click.option(
        "--open", "no_password", is_flag=True, help="The network has no password."
    )
    return no_password(from_stdin(command))


@networks.command()
@click.argument("ssid")
@password_options
@click.option("--ip", type=ADDRESS, default=ANY_ADDRESS, help="Fixed address.  [default: DHCP]")
@click.option("--gateway", type=ADDRESS, default=ANY_ADDRESS, help="Gateway of a fixed address.")
@click.option("--netmask", type=ADDRESS, default=ANY_ADDRESS, help="Netmask of a fixed address.")
@bus_options
def add(
    options: BusOptions,
    ssid: str,
    no_password: bool,
    password_stdin: bool,
    ip: IPv4Address,
    gateway: IPv4Address,
    netmask: IPv4Address,
) -> None:
    """Remember the network SSID.

    The password comes from the environment variable SPINET_PASSWORD, from standard input, or
    from a prompt; never from the command line, where others could read it.
    """
    password = wanted_password(no_password, password_stdin)
    config = WirelessConfig(ssid, password, ip, gateway, netmask)
    packable(config)
    run_with_module(options, lambda module: module.network_add_ssid(config))
    done(options, f"remembered {shown(ssid)}", {"added": ssid})


def wanted_password(no_password: bool, from_stdin: bool) -> str:
    """As `taken_password`; when there is none, what a person types, or a pipe holds."""
    given = taken_password(no_password, from_stdin)
    if given is not None:
        return given
    if not sys.stdin or not sys.stdin.isatty():
        return _password_line()  # a prompt would go past it, to the terminal, or complain
    typed: str = click.prompt("Password", hide_input=True, default="", show_default=False, err=True)
    return typed


def taken_password(no_password: bool, from_stdin: bool) -> str | None:
    """Give the password as the options say, else that of the environment variable, else None."""
    if no_password:
        return ""
    if from_stdin:
        return _password_line()
    return os.environ.get(PASSWORD_VARIABLE)


def _password_line() -> str:
    line = sys.stdin.buffer.readline() if sys.stdin else b""
    if not line:
        raise click.UsageError("there is no password on standard input")
    return line.decode("utf-8", "surrogateescape").rstrip("\r\n")


@networks.command()
@click.argument("ssid")
@bus_options
def remove(options: BusOptions, ssid: str) -> None:
    """Forget the network SSID."""
    packable(WirelessConfig(ssid))
    run_with_module(options, lambda module: module.network_delete_ssid(ssid))
    done(options, f"forgot {shown(ssid)}", {"removed": ssid})


@networks.command("remove-access-point")
@bus_options
def remove_access_point(options: BusOptions) -> None:
    """Forget the access point that the module can be."""
    run_with_module(options, lambda module: module.network_delete_access_point())
    done(options, "forgot the access point", {"removed": "access point"})


def done(options: BusOptions, text: str, document: Document) -> None:
    """Tell what was done: in words, or as a JSON document."""
    if options.json:
        show_json(document)
    else:
        click.echo(text)
