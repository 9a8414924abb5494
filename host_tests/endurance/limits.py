"""The controller's time-outs, and how near a module came to them."""

from array import array

from spinet_controller.codes import Command

READY_S = 0.1
FAST_S = 0.1
STORAGE_S = 0.5
RESET_S = 15  # of a factory reset
SHOWN = 10  # so many missed limits are told one by one

# Controllers give these the longer time (link protocol, Transaction).
STORING = {
    Command.NETWORK_ADD_SSID,
    Command.NETWORK_DELETE_SSID,
    Command.NETWORK_CONFIGURE_ACCESS_POINT,
    Command.NETWORK_RETRIEVE_SSID_DATA,
    Command.NETWORK_ADD_ENTERPRISE_SSID,
}


def limit_s(command):
    """Seconds from TRANSFER_READY to CS rising, after which a controller gives up."""
    if command == Command.NETWORK_FACTORY_RESET:
        return RESET_S
    return STORAGE_S if command in STORING else FAST_S


NAMES = {
    Command.NULL: "null",
    Command.CONN_ABORT: "connAbort",
    Command.CONN_CLOSE: "connClose",
    Command.CONN_READ: "connRead",
    Command.CONN_WRITE: "connWrite",
    Command.CONN_GET_STATUS: "connGetStatus",
    Command.NETWORK_LISTEN: "networkListen",
    Command.NETWORK_GET_STATUS: "networkGetStatus",
    Command.NETWORK_ADD_SSID: "networkAddSsid",
    Command.NETWORK_LIST_SSIDS: "networkListSsids",
    Command.NETWORK_CONFIGURE_ACCESS_POINT: "networkConfigureAccessPoint",
    Command.NETWORK_START_CLIENT: "networkStartClient",
    Command.NETWORK_GET_LAST_ERROR: "networkGetLastError",
    Command.NETWORK_RETRIEVE_SSID_DATA: "networkRetrieveSsidData",
    Command.NETWORK_START_SCAN: "networkStartScan",
    Command.NETWORK_GET_SCAN_RESULT: "networkGetScanResult",
}


class Stopwatch:
    """Seconds of every transaction, by command. `patience` multiplies the limits."""

    def __init__(self, patience):
        self._patience = patience
        self._ready = {}  # command -> seconds until DATA_READY and CS were high
        self._taken = {}  # command -> seconds from TRANSFER_READY to CS high
        self._told = []
        self._over = 0.0  # seconds that the latest transaction was over a limit
        self.count = 0
        self.missed = 0
        self.unexplained = 0  # missed even without the time that a thread waited for a processor

    @staticmethod
    def name(command):
        """As the link protocol calls it."""
        return NAMES.get(command, f"command {command}")

    def note(self, command, ready, taken):
        """One transaction is over; how many limits it missed."""
        if command not in self._ready:
            self._ready[command], self._taken[command] = array("d"), array("d")
        self._ready[command].append(ready)
        self._taken[command].append(taken)
        self.count += 1
        before = self.missed
        self._over = max(
            ready - READY_S * self._patience, taken - limit_s(command) * self._patience
        )
        if ready >= READY_S * self._patience:
            self._miss(command, "DATA_READY and CS were high", ready)
        if taken >= limit_s(command) * self._patience:
            self._miss(command, "CS rose", taken)
        return self.missed - before

    def explain(self, waited, text):
        """What is known of the latest limit that was missed; seconds of waiting for a processor."""
        if waited <= self._over:
            self.unexplained += 1
        if self.missed <= SHOWN:
            self._told[-1] += f"; {text}"

    def _miss(self, command, what, seconds):
        self.missed += 1
        if len(self._told) < SHOWN:
            name = f"transaction {self.count}, {self.name(command)}"
            self._told.append(f"{name}: {what} after {1000 * seconds:.0f} ms")

    def limits(self):
        """In milliseconds, as they were applied."""
        limits = {"ready": READY_S, "ordinary": FAST_S, "storage": STORAGE_S}
        return {name: round(1000 * limit * self._patience) for name, limit in limits.items()}

    def commands(self):
        """{name: how many, and milliseconds}, the most frequent first."""
        most = sorted(self._taken, key=lambda command: -len(self._taken[command]))
        return {self.name(command): self._row(command) for command in most}

    def _row(self, command):
        ready, taken = sorted(self._ready[command]), sorted(self._taken[command])
        return {
            "count": len(taken),
            "readyP999": milliseconds(share(ready, 0.999)),
            "readyMax": milliseconds(ready[-1]),
            "p50": milliseconds(share(taken, 0.5)),
            "p999": milliseconds(share(taken, 0.999)),
            "max": milliseconds(taken[-1]),
        }

    def failures(self):
        """A line for each of the first limits that were missed, and one for all."""
        if not self.missed:
            return []
        return [*self._told, f"{self.missed} of the controller's time-outs were missed"]


def share(ordered, part):
    """The value that so many of them do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def milliseconds(seconds):
    return round(1000 * seconds, 3)
