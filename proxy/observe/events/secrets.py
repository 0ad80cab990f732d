"""Events of secrets that the parent keeps: session ticket keys, sealed keys, and those of a fleet.
Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class TicketsRotated(Event):
    """All workers seal session tickets with a new key. Tickets of the key before are still
    accepted."""

    event = "tickets_rotated"
    level = Level.INFORMATION

    def sentence(self) -> str:
        return "session ticket keys rotated"


@dataclass(frozen=True, slots=True)
class TicketRotationFailed(Event):
    """The session ticket key could not be replaced. The previous key stays in use, and the parent
    tries again.

    If it repeats, look at `detail`: an old ticket key weakens forward secrecy of resumed
    connections.
    """

    event = "ticket_rotation_failed"
    level = Level.WARNING

    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"session ticket keys could not be rotated: {self.detail}"


@dataclass(frozen=True, slots=True)
class TicketsNotKept(Event):
    """The session ticket key is in use but could not be stored. After a restart no client can
    resume its session.

    Check the key and the directory of `[sealing]`.
    """

    event = "tickets_not_kept"
    level = Level.WARNING

    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"session ticket keys could not be stored, sessions end with this process: {self.detail}"


@dataclass(frozen=True, slots=True)
class Unsealed(Event):
    """The sealing key is available again, and the keys that it sealed are open. Their identities
    are served."""

    event = "unsealed"
    level = Level.INFORMATION

    identities: Sequence[str]
    """Identities that are served now."""

    def sentence(self) -> str:
        return f"the sealing key is available: the keys of {', '.join(self.identities)} are open"


@dataclass(frozen=True, slots=True)
class SealingRenewed(Event):
    """Keys below the sealing key were rotated or destroyed, files were sealed again, or a sealing
    key that was replaced opens nothing any more."""

    event = "sealing_renewed"
    level = Level.INFORMATION

    done: Sequence[str]
    """What was done."""

    def sentence(self) -> str:
        return f"what is sealed was renewed: {'; '.join(self.done)}"


@dataclass(frozen=True, slots=True)
class SealingNotRenewed(Event):
    """Keys below the sealing key are due, or files need retired keys, and that could not be
    changed. The parent tries again. Written once for each reason.

    Correct what `detail` says: the token of the sealing key, the disk, or the owner of a file. Run
    `plexigate hsm keys --reseal` as the owner of files that Plexigate may not write.
    """

    event = "sealing_not_renewed"
    level = Level.WARNING

    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"what is sealed could not be renewed, the parent tries again: {self.detail}"


@dataclass(frozen=True, slots=True)
class NotUnsealed(Event):
    """Sealed keys could not be opened: handshakes of their identities fail. The parent tries again.
    Written once for each reason.

    Check the token of the sealing key: `plexigate hsm list`.
    """

    event = "not_unsealed"
    level = Level.ACTION

    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"sealed keys cannot be opened, the parent tries again: {self.detail}"


@dataclass(frozen=True, slots=True)
class FleetJoined(Event):
    """This node has the key of its fleet, and serves by what the fleet shares."""

    event = "fleet_joined"
    level = Level.INFORMATION

    node: str
    """This node."""
    epoch: int
    """Number of the fleet's key."""

    def sentence(self) -> str:
        return f"{self.node} has joined its fleet, epoch {self.epoch}"


@dataclass(frozen=True, slots=True)
class FleetRekeyed(Event):
    """The fleet has another key, because a node was expelled; this node has taken it.

    The expelled node can still write into etcd, until its user or its certificate is withdrawn.
    """

    event = "fleet_rekeyed"
    level = Level.WARNING

    epoch: int
    """Number of the fleet's key."""
    expelled: str
    """The node that has no part in it any more."""
    by: str
    """The node on which that was ordered."""

    def sentence(self) -> str:
        return f"{self.expelled} was expelled from the fleet by {self.by}: its key is of epoch {self.epoch} now"


@dataclass(frozen=True, slots=True)
class FleetLed(Event):
    """This node leads its fleet: it plans the session ticket keys of all nodes."""

    event = "fleet_led"
    level = Level.INFORMATION

    node: str
    """This node."""

    def sentence(self) -> str:
        return f"{self.node} leads its fleet"


@dataclass(frozen=True, slots=True)
class FleetAway(Event):
    """The store of the fleet, or something in it, cannot be used. The node serves by what it has,
    and tries again. Written once for each reason.

    Check etcd, and the network to it. Session ticket keys are planned a day ahead.
    """

    event = "fleet_away"
    level = Level.WARNING

    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"the store of the fleet cannot be used, the node serves by what it has: {self.detail}"


@dataclass(frozen=True, slots=True)
class FleetBack(Event):
    """The store of the fleet can be used again."""

    event = "fleet_back"
    level = Level.INFORMATION

    def sentence(self) -> str:
        return "the store of the fleet can be used again"


@dataclass(frozen=True, slots=True)
class FleetNodeAlive(Event):
    """A node of the fleet is there: it started, or it reaches the store again."""

    event = "fleet_node_alive"
    level = Level.INFORMATION

    node: str
    """Which one."""

    def sentence(self) -> str:
        return f"{self.node} is there"


@dataclass(frozen=True, slots=True)
class FleetNodeGone(Event):
    """A node of the fleet has ended, or has not reached the store for 90 s.

    If it was not meant to end, look at its log, and at the network between it and etcd.
    """

    event = "fleet_node_gone"
    level = Level.WARNING

    node: str
    """Which one."""

    def sentence(self) -> str:
        return f"{self.node} is gone, or does not reach the store"


@dataclass(frozen=True, slots=True)
class FleetConfigurationSeen(Event):
    """A node of the fleet serves by another configuration than before."""

    event = "fleet_configuration_seen"
    level = Level.INFORMATION

    node: str
    """Which one."""
    sha256: str
    """Digest of what all nodes should have alike, in hexadecimal."""

    def sentence(self) -> str:
        return f"{self.node} serves by configuration {self.sha256[:12]}"


@dataclass(frozen=True, slots=True)
class FleetLogBroken(Event):
    """The audit log of a node of the fleet does not go on from where it was.

    An operator has begun another one, or the file was changed. Compare it with a copy, and with its
    checkpoints in the journal: `plexigate audit verify`.
    """

    event = "fleet_log_broken"
    level = Level.ACTION

    node: str
    """Which one."""
    detail: str
    """What is not as before."""

    def sentence(self) -> str:
        return f"the audit log of {self.node} does not go on from where it was: {self.detail}"
