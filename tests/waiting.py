"""Waiting for what nobody tells: the loop turns until it has happened; pytest's timeout ends a wait in vain."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds that this process brings about."""
    while not condition():  # noqa: ASYNC110 - nobody can be told of it
        await asyncio.sleep(0)


async def until_seen(condition: Callable[[], object]) -> None:
    """The same for what another process does, which gets the processor meanwhile."""
    while not condition():  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.005)
