"""The names of what a fleet has in its store, and what is stored under them. Pure."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, TypedDict

from config.values.kinds import NAME
from proxy.supervisor.membership.shared import LEADER, Stored

EPOCHS: Final = "epochs/"
FOUNDED: Final = "epochs/1"
"""Where it is, there is a fleet. Its own key has sealed it. Who lets a node in, or expels one,
writes it again, so that no two do so at once.
"""
MEMBERS: Final = "members/"
INVITATIONS: Final = "invitations/"
REQUESTS: Final = "requests/"
WELCOMES: Final = "welcomes/"
RECOVERY: Final = "recovery/"
"""Below it and the number of an epoch, the key of that, for the recovery shares of each node."""
NODES: Final = "nodes/"
"""Below it, each node alone writes below its own name."""
CERTIFICATES: Final = "certificates/"
"""Below it, each credential that nodes serve by, with its key if that is in a file."""
ROTATIONS: Final = "rotations/"
"""Below it, each key that a leader has made and has no certificate for yet."""
AUTHORITIES: Final = "authorities/"
"""Below it, each internal CA."""
SESSION_IDENTITY: Final = "payload/identity"
ORDERS: Final = "orders/"
MAINTENANCE_ORDERS: Final = ORDERS + "maintenance/"
DRAIN_ORDERS: Final = ORDERS + "drain/"

Order = Callable[[str, object | None], Awaitable[None]]
"""Orders something on all nodes of the fleet, by its name and content; None takes it back."""


def maintenance_order(route: str) -> str:
    return MAINTENANCE_ORDERS + route


def drain_order(upstream: str, server: str) -> str:
    return f"{DRAIN_ORDERS}{upstream}/{server}"


def nodes_of(prefix: str, names: Iterable[str]) -> list[str]:
    """The nodes that the store has below a prefix. Others than nodes may have written there: what
    could not be the name of a node is left out, and never shown to a terminal.
    """
    found = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return [node for node in found if re.fullmatch(NAME, node)]


def leader_of(entries: Mapping[str, Stored]) -> str | None:
    """The node that leads, by what the store has."""
    stored = entries.get(LEADER)
    return next(iter(nodes_of("", [] if stored is None else [stored.value.decode(errors="replace")])), None)


def recovery_place(epoch: int, node: str) -> str:
    return f"{RECOVERY}{epoch}/{node}"


class MemberRow(TypedDict):
    """What the store has about a member: its public key in PEM, since when it is one (UNIX
    seconds), and which node let it in; that is empty for the founder.
    """

    public: str
    since: float
    by: str


class InvitationRow(TypedDict):
    """An invitation: its secret in hexadecimal, and when it ends, in UNIX seconds."""

    secret: str
    ends: float
