"""The parts of workers and of the workforce that the parent's tokens use."""

from collections.abc import Sequence
from typing import Protocol

from proxy.processes.messages.answers import Done
from proxy.processes.messages.questions import Question
from proxy.supervisor.workers.contracts import SlotHolder


class TokenUser(SlotHolder, Protocol):
    """A worker that signs with keys of tokens: a `WorkerProcess`."""

    @property
    def pid(self) -> int: ...

    @property
    def is_alive(self) -> bool: ...

    @property
    def is_retiring(self) -> bool:
        """Whether it was asked to drain and to end."""


class TokenUsers(Protocol):
    """The workers: a `Workforce`."""

    @property
    def workers(self) -> Sequence[TokenUser]: ...

    async def tell_all(self, order: Question[Done]) -> None: ...

    async def replace(self, worker: TokenUser) -> None:
        """Give a worker's slot to a new one, and drain the old one."""
