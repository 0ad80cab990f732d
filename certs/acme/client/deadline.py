"""A blocking call with a deadline that holds wherever the call is stuck.

Socket timeouts count from byte to byte, and a name look-up has no timeout: a CA that sends one byte
now and then would hold a renewal for ever. So each call runs in its own thread, which is abandoned
at the deadline. It is a daemon thread: it cannot be ended, and the exit of the process must not
wait for it.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

Result = TypeVar("Result")


class Overdue(Exception):
    """A call took longer than its `seconds`. Its result is lost."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"no answer within {self.seconds:g} s"


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Run `work` in a daemon thread, and wait. Raises what it raises, or `Overdue`."""
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=run, name="acme call", daemon=True).start()
    if not wait([outcome], seconds).done:
        raise Overdue(seconds)
    return outcome.result()
