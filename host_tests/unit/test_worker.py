"""A worker: one thread for its jobs, also when they raise or memory is short."""

import _thread
import threading

import pytest
from slots import wait_until

from spinet import compat
from spinet.worker import Worker

PATIENCE = 60


class Job:
    """Waits for its gate; `done` has what was called of all jobs, in order."""

    def __init__(self, name, done, gate=None, raises=None):
        self.name = name
        self._done = done
        self._gate = gate
        self._raises = raises
        self.begun = threading.Event()

    def work(self):
        self.begun.set()
        if self._gate:
            assert self._gate.wait(PATIENCE)
        if self._raises:
            raise self._raises
        self._done.append((self.name, threading.get_ident()))

    def no_memory(self):
        self._done.append((self.name + " had no memory", threading.get_ident()))


def names(done):
    return [name for name, _ in done]


@pytest.fixture
def worker():
    return Worker(compat.WORKER_STACK)


def test_jobs_are_done_in_order_by_one_thread(worker):
    gate, done = threading.Event(), []
    for name in "abc":
        assert worker.add(Job(name, done, gate))
    gate.set()
    wait_until(lambda: len(done) == 3, lambda: None)
    assert names(done) == ["a", "b", "c"]
    assert len({thread for _, thread in done}) == 1
    assert done[0][1] != threading.get_ident()


def test_the_thread_ends_with_the_last_job_and_begins_with_the_next(worker):
    done = []
    for count in (1, 2, 3):
        worker.add(Job("a", done))
        worker.finish()
        assert not worker._running
        worker.add(Job("b", done))
        wait_until(lambda count=count: names(done).count("b") == count, lambda: None)


def test_a_stack_of_the_size_that_was_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(compat, "start_thread", lambda f, args, size: asked.append(size))
    Worker(compat.HANDSHAKE_STACK).add(Job("a", []))
    assert asked == [compat.HANDSHAKE_STACK]


@pytest.mark.behaviour("M2")
def test_no_memory_for_a_job_does_not_end_the_thread(worker):
    gate, done = threading.Event(), []
    worker.add(Job("a", done, gate, MemoryError()))
    worker.add(Job("b", done))
    gate.set()
    wait_until(lambda: len(done) == 2, lambda: None)
    assert names(done) == ["a had no memory", "b"]
    assert len({thread for _, thread in done}) == 1


@pytest.mark.parametrize("what", [OSError(12), RuntimeError("can't start"), MemoryError()])
def test_without_memory_for_a_thread_the_job_waits_for_the_next_one(worker, monkeypatch, what):
    """What the Pythons raise for it differs, and on a chip it depends on which memory is short."""
    done = []

    def no_thread(*_args):
        raise what

    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", no_thread)
        assert not worker.add(Job("a", done))
    assert worker.add(Job("b", done))
    wait_until(lambda: len(done) == 2, lambda: None)
    assert names(done) == ["a", "b"]


def test_finish_forgets_what_waits_and_returns_after_the_job_under_way(worker):
    gate, done = threading.Event(), []
    jobs = [Job(name, done, gate) for name in "ab"]
    for job in jobs:
        worker.add(job)
    assert jobs[0].begun.wait(PATIENCE)
    finishing = threading.Thread(target=worker.finish)
    finishing.start()
    wait_until(lambda: not worker._jobs, lambda: None)
    assert finishing.is_alive()
    gate.set()
    finishing.join(PATIENCE)
    assert not finishing.is_alive()
    assert names(done) == ["a"]
    assert not worker._running


def test_what_never_had_a_job_has_nothing_to_finish(worker):
    worker.finish()
    assert worker._lock is None  # some Pythons have no threads, and no locks
