"""The printer's files over FTP: aioftp's sessions on sockets of the module.

aioftp keeps the session: log-in, folder, one command after the other. What moves bytes is here,
as the module makes data connections in its own way (printer/ftp_data.py).

There is one folder, the root. Beyond aioftp's commands there are ALLO, EPRT, FEAT, HELP, MDTM,
MFMT, MODE, NLST, NOOP, OPTS, PORT, SIZE, STAT, STRU and the X-commands of RFC 1123. TYPE A is
taken, and changes nothing of the bytes. Anybody may log in.
"""

import asyncio
import calendar
import errno
import functools
import io
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import aioftp

from spinet_controller.codes import ConnState, Protocol
from spinet_controller.errors import SpinetError
from spinet_controller.module import Module
from spinet_controller.printer.console import is_of_a_browser
from spinet_controller.printer.ftp_data import (
    ActivePort,
    BadAddress,
    PassivePort,
    closed,
    flowing,
)
from spinet_controller.printer.ftp_files import ROOT, StoreFiles
from spinet_controller.printer.plan import STALLED
from spinet_controller.printer.store import BadName, BadOffset, BadTime, FileStore, checked_name
from spinet_controller.printer.transfer import Span, in_thread, receive, send

IDLE = 300.0
"""Seconds without a command, and without a transfer, after which a session is ended."""

SESSIONS = 3
"""At the same time; each has up to two of the module's sockets."""

FEATURES = (
    "EPRT",
    "EPSV",
    "MDTM",
    "MFMT",
    "MLST size*;modify*;type*;",
    "REST STREAM",
    "SIZE",
    "UTF8",
)

_TELNET = re.compile(rb"\xff[\xf0-\xfa]?")
"""What a client sends before ABOR, in Telnet's language; the urgent byte may be missing."""

_AT_ONCE = ("abor", "noop", "quit", "stat")
"""What is done while a transfer is under way."""

_OFFSET = re.compile(r"\d{1,18}", re.ASCII)

_FULL = (errno.ENOSPC, errno.EDQUOT)

_OURS = (
    *("allo", "eprt", "feat", "help", "mdtm", "mfmt", "nlst", "noop", "opts", "port", "size"),
    "stat",
)
_X_COMMANDS = {"xcup": "cdup", "xcwd": "cwd", "xmkd": "mkd", "xpwd": "pwd", "xrmd": "rmd"}

_OPTION = re.compile(r"-[A-Za-z0-9]*( |$)")
"""What programs put behind LIST, as behind the `ls` of a computer of their own."""

_TIME = "%Y%m%d%H%M%S"

_PARAMETERS = {"type": ("A", "A N", "I", "L 8"), "mode": ("S",), "stru": ("F",)}
"""What each may be told: all of it comes to the same here, a file is a row of bytes."""

Connection = Any
"""aioftp's, whose attributes are what its session sets."""

Work = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_Paths = list[Path]
_Lines = list[str]

_F = TypeVar("_F", bound=Callable[..., Any])


def _needs(condition: Any) -> Callable[[_F], _F]:
    """Give aioftp's decorator for commands; its types know its own commands alone."""
    decorator: Any = aioftp.ConnectionConditions(condition)
    typed: Callable[[_F], _F] = decorator
    return typed


needs_login = _needs(aioftp.ConnectionConditions.login_required)
needs_rnfr = _needs(aioftp.ConnectionConditions.rename_from_required)


class Session:
    """What we keep of a session beside aioftp's Connection."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()  # clear while a command is being done
        self.ready.set()
        self.quitting = False
        self.left = False  # the client has nothing more to say, and did not say QUIT
        self.offset = 0  # of the next transfer, also after other commands; aioftp would forget it
        self.sized: set[str] = set()  # the names whose SIZE was told
        self.bytes = 0  # what the latest transfer has moved
        self.moved = False  # a transfer ended since the idle clock began


class PeersLeft(logging.Filter):
    """Keeps peers that went without a word out of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a record that only says that a peer left, or slept."""
        raised = record.exc_info[1] if record.exc_info else None
        return not isinstance(raised, (ConnectionError, TimeoutError))


@asynccontextmanager
async def ftp_server(module: Module, store: FileStore, port: int) -> AsyncIterator["FtpServer"]:
    """Serve the store over FTP while the block runs."""
    logger, quiet = logging.getLogger("aioftp.server"), PeersLeft()
    logger.addFilter(quiet)
    server = FtpServer(module, store, port)
    await server.listen()
    try:
        yield server
    finally:
        await server.close()
        logger.removeFilter(quiet)


class FtpServer(aioftp.Server):
    """The FTP server on a port of the module. Folders there are none but the root."""

    def __init__(self, module: Module, store: FileStore, port: int) -> None:
        files: Any = functools.partial(StoreFiles, store)
        super().__init__(
            [aioftp.User(base_path=ROOT)],
            idle_timeout=IDLE,
            socket_timeout=STALLED,
            maximum_connections=SESSIONS,
            path_io_factory=files,
            welcome_message="the virtual printer's files",
        )
        self._module = module
        self._store = store
        self.server_port = port
        self.connections: dict[Any, Connection] = {}
        # By name: the reader and the task of the one that is under way.
        self._uploads: dict[str, tuple[asyncio.StreamReader, asyncio.Task[Any]]] = {}
        self.commands_mapping = {
            name: functools.partial(_alone, command) for name, command in self._commands().items()
        }

    def _commands(self) -> dict[str, Any]:
        """Give aioftp's commands, with ours, as a dict."""
        ours = {name: getattr(self, name) for name in _OURS}
        for name, accepted in _PARAMETERS.items():
            ours[name] = functools.partial(self._parameter, accepted=accepted)
        commands = {**self.commands_mapping, **ours}
        for name in ("pbsz", "prot"):
            del commands[name]
        return commands | {x_name: commands[name] for x_name, name in _X_COMMANDS.items()}

    async def listen(self) -> None:
        """Listen; OSError when the module cannot."""
        server: Any = await self._module.start_server(
            self._session, self.server_port, protocol=Protocol.FTP
        )
        self.server = server  # what aioftp closes

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run aioftp's session; close() cancels it, which asyncio 3.11 would report."""
        with suppress(asyncio.CancelledError):
            await self.dispatcher(reader, writer)

    async def greeting(self, connection: Connection, rest: Any) -> bool:
        """Greet; the first thing of a session."""
        connection.ours = Session()
        return await super().greeting(connection, rest)

    async def parse_command(
        self, stream: Any, censor_commands: tuple[str, ...] = ("pass",)
    ) -> tuple[str, str]:
        """Give (command, rest), once the command before is done.

        QUIT is what is given for a line without an end, and for a browser's. While a transfer is
        under way, most commands wait for its end, and so come their answers in order.
        """
        connection = self.connections[stream]
        await connection.ours.ready.wait()
        line = await self._line(connection, stream)
        text = _TELNET.sub(b"", line).decode("utf-8", "surrogateescape").rstrip("\r\n")
        connection.ours.left = not line.endswith(b"\n")
        if connection.ours.left or is_of_a_browser(text):
            text = "quit"
        command, _, rest = text.partition(" ")
        if connection.extra_workers and command.lower() not in _AT_ONCE:
            await asyncio.wait(connection.extra_workers)
        if command.lower() in self.commands_mapping:
            connection.ours.ready.clear()
        return command.lower(), rest

    @staticmethod
    async def _line(connection: Connection, stream: Any) -> bytes:
        while True:
            try:
                line: bytes = await stream.readline()
                return line
            except ValueError:
                return b""
            except TimeoutError:
                if not connection.extra_workers and not connection.ours.moved:
                    raise
                connection.ours.moved = False

    async def quit(self, connection: Connection, rest: Any) -> bool:
        """QUIT: first its transfers end."""
        connection.ours.quitting = not connection.ours.left
        if connection.extra_workers:
            await asyncio.wait(connection.extra_workers)
        return await super().quit(connection, rest)

    async def response_writer(self, stream: Any, response_queue: asyncio.Queue[Any]) -> None:
        """Send answers; those without a reader are done as well.

        aioftp waits for all of them before it ends a session.
        """
        with suppress(ConnectionError, TimeoutError):
            await super().response_writer(stream, response_queue)
        while True:
            await response_queue.get()
            response_queue.task_done()

    # -- data connections: where the next one comes from --------------------------------

    @needs_login
    async def pasv(self, connection: Connection, _rest: Any) -> bool:
        """PASV: a fresh listener for one connection."""
        port = await self._passive(connection)
        if port:
            numbers = [*connection.server_host.split("."), str(port >> 8), str(port & 0xFF)]
            connection.response("227", f"Entering Passive Mode ({','.join(numbers)})")
        return True

    @needs_login
    async def epsv(self, connection: Connection, rest: Any) -> bool:
        """EPSV: as PASV, without an address."""
        if rest not in ("", "1", "ALL"):
            connection.response("522", "only IPv4 is spoken here: (1)")
        elif rest == "ALL":
            connection.response("200", "EPSV ALL")
        elif port := await self._passive(connection):
            connection.response("229", f"Entering Extended Passive Mode (|||{port}|)")
        return True

    async def _passive(self, connection: Connection) -> int | None:
        """Give the number of a listening port, or answer that there is none."""
        self._forget_port(connection)
        try:
            connection.passive_server = await PassivePort.opened(
                *(self._module, connection.client_host)
            )
        except (OSError, SpinetError):
            connection.response("425", "the module listens on no more ports")
            return None
        number: int = connection.passive_server.number
        return number

    @needs_login
    async def port(self, connection: Connection, rest: Any) -> bool:
        """PORT: the module will connect to where the client says."""
        return self._active(connection, rest, ActivePort.of_port)

    @needs_login
    async def eprt(self, connection: Connection, rest: Any) -> bool:
        """EPRT: as PORT."""
        return self._active(connection, rest, ActivePort.of_eprt)

    def _active(
        self, connection: Connection, rest: Any, parsed: Callable[[Module, str, str], ActivePort]
    ) -> bool:
        self._forget_port(connection)
        try:
            connection.passive_server = parsed(self._module, rest, connection.client_host)
        except BadAddress as error:
            connection.response("501", str(error))
        else:
            connection.response("200", "the module will connect")
        return True

    @staticmethod
    def _forget_port(connection: Connection) -> None:
        # The name is aioftp's: what is there when a session ends, it closes.
        if connection.future.passive_server.done():
            connection.passive_server.close()
            del connection.passive_server

    @needs_login
    async def rest(self, connection: Connection, rest: Any) -> bool:
        """REST: where the next transfer begins."""
        known = _OFFSET.fullmatch(rest)
        connection.ours.offset = int(rest) if known else 0
        if known:
            connection.response("350", f"the next transfer begins at {rest}")
        else:
            connection.response("501", "REST wants a number of bytes")
        return True

    # -- transfers ----------------------------------------------------------------------

    @needs_login
    async def retr(self, connection: Connection, rest: Any) -> bool:
        """RETR: send a file, from the offset of REST on."""
        offset = _taken_offset(connection)

        async def work(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
        ) -> None:
            with await asyncio.to_thread(self._store.open, name) as file:
                size = file.seek(0, 2)
                span = Span(min(offset, size), size, size)
                await send(file, span, flowing(writer, connection.ours))

        return await self._with_name(connection, rest, work, must_exist=True)

    @needs_login
    async def stor(self, connection: Connection, rest: Any, mode: str = "wb") -> bool:
        """STOR: take a file; what came of an interrupted one is kept, to be resumed."""
        offset = _taken_offset(connection)

        async def work(
            reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, name: str
        ) -> None:
            async with self._only(name, reader):
                await take(reader, name)

        async def take(reader: asyncio.StreamReader, name: str) -> None:
            with ExitStack() as stack:
                opened = self._opened(name, mode, offset, connection.ours)
                file = await in_thread(stack.enter_context, opened)
                await receive(flowing(reader, connection.ours), file, self._store.free)
                await self._check_client(connection)

        return await self._with_name(connection, rest, work)

    @asynccontextmanager
    async def _only(self, name: str, reader: asyncio.StreamReader) -> AsyncIterator[None]:
        """Be the only upload of a name: one that is under way is broken off, and leaves a part.

        Its client has most likely lost the connection, as the module will see in a minute.
        """
        while name in self._uploads:
            other, task = self._uploads[name]
            other.set_exception(ConnectionResetError("another upload of this file has begun"))
            await asyncio.wait([task])
        present = asyncio.current_task()
        assert present
        self._uploads[name] = reader, present
        try:
            yield
        finally:
            del self._uploads[name]

    async def _check_client(self, connection: Connection) -> None:
        """Raise ConnectionResetError when the client may be gone: data ended as its session did."""
        if connection.ours.quitting:
            return
        transport = connection.command_connection.writer.transport
        status = await self._module.conn_get_status(transport.get_extra_info("socket_number"))
        gone = connection.ours.left or transport.is_closing()
        if gone or status.state != ConnState.CONNECTED:
            raise ConnectionResetError("the client is gone")

    def _opened(
        self, name: str, mode: str, offset: int, ours: Session
    ) -> AbstractContextManager[io.FileIO]:
        store = self._store
        if mode == "ab":
            whole, part = store.exists(name), store.has_part(name)
            if whole and part:
                raise BadOffset("STOR all of it: it was to be replaced, and that was interrupted")
            if whole or (part and name in ours.sized):  # of another's part it knows nothing
                return store.resume(name)
        elif offset:
            return store.resume(name, offset)
        return store.upload(name, keep_part=True)

    async def _with_name(
        self,
        connection: Connection,
        rest: Any,
        work: Callable[..., Awaitable[None]],
        must_exist: bool = False,
    ) -> bool:
        name = self._good_name(connection, rest)
        if name is None:
            return True
        if must_exist and not self._store.exists(name):
            connection.response("550", "there is no such file")
            return True
        return self._transfer(connection, functools.partial(work, name=name))

    def _good_name(self, connection: Connection, rest: Any) -> str | None:
        """Give the name that a file gets; None, and an answer, when none may have it."""
        try:
            return self._name(connection, rest)
        except BadName as error:
            connection.response("553", str(error))
            return None

    def _name(self, connection: Connection, rest: Any) -> str:
        _real, path = self.get_paths(connection, rest)
        return checked_name(str(path)[1:])

    @needs_login
    async def list(self, connection: Connection, rest: Any) -> bool:
        """LIST: as `ls -l` shows it."""
        return await self._listing(connection, rest, self.build_list_string)

    @needs_login
    async def mlsd(self, connection: Connection, rest: Any) -> bool:
        """MLSD: for programs."""
        return await self._listing(connection, rest, self.build_mlsx_string)

    @needs_login
    async def nlst(self, connection: Connection, rest: Any) -> bool:
        """NLST: names alone."""

        async def name_alone(_connection: Connection, path: Path) -> str:
            return path.name

        return await self._listing(connection, rest, name_alone)

    async def _listing(
        self,
        connection: Connection,
        rest: Any,
        line_of: Callable[[Connection, Any], Awaitable[str]],
    ) -> bool:
        _taken_offset(connection)
        paths = await self._listed(connection, rest)
        if paths is None:
            return True

        async def work(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            lines = await self._lines(connection, paths, line_of)
            text = "".join(line + "\r\n" for line in lines)
            await flowing(writer, connection.ours)(text.encode("utf-8", "surrogateescape"))

        return self._transfer(connection, work)

    async def _listed(self, connection: Connection, rest: Any) -> _Paths | None:
        """Give the paths that a listing has; None, and an answer, when there is no such file."""
        while (paths := await self._found(connection, rest)) is None and _OPTION.match(rest):
            rest = _OPTION.sub("", rest, 1)
        if paths is None:
            connection.response("550", "there is no such file")
        return paths

    @staticmethod
    async def _lines(
        connection: Connection,
        paths: Iterable[Path],
        line_of: Callable[[Connection, Any], Awaitable[str]],
    ) -> _Lines:
        lines = []
        for path in paths:
            with suppress(aioftp.PathIOError):  # it may be gone by now
                lines.append(await line_of(connection, path))
        return lines

    async def _found(self, connection: Connection, rest: Any) -> _Paths | None:
        path, _virtual = self.get_paths(connection, rest)
        paths = [found async for found in connection.path_io.list(path)]
        return paths if paths or path == ROOT else None

    def _transfer(self, connection: Connection, work: Work) -> bool:
        """Start a task of the session that opens the data connection and runs `work` on it."""
        if not connection.future.passive_server.done():
            connection.response("425", "PASV or PORT must come first")
            return True
        port = connection.passive_server
        del connection.passive_server
        connection.ours.bytes = 0
        connection.response("150", "here it comes")
        task = asyncio.create_task(_transferred(connection, port, work))
        connection.extra_workers.add(task)
        return True

    # -- small commands -----------------------------------------------------------------

    @needs_login
    async def mkd(self, connection: Connection, _rest: Any) -> bool:
        """MKD: no. Some clients ask for the root as well, and go on when they hear this."""
        connection.response("550", "there are no folders")
        return True

    rmd = mkd

    @needs_login
    async def stat(self, connection: Connection, rest: Any) -> bool:
        """STAT: of the session, also while a transfer is under way; of files, as LIST has them."""
        if not rest:
            connection.response("211", self._status(connection), True)
        elif (paths := await self._listed(connection, rest)) is not None:
            lines = await self._lines(connection, paths, self.build_list_string)
            connection.response("213", ("Files:", *lines, "End"), True)
        return True

    def _status(self, connection: Connection) -> tuple[str, ...]:
        moved = f"a transfer is under way, {connection.ours.bytes} bytes so far"
        return (
            *(self.welcome_message, f"logged in from {connection.client_host}"),
            *(moved if connection.extra_workers else "no transfer is under way", "End"),
        )

    async def help(self, connection: Connection, rest: Any) -> bool:
        """HELP: the commands there are; of one, whether it is there."""
        names = sorted(self.commands_mapping)
        if rest:
            known = rest.lower() in names
            connection.response("214" if known else "502", "known" if known else "not known")
        else:
            rows = [" ".join(names[n : n + 8]).upper() for n in range(0, len(names), 8)]
            connection.response("214", ("Commands:", *rows, "End"), True)
        return True

    async def noop(self, connection: Connection, _rest: Any) -> bool:
        """NOOP"""
        connection.response("200", "done")
        return True

    @needs_login
    async def allo(self, connection: Connection, _rest: Any) -> bool:
        """ALLO: files take their room as they come."""
        connection.response("202", "no room is set aside")
        return True

    @needs_login
    async def _parameter(
        self, connection: Connection, rest: Any, accepted: tuple[str, ...]
    ) -> bool:
        """TYPE, MODE and STRU."""
        known = rest.upper() in accepted
        connection.response(
            "200" if known else "504", "done" if known else "only " + ", ".join(accepted)
        )
        return True

    async def opts(self, connection: Connection, rest: Any) -> bool:
        """OPTS: UTF-8 is on."""
        known = rest.upper().startswith(("UTF8", "MLST"))
        connection.response("200" if known else "501", "as it is" if known else "no such option")
        return True

    async def feat(self, connection: Connection, _rest: Any) -> bool:
        """FEAT"""
        connection.response("211", ("Features:", *FEATURES, "End"), True)
        return True

    @needs_login
    async def size(self, connection: Connection, rest: Any) -> bool:
        """SIZE: bytes of a file, else of the part that an interrupted upload of its name left."""

        def told(name: str) -> str:
            size = self._store.size(name)
            connection.ours.sized.add(name)
            return str(size)

        return await self._fact(connection, rest, told)

    @needs_login
    async def mdtm(self, connection: Connection, rest: Any) -> bool:
        """MDTM: when a file was changed."""
        return await self._fact(connection, rest, self._changed)

    def _changed(self, name: str) -> str:
        return _time(self._store.stat(name).st_mtime)

    @needs_login
    async def dele(self, connection: Connection, rest: Any) -> bool:
        """DELE: a file, and what an interrupted upload of its name left; or that alone."""
        return await self._fact(connection, rest, self._deleted, "250")

    def _deleted(self, name: str) -> str:
        self._store.delete(name)
        return "deleted"

    @needs_login
    @needs_rnfr
    async def rnto(self, connection: Connection, rest: Any) -> bool:
        """RNTO: a file that has the new name is replaced, as by STOR."""
        new_name = self._good_name(connection, rest)
        if new_name is None:
            return True
        old = str(connection.rename_from)
        del connection.rename_from
        return await self._fact(connection, old, functools.partial(self._renamed, new_name), "250")

    def _renamed(self, new_name: str, name: str) -> str:
        self._store.rename(name, new_name)
        return "renamed"

    @needs_login
    async def mfmt(self, connection: Connection, rest: Any) -> bool:
        """MFMT: say when a file was changed."""
        stamp, _, name = rest.partition(" ")
        try:
            seconds = calendar.timegm(time.strptime(stamp, _TIME))
        except ValueError:
            seconds = None
        if seconds is None or _time(seconds) != stamp:  # strptime takes second 61, and fewer digits
            connection.response("501", "MFMT wants YYYYMMDDHHMMSS and a name")
            return True
        return await self._fact(connection, name, functools.partial(self._touched, seconds))

    def _touched(self, seconds: float, name: str) -> str:
        return f"Modify={_time(self._store.touch(name, seconds))}; {name}"

    async def _fact(
        self, connection: Connection, rest: Any, fact: Callable[[str], str], code: str = "213"
    ) -> bool:
        """Answer what `fact`, in a thread, gives for a name."""
        try:
            text = await asyncio.to_thread(fact, self._name(connection, rest))
        except (BadName, FileNotFoundError):
            code, text = "550", "there is no such file"
        except BadTime as error:
            code, text = "504", str(error)
        except OSError as error:
            code, text = _disk_trouble(error)
        connection.response(code, text)
        return True


async def _alone(
    command: Callable[[Connection, str], Awaitable[bool]], connection: Connection, rest: Any
) -> bool:
    """Do a command; the next one is read when it is done, so that answers come in their order."""
    try:
        return await command(connection, rest)
    finally:
        connection.ours.ready.set()


async def _transferred(connection: Connection, port: PassivePort | ActivePort, work: Work) -> None:
    """Answer what becomes of a transfer; cancelled by ABOR, and at the end of the session."""
    try:
        connection.response(*await _outcome(port, work))
    except asyncio.CancelledError:
        connection.response("426", "transfer aborted")
        connection.response("226", "abort successful")
    finally:
        connection.ours.moved = True


async def _outcome(port: PassivePort | ActivePort, work: Work) -> tuple[str, str]:
    """Give the code and text to answer."""
    try:
        reader, writer = await port.connection()
    except (OSError, TimeoutError, SpinetError):
        return "425", "the data connection was not opened"
    finally:
        port.close()
    try:
        await work(reader, writer)
        await closed(writer)
    except (ConnectionError, TimeoutError, SpinetError):
        return "426", "the data connection was lost"
    except BadOffset as error:
        return "554", str(error)
    except (OSError, EOFError) as error:
        return _disk_trouble(error)
    finally:
        writer.transport.abort()
    return "226", "done"


def _disk_trouble(error: Exception) -> tuple[str, str]:
    if getattr(error, "errno", None) in _FULL:
        return "452", "the disk is full"
    return "451", "the file could not be read or written"


def _taken_offset(connection: Connection) -> int:
    ours: Session = connection.ours
    offset, ours.offset = ours.offset, 0
    return offset


def _time(seconds: float) -> str:
    return time.strftime(_TIME, time.gmtime(seconds))
