"""Nothing changes while it is held, and what waits goes on afterwards."""

import asyncio

from proxy.supervisor.standstill import Standstill
from tests.waiting import until


async def test_changes_wait_for_its_end() -> None:
    standstill, lock, changes = Standstill(), asyncio.Lock(), list[int]()

    async def change(number: int) -> None:
        async with standstill.moving(lock):
            assert lock.locked()
            changes.append(number)

    await change(1)
    standstill.begin("an upgrade is under way")
    assert standstill.reason == "an upgrade is under way"
    task = asyncio.get_running_loop().create_task(change(2))
    for _ in range(5):
        await asyncio.sleep(0)
    assert changes == [1]
    standstill.end()
    await task
    assert changes == [1, 2]
    assert not standstill.reason


async def test_a_change_that_waited_for_the_lock_looks_again() -> None:
    standstill, lock, changes = Standstill(), asyncio.Lock(), list[int]()

    async def change() -> None:
        async with standstill.moving(lock):
            changes.append(1)

    async with lock:
        task = asyncio.get_running_loop().create_task(change())
        await asyncio.sleep(0)
        standstill.begin("an upgrade is under way")
    for _ in range(5):
        await asyncio.sleep(0)
    assert changes == []
    assert not lock.locked()
    standstill.end()
    await until(lambda: changes)
    await task
