"""Waiting for an event, but not for ever."""

import asyncio

from proxy.net.waiting import happened


async def test_it_says_whether_the_event_is_set() -> None:
    event = asyncio.Event()
    assert not await happened(event, 0)
    asyncio.get_running_loop().call_soon(event.set)
    assert await happened(event, None)
    assert await happened(event, 0)
