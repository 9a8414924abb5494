"""The commands of `spinet-controller`."""

import click

from spinet_controller import __version__
from spinet_controller.cli.bench import bench
from spinet_controller.cli.churn import churn
from spinet_controller.cli.connect import connect
from spinet_controller.cli.control import (
    access_point,
    diagnostics,
    factory_reset,
    host_name,
    join,
    leave,
    reset,
)
from spinet_controller.cli.listen import call_home, listen
from spinet_controller.cli.networks import networks
from spinet_controller.cli.scan import scan
from spinet_controller.cli.serve import serve
from spinet_controller.cli.status import status
from spinet_controller.cli.trace import trace
from spinet_controller.cli.update import update, update_owner


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def program() -> None:
    """The controller's end of a Spinet module: a virtual printer, and tools.

    Without --sim, --spidev or --serial-bus a module is awaited on the virtual bus (start one with
    `make sim`).
    """


for command in (
    *(serve, status, networks, scan, join, leave, access_point, host_name),
    *(listen, connect, call_home, reset, factory_reset, diagnostics, bench, churn, trace),
    *(update, update_owner),
):
    program.add_command(command)
