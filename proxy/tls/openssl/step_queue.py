"""OpenSSL's steps of all handshakes of a loop, a few in each turn.

Theory of operation. A step of OpenSSL takes up to 300 µs. Its code and data push Python's out of
the processor's caches, so the work right behind it takes twice its time. Therefore handshakes do
not step when their bytes arrive. They enlist here. When all bytes of this turn are read, the steps
are made one right after the other. Only then the handshakes are told, also one right after the
other.

A turn makes `_MOST_STEPS` at most: established connections wait for no more than those, however
many clients arrive at once. A listener that accepts clients faster than that only moves their wait
from the kernel to here, where they count as handshakes in flight (`is_behind`).
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Protocol

# 300 µs each at most; more in a row are not cheaper
_MOST_STEPS: Final = 8


class Stepping(Protocol):
    def step(self) -> None:
        """Have OpenSSL make the step, without a call to other parts; do nothing if it is not needed
        any more.
        """

    def stepped(self) -> None: ...


class StepQueue:
    """One per loop."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """Begin with an empty queue.

        `call_soon` is called with what comes when the bytes of this turn are read, or in the next
        turn.
        """
        self._call_soon: Final = call_soon
        self._waiting: list[Stepping] = []

    @property
    def is_behind(self) -> bool:
        """Whether more wait than one turn sees to."""
        return len(self._waiting) > _MOST_STEPS

    def enlist(self, handshake: Stepping) -> None:
        """Have a handshake make a step, in this turn of the loop or in one of the next."""
        if not self._waiting:
            self._call_soon(self._run)
        self._waiting.append(handshake)

    def _run(self) -> None:
        steps = self._waiting
        self._waiting = steps[_MOST_STEPS:]
        if self._waiting:
            del steps[_MOST_STEPS:]
            self._call_soon(self._run)
        made = 0
        try:
            for handshake in steps:
                handshake.step()
                made += 1
        finally:
            if made < len(steps):  # one has failed
                for stranded in steps[made + 1 :]:
                    self.enlist(stranded)
                del steps[made:]
            self._tell(iter(steps))

    def _tell(self, handshakes: Iterator[Stepping]) -> None:
        try:
            for handshake in handshakes:
                handshake.stepped()
        except BaseException:
            self._call_soon(partial(self._tell, handshakes))  # the others continue although one has failed
            raise
