"""The program of the SIM board: `micropython -m sim --help`."""

import os
import sys
import time

import board
from air import Air, ScriptError
from sim_stacks import HAS_LWIP, LwipNetwork, SocketNetwork, u32
from virtual_bus import CONTROLLER_CLOCKED, MODULE_CLOCKED, DuetBus, NinaBus, say

from spinet import VERSION_TEXT

HELP = """spinet-sim: a Spinet module on this computer, its SPI link a TCP connection

usage: micropython -m sim [options]
       micropython -i -m sim --repl [options]     a REPL beside the serving module

  --port N        the controller listens on 127.0.0.1:N (default 8765)
  --host ADDRESS  where the controller is (default 127.0.0.1)
  --protocol NAME the link protocol: duet (default) or nina
  --role ROLE     of duet: module-clocked (default) or controller-clocked
  --stack STACK   TCP by sockets (this computer's) or lwip (default: lwip where it is built in)
  --address A     the module's own address (default 127.0.0.1, with --tap $SPINET_ADDRESS)
  --tap DEVICE    the TAP device that lwIP is on, --address A/BITS there (default $SPINET_TAP;
                  without one lwIP has its loopback only)
  --faults LIST   spoil lwIP's wire: drop=50,duplicate=20,reorder=20,corrupt=1 in per mille
                  (default $SPINET_FAULTS)
  --seed N        the seed of the faults' random numbers (default 1)
  --warp N        run lwIP's clock so many times faster (default $SPINET_WARP or 1)
  --dns-port N    where the captive DNS of access point mode listens (default 53)
  --state DIR     where networks, certificate and key are kept (default build/sim-state)
  --radio FILE    play this script of access points that come and go (default $SPINET_RADIO;
                  without one every remembered network is in reach, see docs/wifi.md)
  --roots FILE    the public roots (PEM) that TLS servers are verified by (nina; default
                  $SSL_CERT_FILE or this computer's)
  --owner FILE    the certificate (PEM) whose owner may update over the network (default: off,
                  unless the controller has turned it on)
  --update-port N where that listens (default 21328)
  --sck-hz N      model this SPI clock rate (controller-clocked and nina)
  --repl          leave the terminal to the REPL (with -i)
  --help          this text"""

DEFAULTS = {
    "--repl": "",
    "--port": "8765",
    "--host": "127.0.0.1",
    "--protocol": "duet",
    "--role": "",
    "--stack": "lwip" if HAS_LWIP else "sockets",
    "--address": "",
    "--tap": "",
    "--faults": "",
    "--seed": "1",
    "--warp": "",
    "--dns-port": "53",
    "--state": "build/sim-state",
    "--radio": "",
    "--roots": "",
    "--owner": "",
    "--update-port": "21328",
    "--sck-hz": "0",
}
USUAL_ROLE = "module-clocked"
# Where systems have their public roots.
ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
ROLES = {"module-clocked": MODULE_CLOCKED, "controller-clocked": CONTROLLER_CLOCKED}


class BadOption(Exception):
    """A command line option is wrong; the text says why."""


def number(text, low, high):
    """A whole number from `low` to `high`. Raises BadOption."""
    if not text.isdigit() or not low <= int(text) <= high:
        raise BadOption("'%s' is not a number from %d to %d" % (text, low, high))
    return int(text)


def dotted_address(text):
    """An IPv4 address, as text. Raises BadOption."""
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise BadOption("'%s' is not an IPv4 address" % text)
    return text


def bus_of(options):
    """The virtual bus that these options describe. Raises BadOption."""
    host = dotted_address(options["--host"])
    port = number(options["--port"], 1, 65535)
    sck_hz = number(options["--sck-hz"], 0, 1000000000)
    protocol, role = options["--protocol"], options["--role"]
    if protocol == "nina":
        if role:
            raise BadOption("--role is for the protocol duet: nina has one role only")
        return NinaBus(host, port, VERSION_TEXT, sck_hz)
    if protocol != "duet":
        raise BadOption("'%s' is no protocol: duet or nina" % protocol)
    return DuetBus(host, port, role_of(role or USUAL_ROLE), VERSION_TEXT, sck_hz)


def role_of(text):
    """0 or 1, as in HELLO. Raises BadOption."""
    if text not in ROLES:
        raise BadOption("'%s' is no role: module-clocked or controller-clocked" % text)
    return ROLES[text]


def prefixed_address(text):
    """An IPv4 address and its prefix length, as "10.0.0.2/24": (u32, bits)."""
    address, _, bits = text.partition("/")
    return u32(dotted_address(address)), number(bits or "24", 1, 31)


def network_of(options):
    """The network of sim_stacks that these options describe. Raises BadOption."""
    stack = options["--stack"]
    if stack == "sockets":
        address = dotted_address(options["--address"] or "127.0.0.1")
        return SocketNetwork(address, number(options["--dns-port"], 1, 65535))
    if stack != "lwip":
        raise BadOption("'%s' is no stack: sockets or lwip" % stack)
    if not HAS_LWIP:
        raise BadOption("this SIM has no lwIP in it: make build STACK=lwip makes one")
    tap = options["--tap"] or os.getenv("SPINET_TAP")
    address = options["--address"] or os.getenv("SPINET_ADDRESS")
    if tap and not address:
        raise BadOption("lwIP needs an --address on the TAP device, as 10.0.0.2/24")
    try:
        network = LwipNetwork(tap, *prefixed_address(address or "127.0.0.1"))
    except OSError as e:
        raise BadOption("cannot use the TAP device '%s' (error %d)" % (tap, e.errno))
    network.spoil(chances_of(options), number(options["--seed"], 0, 0x3FFFFFFF))
    network.warp(number(options["--warp"] or os.getenv("SPINET_WARP") or "1", 1, 100))
    return network


def chances_of(options):
    """--faults as a dict: kind of fault -> per mille. Raises BadOption."""
    chances = {"drop": 0, "duplicate": 0, "reorder": 0, "corrupt": 0}
    text = options["--faults"] or os.getenv("SPINET_FAULTS") or ""
    for part in text.split(",") if text else ():
        kind, _, chance = part.partition("=")
        if kind not in chances:
            raise BadOption("'%s' is no fault: drop, duplicate, reorder or corrupt" % kind)
        chances[kind] = number(chance, 0, 1000)
    return chances


def options_of(arguments):
    """The options as a dict; None when help is asked for. Raises BadOption."""
    options = dict(DEFAULTS)
    i = 0
    while i < len(arguments):
        name, _, value = arguments[i].partition("=")
        if name in ("--help", "-h"):
            return None
        if name not in options:
            raise BadOption("unknown option '%s'; --help lists them" % name)
        if name == "--repl":
            value = "yes"
        elif "=" not in arguments[i]:
            i += 1
            if i == len(arguments):
                raise BadOption("%s wants a value" % name)
            value = arguments[i]
        options[name] = value
        i += 1
    return options


def make_board(options):
    """The board that these options describe. Raises BadOption."""
    bus = bus_of(options)
    state = options["--state"]
    try:
        board.make_folder(state)
    except OSError as e:
        raise BadOption("cannot keep state in '%s' (error %d)" % (state, e.errno))
    parts = network_of(options), air_of(options), roots_of(options), owner_of(options)
    return board.Board(bus, state, *parts)


def owner_of(options):
    """(the owner's certificate, the port of updates over the network). Raises BadOption."""
    port = number(options["--update-port"], 1, 65535)
    path = options["--owner"]
    if not path:
        return "", port
    try:
        with open(path) as file:
            return file.read(), port
    except OSError:
        raise BadOption("cannot read the owner's certificate '%s'" % path)


def roots_of(options):
    """The file of public roots; "" when this computer has none. Raises BadOption."""
    path = options["--roots"] or os.getenv("SSL_CERT_FILE")
    for candidate in (path,) if path else ROOTS:
        if is_there(candidate):
            return candidate
    if path:
        raise BadOption("cannot read the roots '%s'" % path)
    return ""


def is_there(path):
    """True for a file or a folder that exists."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def air_of(options):
    """The Air that --radio gives, or None. Raises BadOption."""
    path = options["--radio"] or os.getenv("SPINET_RADIO")
    if not path:
        return None
    try:
        with open(path) as file:
            return Air(file.read())
    except OSError as e:
        raise BadOption("cannot read the radio script '%s' (error %d)" % (path, e.errno))
    except ScriptError as e:
        raise BadOption("radio script '%s', %s" % (path, e))
    except UnicodeError:
        raise BadOption("radio script '%s' is no text" % path)


def announce(options):
    """Print which controller this module waits for."""
    link = "nina" if options["--protocol"] == "nina" else options["--role"] or USUAL_ROLE
    say(
        "module %s (%s, %s), waiting for a controller on %s:%s"
        % (VERSION_TEXT, link, options["--stack"], options["--host"], options["--port"])
    )


def stay(service):
    """Without a REPL: wait until the service ends. Returns the exit code."""
    while service.running():
        time.sleep_ms(200)
    return 1 if board.BOARD.failed else 0


def main(arguments):
    """Start the module; returns an exit code, or None when a REPL takes over."""
    try:
        options = options_of(arguments)
        if options is None:
            print(HELP)
            return 0
        board.BOARD = make_board(options)
    except BadOption as e:
        say(str(e))
        return 2
    announce(options)
    import main as _boot  # noqa: F401  frozen: starts the service, as on a chip

    from spinet import service

    return None if options["--repl"] else stay(service)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if code is not None:
        sys.exit(code)
