"""A blocking call with a deadline that holds wherever the call is stuck.

Socket timeouts count from byte to byte, and a name look-up has no timeout: a CA that sends one byte
now and then would hold a renewal for ever. So each call runs in its own thread, which is abandoned
at the deadline. It is a daemon thread: it cannot be ended, and the exit of the process must not
wait for it.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Overdue(Exception):
    """A call took longer than its `seconds`. Its result is lost."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"no answer within {self.seconds:g} s"


class _Call(Generic[Result]):
    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self.is_over = threading.Event()
        self.result: list[Result] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self.error = error
        finally:
            self.is_over.set()


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Run `work` in a daemon thread and wait for it; its exception is raised here.

    Raises `Overdue`.
    """
    call = _Call(work)
    threading.Thread(target=call.run, name="acme call", daemon=True).start()
    if not call.is_over.wait(seconds):
        raise Overdue(seconds)
    if call.error is not None:
        raise call.error
    return call.result[0]
