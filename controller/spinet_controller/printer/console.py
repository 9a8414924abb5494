"""The printer's console: a line in, text out; the same over Telnet and MQTT."""

import asyncio
import re

from spinet_controller.errors import SpinetError
from spinet_controller.module import Module
from spinet_controller.printer.status import ModuleReport
from spinet_controller.printer.store import BadName, FileStore
from spinet_controller.records import shown

HELP = """\
help            this text
status   M552   the module and its network
files    M20    the stored files
delete   M30 NAME
firmware M115   what runs on the module
report   M122   have the module print its report on its own console
quit            end the session"""

LONGEST_LINE = 1000
"""A line that is longer is not done, as its beginning may be another command."""

TOO_LONG = "Error: this line is too long"

_OF_A_BROWSER = re.compile(r"\S+ \S+ HTTP/\d(\.\d)?|host:.*|\x16\x03.*", re.IGNORECASE | re.DOTALL)


def is_of_a_browser(line: str) -> bool:
    """True for a request line, a Host header and the beginning of TLS.

    A page of any origin can make its browser send them, with commands behind them, to a port where
    lines are commands.
    """
    return bool(_OF_A_BROWSER.fullmatch(line))


class Console:
    """Commands over one ModuleReport, one module and one FileStore."""

    def __init__(self, module: Module, report: ModuleReport, store: FileStore) -> None:
        self._module = module
        self._report = report
        self._store = store
        self._commands = {
            **dict.fromkeys(("help", "?"), self._help),
            **dict.fromkeys(("status", "m552"), self._status),
            **dict.fromkeys(("files", "m20"), self._files),
            **dict.fromkeys(("delete", "m30"), self._delete),
            **dict.fromkeys(("firmware", "m115"), self._firmware),
            **dict.fromkeys(("report", "m122"), self._print_report),
        }

    async def answer(self, line: str) -> str:
        """Give the answer to a line, without a line end; "" for an empty line.

        Its last line is "ok", or begins with "Error:" as a printer's does.
        """
        word, _, rest = line.strip().partition(" ")
        if not word:
            return ""
        command = self._commands.get(word.lower())
        if command is None:
            return f"Error: {_shown(word)} is not known here; try help"
        try:
            return "\n".join([*await command(rest.strip()), "ok"])
        except BadName as error:
            return f"Error: {error}"
        except FileNotFoundError:
            return "Error: there is no such file"
        except (SpinetError, OSError) as error:
            return f"Error: {error}"

    async def _help(self, _rest: str) -> list[str]:
        return [HELP]

    async def _status(self, _rest: str) -> list[str]:
        document = await self._report.document()
        module, sockets = document["module"], document["sockets"]
        lines = [f"WiFi is {module['state']}"]
        if "error" in module:
            lines.append(module["error"])
        else:
            signal = f", {module['rssi']} dBm" if module["rssi"] > -128 else ""
            name = shown(module["ssid"]) or "unnamed"
            lines.append(f"network {name}, address {module['ip']}{signal}")
        lines.append(f"{sockets['used']} of {sockets['limit']} sockets are in use")
        return lines

    async def _files(self, _rest: str) -> list[str]:
        stored = await asyncio.to_thread(self._store.list)
        return [f"{file.size:>12}  {file.name}" for file in stored] or ["no files"]

    async def _delete(self, name: str) -> list[str]:
        await asyncio.to_thread(self._store.delete, name)
        return [f"deleted {name}"]

    async def _firmware(self, _rest: str) -> list[str]:
        network = await self._module.network_get_status()
        return [f"FIRMWARE_NAME: Spinet virtual printer MODULE_FIRMWARE: {network.version_text}"]

    async def _print_report(self, _rest: str) -> list[str]:
        await self._module.diagnostics()
        return ["the module prints its report on its own console"]


def _shown(word: str) -> str:
    """Give a word as it may be shown on any terminal."""
    kept = "".join(letter for letter in word if letter.isprintable())
    return kept[:40]
