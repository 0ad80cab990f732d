"""Waiting for an event, but not for ever."""

import asyncio
from contextlib import suppress


async def happened(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait until an event is set, or the time is over (None: for ever). Whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
