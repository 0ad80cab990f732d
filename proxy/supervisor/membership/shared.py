"""What a fleet needs of a store outside of its nodes. Pure.

A single node needs none of this. Its state are files, each sealed and replaced as a whole, in
directories that it has locked: there is no other writer, and no leader to find.

Names are relative to the place of the fleet in the store. Revisions number all changes of the
store, from 1 on.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

LEADER: Final = "leader"
"""The name under which the store keeps which node leads."""


class SharedAway(Exception):
    """The store does not answer, or not as it should; the text is a clause without secrets. Whether
    a change that was asked for was made is not known then.
    """


class Conflict(Exception):
    """Another node has written meanwhile, or leads. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A value, and the revision that wrote it."""

    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class StoreContent:
    """Everything at one revision; `now` is the time by the clock of the store, in UNIX seconds."""

    entries: Mapping[str, Stored]
    revision: int
    now: float


@dataclass(frozen=True, slots=True)
class StoreChange:
    """A name that was written, or removed (None)."""

    name: str
    stored: Stored | None
    revision: int


class Leadership(Protocol):
    """One node leads until this is over; no other one does before."""

    @property
    def token(self) -> int:
        """For `commit`: it is refused as soon as another node leads, however late it comes."""

    async def keep(self) -> bool:
        """Lead for longer; whether this node still leads. Raises `SharedAway`."""

    async def give_up(self) -> None:
        """Let another node lead at once, if the store answers; else a moment later."""


class Shared(Protocol):
    """The store of a fleet. Every method may raise `SharedAway`."""

    async def close(self) -> None: ...

    async def read(self) -> StoreContent: ...

    async def time(self) -> float:
        """The time by the clock of the store, in UNIX seconds."""

    def watch(self, revision: int) -> AsyncGenerator[Sequence[StoreChange]]:
        """All changes from this revision on, each once, in their order; it ends by raising
        `SharedAway`, also if changes of that time are forgotten.
        """

    async def commit(
        self,
        compares: Mapping[str, int],
        writes: Mapping[str, bytes | None],
        token: int | None = None,
        lasts_seconds: int | None = None,
    ) -> None:
        """Write all of it, or nothing and raise `Conflict`.

        It is written if each name of `compares` has that revision still (0: it is not there), and
        if the node with this `token` leads. None removes a name. What is written disappears after
        `lasts_seconds`.
        """

    async def lead(self, name: str) -> Leadership | None:
        """Lead for `LEASE_SECONDS`, and longer if it is kept. None if another node leads."""


LEASE_SECONDS: Final = 4
"""So long after its death a leader is missed. etcd answers a second late while it elects its own
leader, and none of our nodes should lose its lead by that.
"""
