"""Key exchanges that take too long for an event loop: a thread of its own makes them, in turn.

Theory of operation. What a group costs a server is measured when its listener is built
(`group_costs`). A replayed ClientHello costs its client nothing, and one of HQC-5 costs a server
60 ms. So a handshake with such a group gets its flight from here, and client networks take turns.
A client that offers another group too waits for a second at most, and then gets that group. One
that offers no other waits for longer, and is refused then.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from proxy.signing.executor import Job, JobRefusal, SigningExecutor
from proxy.tls.handshake.group_choice import SlowExchange

if TYPE_CHECKING:
    from proxy.signing.contracts import SigningThreads

Result = TypeVar("Result")

# Another group costs a client one more round trip at most.
_SHORT_WAIT_SECONDS: Final = 1.0
# As for a signature of a token (`signing.race`): later the client may be gone.
_LONG_WAIT_SECONDS: Final = 5.0


class SlowExchanges:
    """The thread of one loop, begun with the first such handshake."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop: Final = loop
        self._clock: Final = clock
        self.threads: SigningThreads | None = None
        """Begun with the first exchange."""

    def begin(
        self,
        network: bytes,
        exchange: SlowExchange,
        work: Callable[[], Result],
        settled: Callable[[Job[Result], Result | BaseException], None],
    ) -> Job[Result] | None:
        """Have the thread do `work` when it is this network's turn. None: that would be too late.

        The result comes from the loop, never from inside this
        call. It is a `GivenUp` for work whose turn did not come in time.
        """
        if self.threads is None:
            self.threads = SigningExecutor("slow-group", 1, self._loop, self._clock)
        now = self._clock()
        wait = _SHORT_WAIT_SECONDS if exchange.is_avoidable else _LONG_WAIT_SECONDS
        job = Job(work, settled, network, now + wait, now)
        return None if isinstance(self.threads.submit(job, exchange.seconds), JobRefusal) else job

    def cancel(self, job: Job[Any]) -> None:
        """Take it out of the queue. What runs already continues, and its result is told."""
        if self.threads is not None:
            self.threads.cancel(job)
