"""Workers that cannot use a token which is well: told of, and replaced one after the other where an
identity depends on that.

A worker that is replaced closes its connections, WebSockets among them, within the time to drain.
That is no price for a token that only stands in for others; it is one for an identity that is
refused in that worker.
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
    """What a worker that cannot use a token lacks by that."""

    NONE = auto()
    """It can use it again."""
    SPARE = auto()
    """A key that stands in for others, which sign."""
    IDENTITY = auto()
    """An identity, which has no other key that signs there."""


class BlindWorkers:
    """Those of one fleet."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        replace: Callable[[TokenUser], Awaitable[None]],
        tell: Tell,
        need: Callable[[TokenUser, str], Need],
    ) -> None:
        """Every worker counts as able at first.

        `need` is asked just before a worker would be replaced for a token.
        """
        self._loop = loop
        self._tasks = tasks
        self._replace_one = replace
        self._tell = tell
        self._need = need
        self._blindness = Blindness()
        self._replacing = asyncio.Lock()

    def found_well(self, token: str, troubled: Sequence[TokenUser]) -> None:
        """The parent has found a token well, which these workers do not."""
        pids = self._blindness.found_well(token, [one.pid for one in troubled])
        blind = [one for one in troubled if one.pid in pids]
        if blind and not self._replacing.locked():  # else it is found again in half a second
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
        """The token works there, or the worker is gone."""
        self._blindness.forget_worker(process, token)

    def forget(self, token: str) -> None:
        """It was away: each worker that could not use it had a reason."""
        self._blindness.forget(token)
