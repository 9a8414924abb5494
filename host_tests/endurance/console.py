"""A REPL beside the serving module, in use by a person: on a pty, never waited for."""

import itertools
import os
import pty
import re
import tty

PROMPT = b">>> "
ANSWER = re.compile(rb"~heap (\d+)\r?\n")
ASK_HEAP = "print('~heap', gc.mem_alloc())"
BUFFER = 65536
EVERY = 64  # steps between two expressions
LOOK = 4  # and between two looks at what is printed

SETUP = "import gc; import spinet.report as r"
COLLECT = "gc.collect()"
EXPRESSIONS = (
    "r.all()",
    "x = [bytearray(512) for _ in range(100)]; len(x)",
    "y = {str(i): [i] * 8 for i in range(300)}; y = None",
    "r.trace()",
    "sorted('%d' % (i * 7919 % 1000) for i in range(400))[0]",
    COLLECT,
    "r.slots(); r.counters()",
    "x = None; len('a' * 20000)",
)


class Console:
    """Types an expression, looks at the heap, and so on. `step()` does what can be done at once."""

    def __init__(self, expressions):
        self._master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self._master, False)
        self._lines = itertools.chain((SETUP,), itertools.cycle(expressions))
        self.line = ""  # the latest expression
        self._text = b""
        self._steps = 0
        self._used = 0  # bytes of the heap at the latest look
        self.busy = True  # an expression is under way, at first: the boot
        self.tracebacks = []
        self._evaluated = 0
        self._collections = 0
        self._printed = 0
        self._most = 0
        self._collected = []  # in use after each collection that was asked for

    def close(self):
        """The module is not looked at any more."""
        os.close(self._master)
        os.close(self.slave)

    def step(self, idle=False):
        """Take what was printed; with `idle`, begin nothing new."""
        self._steps += 1
        if self.busy and self._steps % LOOK == 0:
            self._read()
        elif not idle and self._steps % EVERY == 0:
            self._type()

    def _type(self):
        """In one line: what is typed before there is a prompt would be lost."""
        self.busy = True
        self._text = b""
        self.line = next(self._lines)
        os.write(self._master, f"{self.line}; {ASK_HEAP}\r".encode())

    def _read(self):
        try:
            text = os.read(self._master, BUFFER)
        except BlockingIOError:
            return
        self._printed += len(text)
        self._text += text
        if self._text.endswith(PROMPT):
            self.busy = False
            self._finish()

    def _finish(self):
        """An expression is done, or the boot is. The service would print a traceback here too."""
        answer = ANSWER.search(self._text)
        if answer:
            self._evaluated += 1
            self._note_heap(int(answer[1]))
        if b"Traceback" in self._text or (self.line and not answer):
            self.tracebacks.append(f"printed: {self._text.decode(errors='replace')}")

    def _note_heap(self, used):
        """There was a collection of the module's own when less is in use than before."""
        if self.line == COLLECT:
            self._collected.append(used)
        elif used < self._used:
            self._collections += 1
        self._used = used
        self._most = max(self._most, used)

    def result(self):
        """For a report; bytes, and how many."""
        first_and_last = [self._collected[0], self._collected[-1]] if self._collected else []
        return {
            "evaluated": self._evaluated,
            "printed": self._printed,
            "collectionsAskedFor": len(self._collected),
            "collectionsSeen": self._collections,
            "heapMost": self._most,
            "heapAfterCollection": first_and_last,
        }
