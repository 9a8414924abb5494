"""What the threads of a process had of the processor, as Linux counts it.

When the computer had no processor for the module, that is not the module's fault; here it can be
told from the module's own time. It excuses nothing, it explains.
"""

import contextlib
import os
from pathlib import Path

MS = 1000000
LONGEST = 64


class Threads:
    """The threads that a process has now, or none where the kernel does not count."""

    def __init__(self, tasks):
        self._files = []
        with contextlib.suppress(OSError):
            for task in sorted(Path(tasks).iterdir(), key=lambda path: int(path.name)):
                self._files.append(os.open(task / "schedstat", os.O_RDONLY))

    def read(self):
        """For each thread the bytes that the kernel gives; cheap, they are not looked at yet."""
        return [os.pread(file, LONGEST, 0) for file in self._files]

    @staticmethod
    def between(before, after):
        """For each thread (ms computed, ms that it waited for a processor)."""
        return [
            tuple((int(b) - int(a)) // MS for a, b in zip(*pair, strict=True))
            for pair in ((a.split()[:2], b.split()[:2]) for a, b in zip(before, after, strict=True))
        ]

    def close(self):
        for file in self._files:
            os.close(file)
        self._files = []
