"""How a kind of thing that nodes share is told to the `Member`.

Theory of operation. A value in the store has a name, a content (what JSON can hold) and a serial
number, which grows with each writing as that of a zone of DNS does. The member does the same for
all kinds: it opens a value by the key of the fleet, refuses one that is older than the one before,
puts what is new on the disk, and only then hands it to its kind. A node that starts hands over what
is on its disk, so that a kind serves without the store.

The leader asks each kind what is due, and writes it: sealed, with its fencing token, and only if
the store still has the values that this node has taken. It also writes again what the store has
lost, or what others have spoilt.

To add a kind, write one file in `kinds/` with a class that has the methods below, and put an object
of it into the list that the `Member` is made with.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from certs.sealing.files import SealedFileUnusable
from proxy.supervisor.membership.shared import Conflict, SharedAway


class NotAMember(Exception):
    """This node has no key of the fleet."""

    def __str__(self) -> str:
        return (
            "this node has not joined its fleet: run plexigate fleet invite on a member, and plexigate fleet join here"
        )


NOT_WRITTEN: Final = (NotAMember, SharedAway, Conflict, SealedFileUnusable, OSError)
"""What `FleetNode.write` raises: a node first keeps on its disk what it has heard of."""


class FleetNode(Protocol):
    """What a kind may ask of its node. The `Member` is one."""

    @property
    def name(self) -> str: ...

    @property
    def is_leading(self) -> bool:
        """While the store does not answer, no node knows. What a leader writes by `due` or
        `as_leader` is refused as soon as another node leads.
        """

    @property
    def connected(self) -> asyncio.Event:
        """Set while this node hears of changes, and knows what the store had before."""

    @property
    def members(self) -> Sequence[str]:
        """The names of all nodes that have joined, as far as this node has heard."""

    def wake(self) -> None:
        """Ask all kinds soon what is due, if this node leads."""

    def abstain(self, seconds: float) -> None:
        """Leave the lead to another node: until one has taken it, or for so long."""

    async def write(
        self, contents: Mapping[str, object | None], *, as_leader: bool = False, lasts_seconds: int | None = None
    ) -> None:
        """Write all of it, or nothing. None removes. Any member may, with the names that are its
        own. What is written disappears after `lasts_seconds`.

        Raises `NOT_WRITTEN`: `Conflict` if another node has written one of these names meanwhile,
        or leads. The kind hears of what was written by `take`, as all nodes do.
        """


class SharedKind(Protocol):
    """One kind of thing that nodes share. No method but `run` waits for anything."""

    @property
    def prefix(self) -> str:
        """The name of its one value; or, with "/" at the end, how the names of its values begin."""

    @property
    def is_kept(self) -> bool:
        """Whether its values are on the disk of each node before they are used. Such a value goes
        only when a node removes it by None: that it is missing in the store says nothing.

        Else (shares of a limit, challenges) it is in no file, and goes when the store has it no
        more. Few and small values may be kept: each change writes all of them.
        """

    def parse(self, name: str, content: Any) -> Any:
        """The content of a value as this kind uses it.

        Raises `ValueError`, `KeyError` or `TypeError` for what a node of this fleet does not write:
        then nothing of it is used, and the leader writes again what it knows.
        """

    def take(self, changed: Mapping[str, Any]) -> None:
        """Use these values from now on: what `parse` has made of each, or None for one that is
        gone. At the start these are all of them.
        """

    def due(self, now: float, epoch: int) -> Mapping[str, object | None]:
        """What the leader is to write now, as one, as `write`; at most 100 values and 1 MB. Empty
        if nothing is due. It is asked each second or so, and the same again until it is taken.

        After an epoch, an expelled node knows all that was shared: a content with secrets says in
        which epoch they were made, and those of a lower one are due to be replaced.
        """

    async def run(self, node: FleetNode) -> None:
        """Work beside all this for as long as the node runs, such as by timers. It may end."""
