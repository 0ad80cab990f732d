"""The same question to several subjects at once, each with its own deadline.

The threads are daemon threads: a look-up that hangs is left behind, and the process can end.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, Generic, TypeVar

from certs.acme.client.deadline import Overdue

_WIDTH: Final = 16

Subject = TypeVar("Subject")
Result = TypeVar("Result")


class _Inquiry(Generic[Result]):
    def __init__(self, work: Callable[[], Result]) -> None:
        self._answers: SimpleQueue[Result | Exception] = SimpleQueue()
        self.began: Final = time.monotonic()
        Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[[], Result]) -> None:
        try:
            self._answers.put(work())
        except Exception as error:  # noqa: BLE001 - handed to the caller
            self._answers.put(error)

    def result(self, seconds: float) -> Result | Exception:
        try:
            return self._answers.get(timeout=max(0.0, self.began + seconds - time.monotonic()))
        except Empty:
            return Overdue(seconds)


def side_by_side(
    subjects: Sequence[Subject], ask: Callable[[Subject], Result], seconds: float
) -> Iterator[tuple[Subject, Result | Exception]]:
    """Ask each subject; yield it with the answer, or with the error that `ask` raised.

    The order is that of `subjects`. The error is `Overdue` after `seconds`.
    """
    for start in range(0, len(subjects), _WIDTH):
        calls = [(one, _Inquiry(lambda one=one: ask(one))) for one in subjects[start : start + _WIDTH]]  # type: ignore[misc]
        for subject, call in calls:
            yield subject, call.result(seconds)
