"""Commands that tell the module what to do: networks to be on, its name, starting anew."""

from ipaddress import IPv4Address

import click

from spinet_controller import wifi
from spinet_controller.cli.networks import (
    ADDRESS,
    done,
    password_options,
    taken_password,
    wanted_password,
)
from spinet_controller.cli.options import BusOptions, bus_options, packable
from spinet_controller.cli.serve_options import HostName
from spinet_controller.cli.session import Session, joined, run, run_with_module
from spinet_controller.module import Module
from spinet_controller.records import NetworkStatus, WirelessConfig, shown


@click.command()
@click.argument("ssid", required=False)
@password_options
@bus_options
def join(options: BusOptions, ssid: str | None, no_password: bool, password_stdin: bool) -> None:
    """Join the network SSID, or the strongest of those that the module remembers.

    With --open, with --password-stdin, or with a password in the environment variable
    SPINET_PASSWORD, SSID is remembered first.
    """
    config = None
    password = taken_password(no_password, password_stdin)
    if ssid is not None and password is not None:
        config = WirelessConfig(ssid, password)
        packable(config)

    async def work(module: Module) -> NetworkStatus:
        if config:
            await module.network_add_ssid(config)
        return await (joined(options, module) if ssid is None else wifi.switch(module, ssid))

    network = run_with_module(options, work)
    document = {"network": network.ssid, "address": str(network.ip)}
    done(options, f"on {shown(network.ssid)}, at {network.ip}", document)


@click.command()
@bus_options
def leave(options: BusOptions) -> None:
    """Leave the network, or end the access point; every connection ends."""
    run_with_module(options, wifi.leave)
    done(options, "on no network", {"network": None})


@click.command("access-point")
@click.argument("ssid")
@password_options
@click.option(
    "--ip", type=ADDRESS, default="192.168.4.1", show_default=True, help="The module's address."
)
@click.option("--channel", type=click.IntRange(0, 13), default=0, help="[default: the module's]")
@bus_options
def access_point(
    options: BusOptions,
    ssid: str,
    no_password: bool,
    password_stdin: bool,
    ip: IPv4Address,
    channel: int,
) -> None:
    """Be the access point SSID.

    The password comes as for `networks add`. `networks remove-access-point` forgets it.
    """
    password = wanted_password(no_password, password_stdin)
    config = WirelessConfig(ssid, password, ip, channel=channel)
    packable(config)
    run_with_module(options, lambda module: wifi.start_access_point(module, config))
    done(options, f"{shown(ssid)} is at {ip}", {"accessPoint": ssid, "address": str(ip)})


@click.command("host-name")
@click.argument("name", type=HostName())
@bus_options
def host_name(options: BusOptions, name: str) -> None:
    """Call the module NAME."""
    run_with_module(options, lambda module: module.network_set_host_name(name))
    done(options, f"the module is called {shown(name)}", {"hostName": name})


@click.command()
@bus_options
def reset(options: BusOptions) -> None:
    """Reset the module by its pin, and wait until it has started."""

    async def body(session: Session) -> None:
        await session.boot(options.timeout)
        await session.reset()

    run(options, body)
    done(options, "the module has started again", {"reset": True})


@click.command("factory-reset")
@click.option("--yes", is_flag=True, help="Do not ask.")
@bus_options
def factory_reset(options: BusOptions, yes: bool) -> None:
    """Have the module forget all networks, certificates and keys."""
    if not yes:
        click.confirm("Forget all networks, certificates and keys?", abort=True, err=True)
    run_with_module(options, lambda module: module.network_factory_reset())
    done(options, "everything is forgotten", {"factoryReset": True})


@click.command()
@bus_options
def diagnostics(options: BusOptions) -> None:
    """Have the module print its report on its own console; with --sim, -v shows that."""
    run_with_module(options, lambda module: module.diagnostics())
    done(options, "the report is on the module's console", {"diagnostics": True})
