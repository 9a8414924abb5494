"""One background thread with a queue, for calls that wait: look-ups, handshakes, announcements.

The thread begins with the first job and is over with the last: on a chip its stack is dear.
"""

from spinet import compat


class Worker:
    """Does jobs one at a time, in the order in which they came; used from one thread.

    A job has work(), which the worker's thread calls, and no_memory(), which it calls when work()
    raised MemoryError. `stack_bytes` are the thread's, on a chip.
    """

    def __init__(self, stack_bytes):
        self._stack_bytes = stack_bytes
        self._jobs = []
        self._running = False
        self._lock = None  # of these two; made for the first job, as some Pythons have no threads
        self._over = None  # held while the thread runs

    def add(self, job):
        """Have it done. False when there is no memory for a thread: then it waits for the next one.

        Raises MemoryError when there is none for the queue.
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

    def retain(self, is_wanted):
        """Of the jobs that wait, forget those for which is_wanted(job) is false."""
        if self._over is not None:
            with self._lock:
                self._jobs = [job for job in self._jobs if is_wanted(job)]

    def finish(self):
        """Forget the jobs that wait, and return when the one under way is over."""
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
            except MemoryError:  # a thread that ended here would leave _running set for ever
                job.no_memory()
            job = self._next()

    def _next(self):
        with self._lock:
            if self._jobs:
                return self._jobs.pop(0)
            self._leave()
            return None
