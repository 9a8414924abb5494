"""`status`: what the module says of itself."""

import click

from spinet_controller.cli.options import BusOptions, bus_options
from spinet_controller.cli.session import run_with_module
from spinet_controller.cli.showing import show_json, show_pairs, size
from spinet_controller.codes import RSSI_UNKNOWN, SOCKETS, ConnState
from spinet_controller.module import Module
from spinet_controller.printer.status import Document, label, network_document


async def gather(module: Module) -> Document:
    """Give the module's network status and the states of its sockets as a document."""
    network, role = await module.network_get_status(), module.bus.role
    sockets = [await module.conn_get_status(number) for number in range(SOCKETS)]
    return {
        "state": label(module.wifi_state),
        **network_document(network),
        "role": None if role is None else role.label,
        "sockets": [label(socket.state) for socket in sockets],
    }


def _pairs(document: Document) -> list[tuple[str, object]]:
    free = document["sockets"].count(label(ConnState.FREE))
    rssi = document["rssi"]
    return [
        ("state", document["state"]),
        ("address", document["ip"]),
        ("network", document["ssid"] or "none"),
        ("signal", "none" if rssi == RSSI_UNKNOWN else f"{rssi} dBm"),
        ("host name", document["hostName"]),
        ("mac", document["mac"]),
        ("firmware", document["version"]),
        ("free heap", size(document["freeHeap"])),
        ("last reset", document["resetReason"]),
        ("link", document["role"]),
        ("free sockets", f"{free} of {SOCKETS}"),
    ]


@click.command()
@bus_options
def status(options: BusOptions) -> None:
    """Show the module's network, memory and sockets."""
    document = run_with_module(options, gather)
    if options.json:
        show_json(document)
    else:
        show_pairs(_pairs(document))
