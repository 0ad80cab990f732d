"""Threads that wait for a token: who gets one, who is refused, and that nothing ever waits for those that hang."""

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from proxy.signing.executor import CrowdedOut, GivenUp, Job, JobRefusal, SigningExecutor

A, B = b"\x0a\0\0\1", b"\x0a\0\0\2"
SECONDS = 10.0
TYPICAL = 0.005


class Loop:
    """Gets calls from threads; the test makes them."""

    def __init__(self) -> None:
        self.calls: queue.Queue[tuple[Callable[..., object], tuple[Any, ...]]] = queue.Queue()
        self.is_closed = False

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> object:
        if self.is_closed:
            raise RuntimeError("the loop is closed")
        self.calls.put((callback, args))
        return None

    def turn(self) -> None:
        """Wait for the next call, and make it."""
        callback, args = self.calls.get(timeout=SECONDS)
        callback(*args)


class World:
    def __init__(self, threads: int) -> None:
        self.now = 1_000.0
        self.loop = Loop()
        self.executor = SigningExecutor("plexi", threads, self.loop, lambda: self.now)
        self.results: list[tuple[Job[Any], Any]] = []
        self.released = threading.Event()
        self._began = threading.Semaphore(0)

    def job(self, work: Callable[[], Any], network: bytes = A, seconds: float = 10.0) -> Job[Any]:
        return Job(work, lambda job, result: self.results.append((job, result)), network, self.now + seconds, self.now)

    def submit(self, work: Callable[[], Any], network: bytes = A, seconds: float = 10.0) -> Job[Any]:
        job = self.job(work, network, seconds)
        assert self.executor.submit(job, TYPICAL) is None
        return job

    def hang(self, seconds: float = 10.0) -> Job[Any]:
        """A job that has begun, and ends when `released` is set."""

        def work() -> str:
            self._began.release()
            self.released.wait(SECONDS)
            return "late"

        job = self.submit(work, seconds=seconds)
        assert self._began.acquire(timeout=SECONDS)
        return job

    def refusal(self, seconds: float = 10.0, typical: float = TYPICAL, network: bytes = A) -> JobRefusal | None:
        return self.executor.submit(self.job(lambda: None, network, seconds), typical)


@pytest.fixture
def make() -> Iterator[Callable[[int], World]]:
    worlds: list[World] = []

    def world(threads: int) -> World:
        worlds.append(World(threads))
        return worlds[-1]

    yield world
    for one in worlds:
        one.released.set()
        one.executor.close()


def test_result_comes_on_the_loop(make: Callable[[int], World]) -> None:
    world = make(1)
    job = world.submit(threading.get_ident)
    world.loop.turn()
    ((settled, result),) = world.results
    assert settled is job
    assert result != threading.get_ident()
    assert job.is_running


def test_error_is_a_result_too(make: Callable[[int], World]) -> None:
    world = make(1)
    world.submit(lambda: 1 // 0)
    world.loop.turn()
    assert isinstance(world.results[0][1], ZeroDivisionError)
    world.submit(lambda: "and the thread goes on")
    world.loop.turn()
    assert world.results[1][1] == "and the thread goes on"


def test_thread_that_became_idle_last_is_the_next_to_work(make: Callable[[int], World]) -> None:
    world = make(4)
    threads = []
    for _ in range(20):
        world.submit(lambda: threads.append(threading.current_thread().name))
        world.loop.turn()  # its thread is idle before it tells
    assert len(set(threads)) == 1


def test_thread_pushes_nobody_off_a_processor(make: Callable[[int], World]) -> None:
    world = make(1)
    ours = os.sched_getscheduler(0)
    world.submit(lambda: os.sched_getscheduler(0))
    world.loop.turn()
    assert world.results[0][1] == os.SCHED_BATCH
    assert os.sched_getscheduler(0) == ours


def test_thread_that_may_not_say_so_serves_all_the_same(
    make: Callable[[int], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.sched_setscheduler", forbidden)
    world = make(1)
    world.submit(lambda: "done")
    world.loop.turn()
    assert world.results[0][1] == "done"


def test_networks_take_turns(make: Callable[[int], World]) -> None:
    world = make(1)
    world.hang()
    for network, name in ((A, "a1"), (A, "a2"), (B, "b1")):
        world.submit(partial(str, name), network)
    world.executor.submit_urgent(world.job(lambda: "ours"))
    world.released.set()
    for _ in range(5):
        world.loop.turn()
    assert [result for _, result in world.results] == ["late", "ours", "a1", "b1", "a2"]


def test_figures_tell_what_goes_on(make: Callable[[int], World]) -> None:
    world = make(2)
    assert world.executor.has_idle_thread
    world.hang(seconds=1)
    assert world.executor.has_idle_thread
    world.hang(seconds=5)
    assert not world.executor.has_idle_thread
    world.submit(lambda: None)
    figures = world.executor.figures()
    assert (figures.threads, figures.queued, figures.running, figures.lost, figures.most_running) == (2, 1, 2, 0, 2)
    world.now += 2
    figures = world.executor.figures()
    assert (figures.running, figures.lost) == (1, 1)


class TestRefusals:
    def test_all_threads_lost(self, make: Callable[[int], World]) -> None:
        world = make(1)
        world.hang(seconds=1)
        world.now += 1
        assert world.refusal() is JobRefusal.NO_THREAD
        assert world.executor.submit_urgent(world.job(lambda: None)) is JobRefusal.NO_THREAD
        world.released.set()
        world.loop.turn()
        assert world.refusal() is None

    def test_turn_after_the_deadline(self, make: Callable[[int], World]) -> None:
        world = make(2)
        assert world.refusal(seconds=0.1, typical=0.2) is JobRefusal.TOO_LATE
        for _ in range(2):
            world.hang()
        assert world.refusal(seconds=0.5, typical=0.2) is None  # the third: after one of those two
        assert world.refusal(seconds=0.5, typical=0.2) is None
        assert world.refusal(seconds=0.5, typical=0.2) is JobRefusal.TOO_LATE
        assert world.refusal(seconds=0.7, typical=0.2) is None

    def test_token_that_has_become_slow_is_seen_before_it_answers(self, make: Callable[[int], World]) -> None:
        world = make(1)
        world.hang()
        assert world.refusal(seconds=1.0, typical=0.001) is None
        world.now += 2
        assert world.refusal(seconds=1.0, typical=0.001) is JobRefusal.TOO_LATE

    def test_share_of_one_network(self, make: Callable[[int], World]) -> None:
        world = make(1)
        world.hang(seconds=1_000.0)
        taken = 0
        while (refusal := world.refusal(seconds=1_000.0)) is None:
            taken += 1
        assert (refusal, taken) == (JobRefusal.NETWORK_SHARE, 32)

    def test_queue_full_of_as_many_networks_as_it_has_places(self, make: Callable[[int], World]) -> None:
        world = make(1)
        world.hang(seconds=1_000.0)
        for number in range(64):
            assert world.refusal(seconds=1_000.0, network=bytes([number])) is None
        assert world.refusal(seconds=1_000.0, network=b"another") is JobRefusal.QUEUE_FULL

    def test_two_networks_that_fill_the_queue_keep_no_other_out(self, make: Callable[[int], World]) -> None:
        """The newest of the one with the most gives way, and turns are counted as they are taken."""
        world = make(1)
        world.hang(seconds=1_000.0)
        jobs = [world.submit(lambda: None, network, seconds=1_000.0) for _ in range(32) for network in (A, B)]
        assert world.refusal(seconds=0.5, typical=0.1, network=b"third") is None
        world.loop.turn()
        ((job, error),) = world.results
        assert (job, type(error)) == (jobs[-2], CrowdedOut)
        assert world.refusal(seconds=0.5, typical=0.1, network=A) is JobRefusal.TOO_LATE


class TestGivingUp:
    def test_job_that_waits_is_taken_out(self, make: Callable[[int], World]) -> None:
        world = make(1)
        running = world.hang()
        waiting = world.submit(lambda: "never")
        assert world.executor.cancel(waiting)
        assert not world.executor.cancel(waiting)
        assert not world.executor.cancel(running)
        world.released.set()
        world.loop.turn()
        assert [job for job, _ in world.results] == [running]

    def test_all_who_wait_are_told(self, make: Callable[[int], World]) -> None:
        world = make(1)
        world.hang()
        waiting = world.submit(lambda: "never")
        world.executor.give_up_waiting()
        world.loop.turn()
        ((job, error),) = world.results
        assert job is waiting
        assert isinstance(error, GivenUp)
        assert not job.is_running

    def test_token_is_not_asked_after_the_deadline(self, make: Callable[[int], World]) -> None:
        world = make(1)
        world.hang()
        late = world.submit(lambda: "a signature for nobody", seconds=1)
        world.now += 2
        world.released.set()
        world.loop.turn()
        world.loop.turn()
        ((_, first), (job, error)) = world.results
        assert first == "late"
        assert job is late
        assert isinstance(error, GivenUp)


def test_closed_one_ends_its_threads(make: Callable[[int], World]) -> None:
    world = make(3)
    threads = [one for one in threading.enumerate() if one.name.startswith("sign-plexi-")]
    assert len(threads) >= 3
    world.executor.close()
    for one in threads:
        one.join(SECONDS)
        assert not one.is_alive()


def test_nobody_is_told_when_the_loop_is_closed(make: Callable[[int], World]) -> None:
    world = make(1)
    world.hang()
    world.loop.is_closed = True
    world.released.set()
    world.executor.close()
    for one in threading.enumerate():
        if one.name == "sign-plexi-0":
            one.join(SECONDS)
    assert world.results == []


def test_process_ends_while_all_of_its_threads_hang() -> None:
    code = """
import asyncio, faulthandler, threading
from proxy.signing.executor import Job, SigningExecutor

async def main():
    faulthandler.dump_traceback_later(40, exit=True)  # tells a process that hangs from a slow machine
    loop, began = asyncio.get_running_loop(), threading.Semaphore(0)
    executor = SigningExecutor("plexi", 16, loop, loop.time)
    def hang():
        began.release()
        threading.Event().wait()
    for _ in range(16):
        assert executor.submit(Job(hang, print, b"", loop.time() + 60, loop.time()), 0.001) is None
    for _ in range(16):
        began.acquire()

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
