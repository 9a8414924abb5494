"""`scan`: the networks in reach."""

import click

from spinet_controller.cli.options import bus_options
from spinet_controller.cli.session import run_with_module
from spinet_controller.cli.showing import show_json, show_table
from spinet_controller.printer.status import label
from spinet_controller.wifi import scan as run_scan


def _document(found):
    return {
        "ssid": found.ssid,
        "rssi": found.rssi,
        "auth": label(found.auth),
        "channel": found.channel,
        "mac": found.mac,
    }


@click.command()
@bus_options
def scan(options):
    """Scan for networks, strongest first."""
    found = [_document(network) for network in run_with_module(options, run_scan)]
    if options.json:
        show_json(found)
    elif found:
        columns = ("network", "signal>", "security", "channel>", "mac")
        show_table(columns, [list(network.values()) for network in found])
    else:
        click.echo("no networks in reach")
