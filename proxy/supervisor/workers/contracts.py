"""What a fleet needs of the parent around it."""

from collections.abc import Sequence
from typing import Protocol

from certs.tokens.token_use import TokenUse
from proxy.observe.events.event import Event
from proxy.processes.messages.questions import Begin, KnownBeside, ToldToken
from proxy.signing.breaker import BreakerState
from proxy.supervisor.workers.acceptance import Sockets
from proxy.supervisor.workers.process import WorkerProcess


class SlotHolder(Protocol):
    """Whoever serves a slot: a `WorkerProcess`."""

    @property
    def slot(self) -> int:
        """Its number."""


class TokensKnown(Protocol):
    """What workers are told of tokens, and what they say of them."""

    def closed(self, uses: Sequence[TokenUse]) -> dict[str, ToldToken]:
        """What a worker is told before it prepares, by token."""

    def keys_missing(self, worker: WorkerProcess, token: str, keys: frozenset[str]) -> None:
        """A worker misses exactly these keys, by their URIs, in a token that works."""

    @property
    def refused(self) -> Sequence[str]:
        """The tokens to which no process logs in."""


class FleetOwner(Sockets, Protocol):
    """What a fleet needs of the parent around it."""

    def known(self) -> KnownBeside:
        """What a worker has to know beside its edition, as it changes between two."""

    def beginning(self, worker: WorkerProcess) -> tuple[Begin, Sequence[int]]:
        """What a new worker is told first, with descriptors that stay the owner's."""

    @property
    def tokens(self) -> TokensKnown:
        """What is known about tokens."""

    def breaker_changed(self, worker: WorkerProcess, token: str, state: BreakerState) -> None:
        """A worker trusts a token more, or less, than before."""

    def tell(self, event: Event) -> None:
        """Log something about a worker."""

    def worker_gone(self, worker: WorkerProcess) -> None:
        """A process that was begun is gone; its `last` figures are all there is."""
