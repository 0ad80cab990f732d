"""Work in a thread, and what a thread asks of the loop: results and errors come back, and one that hangs holds nobody."""

import asyncio
import sys
import threading

import pytest

from proxy.net.in_thread import LoopEnded, in_loop, in_thread, tell_loop
from tests.waiting import until_seen


async def test_result_comes_back() -> None:
    loop = asyncio.get_running_loop()
    assert await in_thread(loop, lambda: threading.current_thread().daemon) is True


async def test_error_is_raised_here() -> None:
    def fails() -> None:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError, match="by zero"):
        await in_thread(asyncio.get_running_loop(), fails)


async def test_loop_turns_while_it_runs_and_gets_the_interpreter_more_often() -> None:
    usual, seen = sys.getswitchinterval(), []
    may_go = threading.Event()

    def work() -> str:
        seen.append(sys.getswitchinterval())
        may_go.wait(10)
        return "done"

    task = asyncio.get_running_loop().create_task(in_thread(asyncio.get_running_loop(), work))
    await asyncio.sleep(0)
    assert not task.done()
    may_go.set()
    assert await task == "done"
    assert seen[0] < usual
    assert sys.getswitchinterval() == usual


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_two_that_overlap_leave_the_interpreter_as_it_was(order: tuple[int, int]) -> None:
    usual = sys.getswitchinterval()
    loop = asyncio.get_running_loop()
    gates = [threading.Event(), threading.Event()]
    tasks = [loop.create_task(in_thread(loop, lambda gate=gate: gate.wait(10))) for gate in gates]  # type: ignore[misc]
    await asyncio.sleep(0)
    for one in order:
        gates[one].set()
        assert await tasks[one]
    assert sys.getswitchinterval() == usual


async def test_one_that_hangs_is_left_behind() -> None:
    """What it answers later, a result or an error, is nobody's any more."""
    loop = asyncio.get_running_loop()
    gate, ended = threading.Event(), threading.Event()

    def hangs() -> None:
        gate.wait(10)
        loop.call_soon_threadsafe(ended.set)
        raise ZeroDivisionError

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await in_thread(loop, hangs)
    gate.set()
    await until_seen(ended.is_set)
    await asyncio.sleep(0)


def test_one_that_ends_after_the_loop_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback of its thread would be the last that a process says, for no fault of its own."""
    gate, threads, said = threading.Event(), list[threading.Thread](), list[object]()
    monkeypatch.setattr(threading, "excepthook", said.append)

    def hangs() -> None:
        threads.append(threading.current_thread())
        gate.wait(10)

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await in_thread(asyncio.get_running_loop(), hangs)

    asyncio.run(leave())
    gate.set()
    threads[0].join(10)
    assert said == []


def test_a_loop_that_is_closed_is_told_nothing() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    tell_loop(loop, pytest.fail)


async def test_a_thread_gets_what_the_loop_made_or_its_error() -> None:
    loop = asyncio.get_running_loop()

    async def made(number: int) -> float:
        return 1 / number

    assert await in_thread(loop, lambda: in_loop(loop, made(2), 10)) == 0.5
    with pytest.raises(ZeroDivisionError):
        await in_thread(loop, lambda: in_loop(loop, made(0), 10))


async def test_work_of_the_loop_that_takes_too_long_is_cancelled() -> None:
    loop = asyncio.get_running_loop()
    undone = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            undone.set()

    with pytest.raises(TimeoutError):
        await in_thread(loop, lambda: in_loop(loop, hangs(), 0.01))
    await undone.wait()


def test_a_loop_that_has_ended_does_nothing_for_a_thread() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(LoopEnded):
        in_loop(loop, asyncio.sleep(0), 10)
