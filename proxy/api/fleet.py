"""Answers to commands about the fleet, and what the doctor asks its store. Pure."""

from typing import TypedDict


class FleetNodeRow(TypedDict):
    """A node that has joined, or (`since` is None) asks to.

    `key` is the id of its public key: what operators compare. Empty if it cannot be read. `by` is
    the node that let it in.
    """

    node: str
    key: str
    since: float | None
    by: str


class FleetMemberRow(FleetNodeRow):
    """A member, and what it says of itself: None before it has said something."""

    alive: bool
    version: str | None
    schema: int | None
    """In which it can write: all nodes write in the lowest one."""
    configuration: str | None
    """The digest of what it serves by, in hexadecimal."""
    differs: bool
    """Whether that is another one than the leader has, or without a leader this node."""
    log_fault: str | None
    """How its audit log did not go on from where it was; None if it did."""


class FleetDocument(TypedDict):
    """`GET /fleet`. Times are UNIX seconds."""

    node: str
    key: str
    """The id of the public key of this node."""
    epoch: int | None
    """Number of the key of the fleet; None if this node has not joined."""
    is_expelled: bool
    """Whether another node has expelled this one: its epoch is the last that it was a member in."""
    leader: str | None
    is_leading: bool
    revision: int
    fault: str | None
    """Why the store cannot be used."""
    tickets_until: float | None
    """When the last session ticket key that is planned begins."""
    skew: float | None
    """By how many seconds the clock of this node is ahead of that of the store."""
    members: list[FleetMemberRow]
    requests: list[FleetNodeRow]
    recoverable: list[str]
    """The members whose recovery shares open the fleet by what the store has."""


class ExpelDocument(TypedDict):
    """`POST /fleet/expel`."""

    node: str
    epoch: int
    """Number of the key that the fleet has instead."""
    required: list[str]
    """What clients trust and the node knows, so that an operator has to replace it: sentences."""


class InvitationDocument(TypedDict):
    """`POST /fleet/invite`."""

    token: str
    seconds: int
    """So long it can be used."""


class JoinDocument(TypedDict):
    """`POST /fleet/join`."""

    node: str
    key: str


class FleetLeadDocument(TypedDict):
    """`POST /fleet/leader`."""

    node: str
    """The one that was asked."""
    leader: str | None


class FleetReloadRow(TypedDict):
    """A node in a reload of the fleet. `fault` is why it could not; None if it has reloaded, or if
    it could have.
    """

    node: str
    fault: str | None


class FleetReloadDocument(TypedDict):
    """`POST /fleet/reload`."""

    ok: bool
    """Whether all have reloaded."""
    committed: bool
    """Whether all could, and were told to. Else nothing has changed."""
    configuration: str
    """The digest of what was offered, in hexadecimal."""
    nodes: list[FleetReloadRow]


class EtcdMemberRow(TypedDict):
    """One address of `fleet.etcd`. `fault` is why it does not answer; then the others are empty."""

    endpoint: str
    fault: str | None
    version: str
    has_leader: bool
    alarms: list[str]
    """Such as NOSPACE: etcd takes no writes then."""


class FleetTrialDocument(TypedDict):
    """What a node may do in its store. A fault is None if it can."""

    endpoints: list[EtcdMemberRow]
    members: int | None
    """Of the cluster of etcd. None if it does not say."""
    read_fault: str | None
    write_fault: str | None
    own_fault: str | None
    """Why it cannot write below its own name."""
    is_confined: bool | None
    """Whether it cannot write below the name of another node. None without `fleet.user`."""
    skew: float | None
