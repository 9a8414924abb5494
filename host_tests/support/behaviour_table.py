"""Which promises of the firmware are shown by tests, and on which TCP stacks.

A test says what it shows: `@pytest.mark.behaviour("D4", "D5")`. `pytest --behaviours` runs just
the tests that say so and prints the table. The stack of a test is, in this order,

    the marker's argument         @pytest.mark.behaviour("L1", stack="sockets")
    the parameter `printer`       its first half, of the whole system
    the parameter named `stack`   "stub", "sockets", "plain" (sockets without hostnet), "lwip"
    a fixture of netconn's        a test of firmware/lwip over real lwIP: "lwip"
    a fixture that runs SIM       a test through the SIM binary, end to end: "sockets"
    else                          "stub": no TCP of the computer's takes part
"""

import pytest

TITLES = {
    "A1": "a write waits for room instead of answering 0",
    "A2": "a number comes back although the driver forgets it",
    "A3": "a number is not given twice, and a freed one is given last",
    "A4": "a server's number ends its listener; its port is free at once",
    "A5": "connecting is answered within 9 s, at once when WiFi is lost",
    "A6": "a name within 8 s, a ping within 5 s; nothing takes 10 s",
    "A7": "the last bytes are readable before the state says closed",
    "A8": "WiFi lost: connections end, listeners serve again",
    "A9": "names after a reconnect, and after setting DNS servers",
    "A10": "length, data and sender of a datagram belong together",
    "A11": "39 empties its buffer; 28 and 2D again on a UDP number leak nothing",
    "A12": "a datagram waits for nothing; a burst is dropped and wedges nothing",
    "A13": "a late reply, a cut or gapped transfer costs that command only",
    "A14": "any frame of any length leaves the module serving",
    "A15": "the time has four bytes, and is 0 until it is known",
    "A16": "GPIO0 is right before READY falls",
    "A17": "MAC and BSSID are reversed",
    "A18": "TLS by public roots; a failure is an answer, also one for want of memory",
    "A19": "the address before a join has its three parameters",
    "A20": "MISO is released while CS is high",
    "A21": "the access point's channel is honoured, a scan drops no connection",
    "D1": "push flushes, and only push: PSH where the controller asked",
    "D2": "a write without progress returns at once, the others keep their speed",
    "D3": "reset, closed, aborted, not connected on write: the peer is gone",
    "D4": "would-block, time-out, no memory for now never end a connection",
    "D5": "an accepted byte is delivered in order or the failure is visible",
    "D6": "reading: idle for ever is fine, data before the end is readable",
    "D7": "closing waits for what is in flight, at most 4 s without progress",
    "D8": "closing what no listener owns is safe",
    "D9": "terminating is safe; listeners wake only for a freed slot",
    "D10": "the bit map of closed sockets has the aborted ones",
    "D11": "stopping a listener from anywhere removes that one, once",
    "D12": "a one-shot listener ends at its first accept",
    "D13": "connected while unread data is left, then otherEndClosed",
    "D14": "no failing accept or connect leaks its slot",
    "D15": "limits per port; the backlog waits and is served without polling",
    "D16": "networkListen: again, stop (port 0: nothing), all interfaces, none left",
    "D17": "the dead never exhaust the PCB pool",
    "D18": "networkStop leaves nothing behind",
    "D19": "reconnecting ends: after 40 s, at once when the password is refused",
    "D20": "a name or a password is bytes",
    "C1": "no stale wake-up, no lost event",
    "C2": "every TCP event wakes the loop at once",
    "C3": "every received byte opens the window again",
    "C4": "late events of a closed connection touch nothing",
    "C5": "late events of a stopped listener touch nothing",
    "C6": "stack objects only under the stack's lock",
    "C7": "callbacks take no lock of ours and call no Python",
    "C8": "overlapping attempts do not mix",
    "C9": "an outgoing session reconnects, and says so",
    "C10": "the role follows the application, not the side that dialled",
    "C11": "starting a session never blocks",
    "C12": "a FIN is noticed also when buffers are full",
    "C13": "a callback never frees what the stack goes on using",
    "T1": "a vanished peer's memory comes back at once",
    "T2": "200 lost links leave everything where it began",
    "T3": "a linger time can be chosen",
    "T4": "a silent peer is found out",
    "N1": "an outgoing attempt has a time-out",
    "N2": "nothing is freed under an iteration: marked, then reaped",
    "N3": "creating inside an iteration is safe",
    "N4": "a dying connection rejects everything, never comes back",
    "N5": "churn is survived",
    "K1": "two owners, one release",
    "K2": "1000 interrupted transfers leave nothing",
    "K3": "accepted means the controller's, before any event",
    "K4": "a stale reference is noticed",
    "L1": "every record, command and code is byte-exact",
    "L2": "after anything that the controller sends, the next transaction works",
    "L3": "the controller's time-outs hold over a soak",
    "L4": "both roles run the same commands",
    "L5": "a link that was late heals: TRANSFER_READY's level counts 10 ms after a transaction",
    "L6": "a controller that polls DATA_READY sees the start",
    "M1": "every thread's stack fits its deepest path, with room to spare",
    "M2": "Python's heap never grows; what does not fit fails for its asker",
    "M3": "no load takes the memory that receiving an acknowledgement needs",
    "M4": "Python's heap and the system's are told apart, each byte once",
}
STACKS = {
    **{"stub": "stub", "sockets": "sockets", "plain": "sockets"},
    **{"lwip": "lwIP", "lwip-unlocked": "lwIP"},
}
COLUMNS = ("stub", "sockets", "lwIP")
NETCONN_FIXTURE = "program"  # host_tests/c/lwip: the rig
SIM_FIXTURES = {"start_sim", "run_sim", "start_nina", "printer"}
NOT_SHOWN = "not shown"


def add_options(parser):
    """For a conftest's pytest_addoption."""
    parser.addoption(
        "--behaviours",
        action="store_true",
        help="run the tests that show a behaviour, and print which are shown on which stack",
    )


class BehaviourTable:
    """The pytest plugin: collects markers, watches results, prints the table."""

    def __init__(self, wanted, with_names):
        self._wanted = wanted
        self._with_names = with_names  # -v: name the tests under each row
        self._shows = {}  # node id -> (behaviour ids, column)
        self._results = {}  # (behaviour id, column) -> {node id: passed}

    def pytest_collection_modifyitems(self, config, items):
        marked = [item for item in items if item.get_closest_marker("behaviour")]
        for item in marked:
            self._shows[item.nodeid] = (ids_of(item), column_of(item))
        if self._wanted:
            dropped = [item for item in items if item.nodeid not in self._shows]
            config.hook.pytest_deselected(items=dropped)
            items[:] = marked

    def pytest_runtest_logreport(self, report):
        if report.nodeid in self._shows and (report.when == "call" or not report.passed):
            self._note(report.nodeid, report.passed)

    def _note(self, nodeid, passed):
        ids, column = self._shows[nodeid]
        for each in ids:
            tests = self._results.setdefault((each, column), {})
            tests[nodeid] = passed and tests.get(nodeid, True)

    def pytest_terminal_summary(self, terminalreporter):
        if self._wanted:
            terminalreporter.section("behaviours")
            for line in self.lines():
                terminalreporter.line(line)

    def lines(self):
        """The table, a list of strings."""
        head = row("", "behaviour", "tests", *COLUMNS)
        return [head, *(line for each in TITLES for line in self._lines_of(each))]

    def _lines_of(self, each):
        tests = self.tests(each)
        verdicts = [self.verdict(each, column) for column in COLUMNS]
        names = [f"    {name}" for name in tests] if self._with_names else []
        return [row(each, TITLES[each], len(tests), *verdicts), *names]

    def tests(self, each):
        """The names of the tests that show a behaviour on any stack."""
        nodes = [node for column in COLUMNS for node in self._results.get((each, column), ())]
        return sorted({base_name(node) for node in nodes})

    def verdict(self, each, column):
        """'shown' when there are tests and all passed, 'FAILED' or 'not shown'."""
        tests = self._results.get((each, column))
        if not tests:
            return NOT_SHOWN
        return "shown" if all(tests.values()) else "FAILED"


def row(*cells):
    """One line of the table."""
    return "{:<4}{:<72}{:>6}  {:<10}{:<10}{:<10}".format(*cells).rstrip()


def base_name(nodeid):
    """A test's name without its parameters: one test on two stacks is one test."""
    return nodeid.split("[")[0]


def ids_of(item):
    """All behaviours that a test shows; a usage error for one that does not exist."""
    ids = []
    for marker in item.iter_markers("behaviour"):
        unknown = [each for each in marker.args if each not in TITLES]
        if unknown or not marker.args:
            raise pytest.UsageError(f"{item.nodeid}: no such behaviour: {unknown}")
        ids += marker.args
    return tuple(dict.fromkeys(ids))


def column_of(item):
    """The table's column that a test counts in."""
    stack = stack_of(item)
    if stack not in STACKS:
        raise pytest.UsageError(f"{item.nodeid}: no such stack: {stack}")
    return STACKS[stack]


def stack_of(item):
    """The name of the stack that a test runs on; see the module's docstring."""
    for marker in item.iter_markers("behaviour"):
        if "stack" in marker.kwargs:
            return marker.kwargs["stack"]
    callspec = getattr(item, "callspec", None)
    if callspec and "stack" in callspec.params:
        return callspec.params["stack"]
    if callspec and "printer" in callspec.params:
        return callspec.params["printer"][0]  # (stack, role)
    if NETCONN_FIXTURE in item.fixturenames:
        return "lwip"
    return "stub" if SIM_FIXTURES.isdisjoint(item.fixturenames) else "sockets"


def register(config):
    """For a conftest's pytest_configure; the plugin sees the tests of every folder."""
    config.addinivalue_line(
        "markers", "behaviour(*ids, stack=None): the promises of the firmware that a test shows"
    )
    table = BehaviourTable(config.option.behaviours, config.option.verbose > 0)
    config.pluginmanager.register(table, "behaviour_table")
