"""Work that blocks, in a daemon thread: one that hangs blocks neither the loop nor the exit. And
what such a thread asks of the loop.

The exit waits for the threads of the default executor. One that hangs in a file system or a token
would block it for ever.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

_USUAL_SWITCH_SECONDS: Final = sys.getswitchinterval()
# How often such a thread yields to the loop while it computes. The default of the interpreter, 5
# ms, would delay connections.
_SWITCH_SECONDS: Final = 0.0005


async def in_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], Result]) -> Result:
    """Run `work` and wait for it; its exception is raised here."""
    future: asyncio.Future[Result] = loop.create_future()

    def settle(method: Callable[[Any], None], value: object) -> None:
        if not future.done():
            method(value)

    def run() -> None:
        method: Callable[[Any], None] = future.set_result
        value: object
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - handed to the waiting caller
            method = future.set_exception
            value = error
        tell_loop(loop, settle, method, value)

    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        threading.Thread(target=run, name="work", daemon=True).start()
        return await future
    finally:
        # not the previous value: that may be the one of another thread, and would stay for ever
        sys.setswitchinterval(_USUAL_SWITCH_SECONDS)


def tell_loop(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object) -> None:
    """Have the loop call `callback`, from any thread.

    If the loop is closed, no caller waits any more, and nothing happens.
    """
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        if not loop.is_closed():
            raise


class LoopEnded(Exception):
    """The loop is closed: the process ends."""


def in_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Result], seconds: float) -> Result:
    """Run `work` in the loop, and wait for it in this thread; its exception is raised here.

    Raises `LoopEnded`, and `TimeoutError` after `seconds`. Then `work` is cancelled, and undoes
    what it has done.
    """
    try:
        future = asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:
        work.close()
        raise LoopEnded from None
    try:
        return future.result(seconds)
    except TimeoutError:
        future.cancel()
        raise
