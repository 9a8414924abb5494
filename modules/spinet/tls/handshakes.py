"""Where TLS handshakes are computed: a thread, as an RSA signature may outlast a controller's wait.

One step of one session at a time, in the order they came. The thread lives while there are any, and
runs without the GIL for as long as mbedTLS computes. Between submit() and the answer nobody else
may touch that session's core. This file is all that runs outside of the service thread.
"""

from spinet import compat


class HandshakeThread:
    """`wake` is called, in the thread, after each answer: it has the loop look at it."""

    def __init__(self, wake):
        import _thread as threads  # which an image without TLS may lack

        self._wake = wake
        self._lock = threads.allocate_lock()  # guards the two below
        self._queue = []
        self._running = False
        self._over = threads.allocate_lock()  # held while the thread runs

    def submit(self, session):
        """Let the thread call session.core.step(); its answer goes to session.answer.

        False when there is no memory for a thread.
        """
        with self._lock:
            try:
                self._queue.append(session)
            except MemoryError:
                return False
            if self._running:
                return True
            self._running = True
            self._over.acquire()
        return self._start()

    def _start(self):
        try:
            compat.start_thread(self._run, (), compat.HANDSHAKE_STACK)
        except OSError:
            self._queue.clear()
            self._leave()
            return False
        return True

    def _run(self):
        while True:
            session = self._next()
            if session is None:
                return
            session.answer = session.core.step()
            self._wake()

    def _next(self):
        with self._lock:
            if self._queue:
                return self._queue.pop(0)
            self._leave()
            return None

    def _leave(self):
        self._running = False
        self._over.release()

    def finish(self):
        """Forget what waits and return when the step under way is over."""
        with self._lock:
            self._queue.clear()
        self._over.acquire()
        self._over.release()
