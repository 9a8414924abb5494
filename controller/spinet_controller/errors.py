"""Every exception that leaves this package, one sentence each.

Those that are an OSError as well have an `errno`. A negative response has a `code`, and in words a
`meaning`.
"""

from errno import EADDRINUSE, ECONNABORTED, ECONNREFUSED, ECONNRESET, ETIMEDOUT
from socket import EAI_NONAME, gaierror
from typing import Self

from spinet_controller.codes import Command, LastError, Response


class SpinetError(Exception):
    """Anything this package raises about the bus, the link or the module."""


class ExtraMissing(SpinetError, ModuleNotFoundError):
    """A package is not installed that one of this package's extras brings; the text says which."""


class _SystemError(SpinetError):
    """One that is an OSError as well: beside `errno` it has its text as `strerror`."""

    strerror: str | None

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.strerror = text


class BusError(SpinetError):
    """The bus cannot be used: its port is taken, or no module came."""


class BusViolation(BusError):
    """A frame broke a rule of the virtual bus; the text names the rule."""


class ModuleLost(_SystemError, ConnectionResetError):
    """The module lost power, was reset or broke the bus; all that it held is gone."""

    errno = ECONNRESET


class PowerLost(ModuleLost):
    """The module lost power, or the bus to it broke; it comes back when it can."""


class LinkError(SpinetError):
    """A transaction did not end well; nothing is known of its effect."""


class LinkTimeout(LinkError, _SystemError, TimeoutError):
    """The module missed one of the controller's time-outs.

    `started` tells whether the module had begun the transaction; when it had not, the
    request was withdrawn and surely had no effect.
    """

    errno = ETIMEDOUT

    def __init__(self, text: str, started: bool) -> None:
        super().__init__(text)
        self.started = started


class BadReply(LinkError):
    """The module's header or data phase is not what the protocol says."""


class HostNotFound(_SystemError, gaierror):
    """The module could not find the address of a name."""

    errno = EAI_NONAME


class ConnectionRefused(_SystemError, ConnectionRefusedError):
    """The peer refused the connection, or there is none at that address."""

    errno = ECONNREFUSED


class ConnectionAborted(_SystemError, ConnectionAbortedError):
    """The module could not begin the connection, or it was given up before it stood."""

    errno = ECONNABORTED


class ConnectionBroken(_SystemError, ConnectionResetError):
    """A connection that stood ended, and not in order."""

    errno = ECONNRESET


class NoAnswer(_SystemError, TimeoutError):
    """The peer did not answer in time."""

    errno = ETIMEDOUT


class ListenFailed(_SystemError, OSError):
    """The module cannot listen on a port, or call home: most often another has the port."""

    errno = EADDRINUSE


class SimEnded(SpinetError):
    """The module program could not be started, or ended by itself; the text has its last words."""


class ReplError(SpinetError):
    """The port cannot be used, or what is there does not answer as a Spinet module."""


class TraceError(SpinetError):
    """There is no trace in what was read, or none that can be understood."""


class Refused(SpinetError):
    """The module took a command, and then could not do it; the text has its own reason.

    `code` is the LastError of that reason, None where this package knows no such reason.
    """

    def __init__(self, text: str, code: LastError | None = None) -> None:
        super().__init__(text)
        self.code = code

    @classmethod
    def by_last_error(cls, text: str) -> Self:
        """Make one of the module's last error."""
        code = LastError.of(text)
        return cls(f"the module says: {_EXPLAINED.get(code, text)}", code)


class BadImage(SpinetError):
    """A file is no image that this module can take; the text says why."""


class BadOwner(SpinetError):
    """A file does not have the key and the certificate of an owner; the text says why."""


class NotReached(SpinetError):
    """There is no module that takes updates over the network from this owner; the text says why."""


class UpdateFailed(SpinetError):
    """An update began, and the module does not run the new image; the text says why."""


class NetworkLost(SpinetError):
    """The module lost its network and no longer tries to get back."""


class ModuleError(SpinetError):
    """A negative response; each code has its own class."""

    code: int = Response.UNKNOWN_ERROR

    def __init__(self, command: Command, code: int | None = None) -> None:
        self.command = command
        self.code = self.code if code is None else code
        super().__init__(f"{_camel(command.name)}: {self.meaning}")

    @property
    def meaning(self) -> str:
        """What the code says, in words."""
        return _MEANINGS.get(self.code, f"unknown response code {self.code}")


class UnknownCommand(ModuleError):
    code = Response.UNKNOWN_COMMAND


class BadRequestFormatVersion(ModuleError):
    code = Response.BAD_REQUEST_FORMAT_VERSION


class TooManySsids(ModuleError):
    code = Response.TOO_MANY_SSIDS


class WrongState(ModuleError):
    code = Response.WRONG_STATE


class BadDataLength(ModuleError):
    code = Response.BAD_DATA_LENGTH


class NetworkDisabled(ModuleError):
    code = Response.NETWORK_DISABLED


class ModuleTimeout(ModuleError):
    code = Response.TIMEOUT


class Busy(ModuleError):
    code = Response.BUSY


class BufferTooSmall(ModuleError):
    code = Response.BUFFER_TOO_SMALL


class BadReplyFormatVersion(ModuleError):
    code = Response.BAD_REPLY_FORMAT_VERSION


class BadParameter(ModuleError):
    code = Response.BAD_PARAMETER


class NoScanStarted(ModuleError):
    code = Response.NO_SCAN_STARTED


class ScanInProgress(ModuleError):
    code = Response.SCAN_IN_PROGRESS


class UnknownError(ModuleError):
    code = Response.UNKNOWN_ERROR


class NoTlsCert(ModuleError):
    code = Response.NO_TLS_CERT


_CLASSES: dict[int, type[ModuleError]] = {cls.code: cls for cls in ModuleError.__subclasses__()}

_EXPLAINED: dict[LastError | None, str] = {
    LastError.BAD_PASSWORD: "bad password: 8 to 63 characters, or 64 hexadecimal digits"
}

_MEANINGS: dict[int, str] = {
    Response.UNKNOWN_COMMAND: "the module does not know this command",
    Response.BAD_REQUEST_FORMAT_VERSION: "the module refused the request's format version",
    Response.TOO_MANY_SSIDS: "the module remembers as many networks as it can",
    Response.WRONG_STATE: "not possible in the module's present state",
    Response.BAD_DATA_LENGTH: "the module refused the length of the data",
    Response.NETWORK_DISABLED: "the network is disabled",
    Response.TIMEOUT: "the module timed out",
    Response.BUSY: "the module has no free socket",
    Response.BUFFER_TOO_SMALL: "the answer does not fit the buffer",
    Response.BAD_REPLY_FORMAT_VERSION: "the reply has a wrong format version",
    Response.BAD_PARAMETER: "the module refused a parameter",
    Response.NO_SCAN_STARTED: "no scan was started",
    Response.SCAN_IN_PROGRESS: "a scan is in progress",
    Response.UNKNOWN_ERROR: "the module reports an unknown error",
    Response.NO_TLS_CERT: "the module has no TLS certificate",
}


def _camel(name: str) -> str:
    first, *rest = name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def module_error(command: Command, code: int) -> ModuleError:
    """Give the exception for a negative response `code` to `command`."""
    cls = _CLASSES.get(code)
    return cls(command) if cls else ModuleError(command, code)
