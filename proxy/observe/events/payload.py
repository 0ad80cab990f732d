"""Events of the keys for payload encryption. Pure."""

from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class PayloadKeyRotated(Event):
    """All workers encrypt with a new key of a ring."""

    event = "payload_key_rotated"
    level = Level.INFORMATION

    ring: str
    """Name of the ring."""
    version: int
    """Version of the new key."""

    def sentence(self) -> str:
        return f"payload ring {self.ring}: key {self.version} encrypts from now on"


@dataclass(frozen=True, slots=True)
class PayloadKeyRetired(Event):
    """`plexigate payload retire` retired a key of a ring. Messages of this key are refused."""

    event = "payload_key_retired"
    level = Level.INFORMATION

    ring: str
    """Name of the ring."""
    version: int
    """Version of the key."""

    def sentence(self) -> str:
        return f"payload ring {self.ring}: key {self.version} retired"


@dataclass(frozen=True, slots=True)
class PayloadKeyRevoked(Event):
    """`plexigate payload revoke` revoked a key of a ring. Messages of this key are refused at
    once."""

    event = "payload_key_revoked"
    level = Level.INFORMATION

    ring: str
    """Name of the ring."""
    version: int
    """Version of the key."""

    def sentence(self) -> str:
        return f"payload ring {self.ring}: key {self.version} revoked"


@dataclass(frozen=True, slots=True)
class PayloadRotationFailed(Event):
    """The key of a ring is due for rotation, and it could not be rotated. The previous key stays in
    use; it is tried again.

    Check `detail`: the disk of the state directory, or the sealing key.
    """

    event = "payload_rotation_failed"
    level = Level.WARNING

    ring: str
    """Name of the ring."""
    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"payload ring {self.ring} could not be rotated: {self.detail}"


@dataclass(frozen=True, slots=True)
class PayloadRingExported(Event):
    """The keys of a ring were exported through the admin socket (`plexigate payload export`).

    If you did not do it, another user can open the admin socket: revoke the keys of the ring.
    """

    event = "payload_ring_exported"
    level = Level.WARNING

    ring: str
    """Name of the ring."""

    def sentence(self) -> str:
        return f"payload ring {self.ring}: its keys were exported"
