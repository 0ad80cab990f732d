"""The fleet of this node, as rotations see it.

The node that leads rotates what is shared: credentials whose keys are files. Every other node takes
what comes out of it. A key in a token never leaves it: each node rotates its own, one node at a
time. While the store of the fleet does not answer, no node asks an issuer for anything.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from certs.rotation.due import RenewalReason
from certs.rotation.parts import Parts
from certs.rotation.planning import Key
from certs.rotation.sharing import SharedEdition, Sharing


@dataclass(frozen=True, slots=True)
class Wish:
    """A rotation that an operator has asked for on any node. `id` is of one command."""

    id: str
    key: Key
    reason: RenewalReason
    insists: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a wish; `detail` says why it is not fulfilled."""

    is_fulfilled: bool
    detail: str = ""


class Fellows(Protocol):
    """Implemented by the membership. What waits for the store raises `NotShared`."""

    @property
    def may_issue(self) -> bool:
        """Whether this node leads, and the store answers."""

    @property
    def why_not(self) -> str:
        """Why this node does not issue, for operators: a clause."""

    @property
    def is_outside(self) -> bool:
        """Whether there is a fleet, and this node has not joined it."""

    @property
    def answers(self) -> bool:
        """Whether this node is a member, and the store answers."""

    def edition(self, key: Key) -> SharedEdition | None:
        """The newest edition that this node has heard of, None before the first one."""

    def is_known_outside(self, key: Key) -> bool:
        """Whether a node knew the key of that edition which was expelled since."""

    def sharing(self, key: Key, parts: Parts) -> Sharing:
        """For one rotation by this node, or an offer of what it serves."""

    async def share_authorities(self, parts: Parts) -> bool:
        """Take the internal CAs of the fleet or, if this node leads, let the others have them.
        Tells whether this node has taken something.
        """

    def turn(self, issuer: str, seconds: float) -> AbstractAsyncContextManager[bool]:
        """Whether this node may ask an issuer for a key in a token: not while another node does, as
        long as the block runs.
        """

    @property
    def wishes(self) -> Sequence[Wish]:
        """What has no answer yet, on all nodes; the one that leads fulfils it."""

    async def wish(self, wish: Wish, seconds: float) -> Answer:
        """Have the node that leads rotate, and wait for a new edition, or for an answer."""

    async def answer(self, wish: Wish, answer: Answer) -> None:
        """Tell the node that has asked what became of its wish."""
