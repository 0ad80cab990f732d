"""One answer for all who ask at the same time."""

import asyncio

import pytest

from proxy.admin.shared_answer import SharedAnswer
from tests.waiting import until


class Work:
    """What takes as long as the test says."""

    def __init__(self) -> None:
        self.begun = 0
        self.fault: Exception | None = None
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        await self.may_end.wait()
        if self.fault is not None:
            raise self.fault
        return self.begun


async def test_all_who_ask_meanwhile_get_the_same_and_the_next_one_gets_another() -> None:
    work = Work()
    shared = SharedAnswer(work)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(shared.get()) for _ in range(5)]
        await until(lambda: work.begun)
        work.may_end.set()
    assert [one.result() for one in asking] == [1] * 5
    assert await shared.get() == 2


async def test_whoever_leaves_takes_it_from_nobody() -> None:
    work = Work()
    shared = SharedAnswer(work)
    loop = asyncio.get_running_loop()
    first, second = loop.create_task(shared.get()), loop.create_task(shared.get())
    await until(lambda: work.begun)
    first.cancel()
    work.may_end.set()
    assert await second == 1
    assert first.cancelled()


async def test_an_error_is_for_all_and_not_for_the_next_one() -> None:
    work = Work()
    shared = SharedAnswer(work)
    work.fault = ValueError("no")
    work.may_end.set()
    with pytest.raises(ValueError, match="no"):
        await shared.get()
    work.fault = None
    assert await shared.get() == 2
