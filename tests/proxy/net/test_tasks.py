"""Tasks of single connections: one that fails is reported and takes nothing with it."""

import asyncio

import pytest

from proxy.net.tasks import Tasks


@pytest.fixture
def reported() -> list[BaseException]:
    return []


@pytest.fixture
async def tasks(reported: list[BaseException]) -> Tasks:
    return Tasks(asyncio.get_running_loop(), reported.append)


async def test_task_runs_to_its_end(tasks: Tasks, reported: list[BaseException]) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    tasks.start(work())
    await done.wait()
    await tasks.cancel_all()
    assert reported == []


async def test_unexpected_error_is_reported_and_the_others_live(tasks: Tasks, reported: list[BaseException]) -> None:
    gate, done = asyncio.Event(), asyncio.Event()

    async def fails() -> None:
        gate.set()
        raise ZeroDivisionError

    async def lives() -> None:
        await gate.wait()
        done.set()

    tasks.start(lives())
    tasks.start(fails())
    await done.wait()
    assert [type(error) for error in reported] == [ZeroDivisionError]


async def test_what_has_to_run_begins_again_after_an_unexpected_error(
    tasks: Tasks, reported: list[BaseException]
) -> None:
    runs = iter((1, 0, 1, 2))
    done = asyncio.Event()

    async def work() -> None:
        if 1 // next(runs) == 0:
            done.set()

    async def twice() -> None:
        await work()
        await work()

    tasks.keep_running(twice, 0.0)
    await done.wait()
    await tasks.cancel_all()
    assert [type(error) for error in reported] == [ZeroDivisionError]
    assert list(runs) == [], "what has ended is not begun again"


async def test_what_is_left_is_cancelled_and_waited_for(tasks: Tasks, reported: list[BaseException]) -> None:
    begun, cleaned = asyncio.Event(), []

    async def stays() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    tasks.start(stays())
    await begun.wait()
    await tasks.cancel_all()
    assert cleaned == [True]
    assert reported == []


async def test_error_while_it_is_cancelled_is_reported(tasks: Tasks, reported: list[BaseException]) -> None:
    begun = asyncio.Event()

    async def stumbles() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    tasks.start(stumbles())
    await begun.wait()
    await tasks.cancel_all()
    assert [type(error) for error in reported] == [ZeroDivisionError]


async def test_nothing_to_cancel_is_no_error(tasks: Tasks) -> None:
    await tasks.cancel_all()
    await tasks.cancel_all()
