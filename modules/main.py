"""Boot: start the service in its thread, leave the REPL free."""

from board import BOARD

from spinet import service

service.start(BOARD)
