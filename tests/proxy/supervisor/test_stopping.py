"""The first signal begins the drain, the second ends it."""

import asyncio
import os
import signal

import pytest

from proxy.supervisor.stopping import SIGNALS, Stopping


@pytest.mark.parametrize("number", SIGNALS)
async def test_the_second_signal_is_told_from_the_first(number: signal.Signals) -> None:
    loop, stopping = asyncio.get_running_loop(), Stopping()
    stopping.listen(loop)
    try:
        second = loop.create_task(stopping.wait_for_second())
        assert not stopping.is_asked
        os.kill(os.getpid(), number)
        await stopping.wait_for_first()
        assert stopping.is_asked
        assert not second.done()
        os.kill(os.getpid(), number)
        await second
    finally:
        for one in SIGNALS:
            loop.remove_signal_handler(one)
