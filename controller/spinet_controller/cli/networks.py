"""`networks`: what the module remembers."""

import os
import sys
from ipaddress import IPv4Address

import click

from spinet_controller.cli.options import bus_options, packable
from spinet_controller.cli.session import run_with_module
from spinet_controller.cli.showing import show_json, show_table
from spinet_controller.records import ANY_ADDRESS, WirelessConfig, shown

PASSWORD_VARIABLE = "SPINET_PASSWORD"


class _Address(click.ParamType):
    name = "address"

    def convert(self, value, param, ctx):
        try:
            return IPv4Address(value)
        except ValueError:
            return self.fail(f"{value!r} is not an IPv4 address", param, ctx)


ADDRESS = _Address()


@click.group()
def networks():
    """List, add and remove the networks that the module remembers."""


def _document(config):
    dhcp = config.ip == ANY_ADDRESS
    return {"ssid": config.ssid, "address": "dhcp" if dhcp else str(config.ip)}


async def _remembered(module):
    own, *known = await module.network_retrieve_ssid_data()
    access_point = _document(own) if own.ssid else None
    return {"accessPoint": access_point, "networks": [_document(config) for config in known]}


@networks.command("list")
@bus_options
def list_networks(options):
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


def password_options(command):
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
def add(options, ssid, no_password, password_stdin, ip, gateway, netmask):
    """Remember the network SSID.

    The password comes from the environment variable SPINET_PASSWORD, from standard input, or
    from a prompt; never from the command line, where others could read it.
    """
    password = taken_password(no_password, password_stdin, ask=True)
    config = WirelessConfig(ssid, password, ip, gateway, netmask)
    packable(config)
    run_with_module(options, lambda module: module.network_add_ssid(config))
    done(options, f"remembered {shown(ssid)}", {"added": ssid})


def taken_password(no_password, from_stdin, *, ask=False):
    """Give the password as the options say, else that of the environment variable.

    When there is none: None, or with `ask` what a person types, or a pipe holds.
    """
    if no_password:
        return ""
    if from_stdin:
        return _password_line()
    given = os.environ.get(PASSWORD_VARIABLE)
    if given is not None or not ask:
        return given
    if not sys.stdin or not sys.stdin.isatty():
        return _password_line()  # a prompt would go past it, to the terminal, or complain
    return click.prompt("Password", hide_input=True, default="", show_default=False, err=True)


def _password_line():
    line = sys.stdin.buffer.readline() if sys.stdin else b""
    if not line:
        raise click.UsageError("there is no password on standard input")
    return line.decode("utf-8", "surrogateescape").rstrip("\r\n")


@networks.command()
@click.argument("ssid")
@bus_options
def remove(options, ssid):
    """Forget the network SSID."""
    packable(WirelessConfig(ssid))
    run_with_module(options, lambda module: module.network_delete_ssid(ssid))
    done(options, f"forgot {shown(ssid)}", {"removed": ssid})


@networks.command("remove-access-point")
@bus_options
def remove_access_point(options):
    """Forget the access point that the module can be."""
    run_with_module(options, lambda module: module.network_delete_access_point())
    done(options, "forgot the access point", {"removed": "access point"})


def done(options, text, document):
    """Tell what was done: in words, or as a JSON document."""
    if options.json:
        show_json(document)
    else:
        click.echo(text)
