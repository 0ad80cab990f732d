"""Blind workers: they cannot use a token that the parent finds well.

The log names them. If an identity depends on the token, they are replaced, one after the other. A
worker that is replaced closes its connections and WebSockets within the time to drain. That is
worth it if the worker refuses an identity, but not if another token signs instead.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto

from proxy.net.tasks import Tasks
from proxy.observe.events.event import Tell
from proxy.observe.events.workers import WorkerBlind
from proxy.supervisor.tokens.contracts import TokenUser
from proxy.supervisor.workers.blindness import Blindness


class Need(Enum):
    """What a blind worker lacks."""

    NONE = auto()
    """The worker can use the token again."""
    SPARE = auto()
    """A spare key: other keys sign."""
    IDENTITY = auto()
    """An identity: it has no other key that can sign in this worker."""


class BlindWorkers:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        replace: Callable[[TokenUser], Awaitable[None]],
        tell: Tell,
        need: Callable[[TokenUser, str], Need],
    ) -> None:
        """`need` is asked just before a worker is replaced because of a token."""
        self._loop = loop
        self._tasks = tasks
        self._replace_one = replace
        self._tell = tell
        self._need = need
        self._blindness = Blindness()
        self._replacing = asyncio.Lock()

    def found_well(self, token: str, troubled: Sequence[TokenUser]) -> None:
        """The parent has found a token well that these workers cannot use."""
        pids = self._blindness.found_well(token, [one.pid for one in troubled])
        blind = [one for one in troubled if one.pid in pids]
        if blind and not self._replacing.locked():  # else the next probe comes in half a second
            self._tasks.start(self._replace(token, blind))

    async def _replace(self, token: str, blind: Sequence[TokenUser]) -> None:
        async with self._replacing:
            for worker in blind:
                match self._need(worker, token):
                    case Need.NONE:
                        continue
                    case Need.SPARE:
                        if self._blindness.is_news(worker.pid, token):
                            self._tell(WorkerBlind(worker.slot, worker.pid, token, replaced=False))
                    case Need.IDENTITY:
                        if self._blindness.may_replace(worker.slot, token, self._loop.time()):
                            self._tell(WorkerBlind(worker.slot, worker.pid, token, replaced=True))
                            await self._replace_one(worker)

    def forget_worker(self, process: int, token: str) -> None:
        """The token works in this worker, or the worker has ended."""
        self._blindness.forget_worker(process, token)

    def forget(self, token: str) -> None:
        """The token was unavailable: each worker that could not use it had a reason."""
        self._blindness.forget(token)
