"""The interfaces of the parent that a workforce uses."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from certs.tokens.token_use import TokenUse
from config.loading.loaded import LoadedConfig
from config.values.problems import Problem
from proxy.observe.events.event import Event
from proxy.processes.material import Material
from proxy.processes.messages.answers import WorkerFigures
from proxy.processes.messages.questions import Begin, KnownBeside, Prepare, ToldToken
from proxy.processes.privileges import ProcessAccount
from proxy.signing.breaker import BreakerState
from proxy.supervisor.workers.acceptance import Sockets
from proxy.supervisor.workers.process import WorkerProcess


class SlotHolder(Protocol):
    """The process that serves a slot: a `WorkerProcess`."""

    @property
    def slot(self) -> int: ...


class CountedWorker(Protocol):
    """A worker that has counted: a `WorkerProcess`."""

    @property
    def last(self) -> WorkerFigures | None: ...


class UsedTokens(Protocol):
    """What identities use of tokens."""

    @property
    def tokens(self) -> Sequence[TokenUse]: ...


class Served(Protocol):
    """What workers serve by: an `Edition`."""

    @property
    def number(self) -> int: ...

    @property
    def loaded(self) -> LoadedConfig: ...

    @property
    def material(self) -> Material: ...

    @property
    def account(self) -> ProcessAccount | None: ...

    @property
    def identities(self) -> UsedTokens: ...

    @property
    def worker_count(self) -> int: ...

    def question(
        self, unusable_tokens: Mapping[str, ToldToken], silent_slots: Collection[int], *, has_served: bool
    ) -> Prepare:
        """The question that asks a worker to prepare."""

    def located(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """Problems that a worker has found, each with its line of the file."""


class TokensKnown(Protocol):
    """The tokens: what workers are told about them, and what they report."""

    def closed(self, uses: Sequence[TokenUse]) -> dict[str, ToldToken]:
        """The condition of each token, for a worker that prepares."""

    @property
    def silent_slots(self) -> Collection[int]:
        """The slots of the module whose token does not answer."""

    def keys_missing(self, worker: WorkerProcess, token: str, keys: frozenset[str]) -> None:
        """A worker misses exactly these keys, by their URIs, in a token that works."""

    @property
    def refused(self) -> Sequence[str]:
        """The tokens to which no process logs in."""


class WorkforceOwner(Sockets, Protocol):
    """The part of the parent that a workforce uses."""

    def known(self) -> KnownBeside:
        """What a worker must know beside its edition: this changes between editions."""

    def beginning(self, worker: WorkerProcess) -> tuple[Begin, Sequence[int]]:
        """The first question to a new worker, with descriptors. The owner keeps these open."""

    @property
    def tokens(self) -> TokensKnown: ...

    def breaker_changed(self, worker: WorkerProcess, token: str, state: BreakerState) -> None:
        """The breaker of a worker for a token has changed."""

    def tell(self, event: Event) -> None:
        """Log something about a worker."""

    def worker_gone(self, worker: WorkerProcess) -> None:
        """A worker has ended. Its `last` figures are the final ones."""
