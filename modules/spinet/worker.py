"""One background thread with a queue, for calls that wait: handshakes, announcements.

The thread starts with the first job and ends after the last one, to free its stack on a chip.
"""

from spinet import compat


class Worker:
    """Does jobs one at a time, in the order in which they were added, by one thread only.

    A job has work(), which the worker's thread calls, and no_memory(), which it calls when work()
    raised MemoryError. `stack_bytes` is the size of the thread's stack on a chip.
    """

    def __init__(self, stack_bytes):
        self._stack_bytes = stack_bytes
        self._jobs = []
        self._running = False
        self._lock = None  # for _jobs and _running; made in add(), as some Pythons have no threads
        self._over = None  # held while the thread runs

    def add(self, job):
        """Queue a job. False without memory for a thread: then the job waits for the next add().

        Raises MemoryError without memory for the queue.
        """
        if self._over is None:
            self._lock = compat.lock()
            self._over = compat.lock()
        with self._lock:
            self._jobs.append(job)
            if self._running:
                return True
            self._running = True
            self._over.acquire()
        return self._begin()

    def _begin(self):
        try:
            compat.start_thread(self._run, (), self._stack_bytes)
        except OSError:
            self._leave()
            return False
        return True

    def _leave(self):
        self._running = False
        self._over.release()

    def finish(self):
        """Drop the queued jobs, and wait until the one under way is done."""
        if self._over is not None:
            with self._lock:
                self._jobs.clear()
            self._over.acquire()
            self._over.release()

    # --- in the thread

    def _run(self):
        job = self._next()
        while job is not None:
            try:
                job.work()
            except MemoryError:  # uncaught, it would end the thread with _running still set
                job.no_memory()
            job = self._next()

    def _next(self):
        with self._lock:
            if self._jobs:
                return self._jobs.pop(0)
            self._leave()
            return None
