"""`scan`: the networks in reach."""

import click

from spinet_controller.cli.options import BusOptions, bus_options
from spinet_controller.cli.session import run_with_module
from spinet_controller.cli.showing import show_json, show_table
from spinet_controller.printer.status import Document, label
from spinet_controller.records import ScanData
from spinet_controller.wifi import scan as run_scan


def _document(found: ScanData) -> Document:
    return {
        "ssid": found.ssid,
        "rssi": found.rssi,
        "auth": label(found.auth),
        "channel": found.channel,
        "mac": found.mac,
    }


@click.command()
@bus_options
def scan(options: BusOptions) -> None:
    """Scan for networks, strongest first."""
    found = [_document(network) for network in run_with_module(options, run_scan)]
    if options.json:
        show_json(found)
    elif found:
        columns = ("network", "signal>", "security", "channel>", "mac")
        show_table(columns, [list(network.values()) for network in found])
    else:
        click.echo("no networks in reach")
