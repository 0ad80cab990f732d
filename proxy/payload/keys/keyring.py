"""A ring of keys with versions: one encrypts, several decrypt, and old ones are remembered. Pure.

Theory of operation. A new key is `PENDING` until every process of the proxy can read it. Only then
does it become `ACTIVE`, so every process knows the key of each message that it meets.

The key before it becomes `VALID`: it decrypts, and it encrypts answers to clients that have no
newer key. After `overlap` newer keys it becomes `RETIRED`. Then its encrypting half is deleted, and
the rest can only tell that a message was made under it. `REVOKED` is the same end for a key that is
compromised: it comes at once, from any state but `ACTIVE`.

A secret is opaque here: a Fernet key (its first half signs), or the private key of a KEM.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypedDict

SECRET_BYTES: Final = 32
SIGNING_BYTES: Final = 16
# The number of ended keys that are remembered. A client that uses one is told "retired" and not
# only "invalid"; no client lags further behind.
_REMEMBERED: Final = 8


class PayloadKeyState(StrEnum):
    PENDING = "pending"
    """Decrypts; does not encrypt yet."""
    ACTIVE = "active"
    VALID = "valid"
    RETIRED = "retired"
    REVOKED = "revoked"

    @property
    def decrypts(self) -> bool:
        """Whether messages under it are accepted."""
        return self in {PayloadKeyState.PENDING, PayloadKeyState.ACTIVE, PayloadKeyState.VALID}


class RingKeyRow(TypedDict):
    """A key without its secret. Times are in UNIX seconds."""

    version: int
    state: str
    created: float
    ended: float | None
    uses: int
    """Messages that were encrypted with it."""


class RingKeySecret(RingKeyRow):
    secret: str


class RingSecrets(TypedDict):
    name: str
    keys: list[RingKeySecret]
    variant: str


class NoSuchKey(Exception):
    """The ring does not have the version, or its key is in the wrong state for this."""

    def __init__(self, ring: str, version: int, found: str) -> None:
        super().__init__(ring, version, found)
        self.ring = ring
        self.version = version
        self.found = found

    def __str__(self) -> str:
        return f'key {self.version} of ring "{self.ring}" {self.found}'


class RingNotChanged(Exception):
    """A fleet has not taken a change of a ring; a sentence."""


@dataclass(frozen=True, slots=True)
class RingKey:
    """One key. Times are UNIX seconds; `uses` counts the messages encrypted with it."""

    version: int
    state: PayloadKeyState
    created: float
    secret: bytes = field(repr=False)
    """After its end this is the half that signs, or empty."""
    uses: int = 0
    ended: float | None = None


LEAST_SHARE: Final = 1 / 24
"""This share of the age at which a key is replaced must pass before its quota replaces it."""


@dataclass(frozen=True, slots=True)
class RingPolicy:
    """When a ring rotates, and how many keys before the active one stay valid."""

    rotate_seconds: float
    quota: int
    overlap: int


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of one ring, the newest first; there is always an active one."""

    name: str
    keys: tuple[RingKey, ...]
    variant: str = ""
    """The variant of the algorithm of the secrets, if the name does not say it."""

    @classmethod
    def fresh(cls, name: str, secret: bytes, now: float, variant: str = "") -> "Keyring":
        """A ring with its first key."""
        return cls(name, (RingKey(1, PayloadKeyState.ACTIVE, now, secret),), variant)

    def restarted(self, secret: bytes, now: float, variant: str) -> "Keyring":
        """Go on with a first key of another variant of the algorithm, and retire all keys before.

        They are of no use to the other variant.
        """
        version = max(key.version for key in self.keys) + 1
        ended = (_ended(key, PayloadKeyState.RETIRED, now) if key.state.decrypts else key for key in self.keys)
        return Keyring(self.name, _forgetting([RingKey(version, PayloadKeyState.ACTIVE, now, secret), *ended]), variant)

    @property
    def active(self) -> RingKey:
        return next(key for key in self.keys if key.state is PayloadKeyState.ACTIVE)

    @property
    def readable(self) -> tuple[RingKey, ...]:
        """The keys that decrypt, in the order to try them: the active one, then the newest."""
        active = self.active
        return (active, *(key for key in self.keys if key.state.decrypts and key is not active))

    @property
    def ended(self) -> tuple[RingKey, ...]:
        """The keys that are only remembered."""
        return tuple(key for key in self.keys if not key.state.decrypts)

    def is_due(self, policy: RingPolicy, now: float) -> bool:
        """Whether the active key has reached its age, or its quota and a share of that age.

        A client that knows the name of a ring can make the proxy encrypt. The share keeps it from
        retiring the keys of all other clients in this way.
        """
        age = now - self.active.created
        return age >= policy.rotate_seconds or (
            self.active.uses >= policy.quota and age >= policy.rotate_seconds * LEAST_SHARE
        )

    def with_pending(self, secret: bytes, now: float) -> "Keyring":
        """Add a pending key, which every process learns to read before it is used.

        A key that was pending before is given up.
        """
        version = max(key.version for key in self.keys) + 1
        kept = tuple(key for key in self.keys if key.state is not PayloadKeyState.PENDING)
        return replace(self, keys=(RingKey(version, PayloadKeyState.PENDING, now, secret), *kept))

    def activated(self, policy: RingPolicy, now: float) -> "Keyring":
        """Encrypt with the pending key from now on, and retire what is older than the overlap."""
        keys = []
        older = 0
        for key in self.keys:
            match key.state:
                case PayloadKeyState.PENDING:
                    keys.append(replace(key, state=PayloadKeyState.ACTIVE, created=now))
                case PayloadKeyState.ACTIVE | PayloadKeyState.VALID:
                    older += 1
                    is_kept = older <= policy.overlap
                    keys.append(
                        replace(key, state=PayloadKeyState.VALID)
                        if is_kept
                        else _ended(key, PayloadKeyState.RETIRED, now)
                    )
                case _:
                    keys.append(key)
        return replace(self, keys=_forgetting(keys))

    def retired(self, version: int, now: float) -> "Keyring":
        """End a key that is not needed. Raises `NoSuchKey`, also for the one that encrypts."""
        return self._with_ended(version, PayloadKeyState.RETIRED, now)

    def revoked(self, version: int, now: float) -> "Keyring":
        """End a compromised key; rotate first if it is active. Raises `NoSuchKey`."""
        return self._with_ended(version, PayloadKeyState.REVOKED, now)

    def _with_ended(self, version: int, state: PayloadKeyState, now: float) -> "Keyring":
        found = self.find(version)
        if found.state is PayloadKeyState.ACTIVE:
            raise NoSuchKey(self.name, version, "is the active one: rotate first")
        if found.state in {state, PayloadKeyState.REVOKED}:
            raise NoSuchKey(self.name, version, f"is {found.state.value} already")
        keys = [_ended(key, state, now) if key is found else key for key in self.keys]
        return replace(self, keys=_forgetting(keys))

    def find(self, version: int) -> RingKey:
        """The key of a version. Raises `NoSuchKey`."""
        for key in self.keys:
            if key.version == version:
                return key
        raise NoSuchKey(self.name, version, "does not exist")

    def counted(self, uses: Mapping[int, int]) -> "Keyring":
        """Add messages that were encrypted, by version."""
        keys = tuple(replace(key, uses=key.uses + uses.get(key.version, 0)) for key in self.keys)
        return replace(self, keys=keys)

    def as_json(self) -> RingSecrets:
        """Everything, with the secrets: for the sealed file and for the workers."""
        keys: list[RingKeySecret] = [{**_shown(key), "secret": key.secret.hex()} for key in self.keys]
        return {"name": self.name, "keys": keys, "variant": self.variant}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Keyring":
        """What `as_json` wrote. Raises `KeyError`, `TypeError` or `ValueError` otherwise."""
        keys: Sequence[Mapping[str, Any]] = document["keys"]
        ring = cls(
            document["name"],
            tuple(
                RingKey(
                    int(key["version"]),
                    PayloadKeyState(key["state"]),
                    float(key["created"]),
                    bytes.fromhex(key["secret"]),
                    int(key["uses"]),
                    None if key["ended"] is None else float(key["ended"]),
                )
                for key in keys
            ),
            str(document.get("variant", "")),
        )
        if sum(key.state is PayloadKeyState.ACTIVE for key in ring.keys) != 1:
            raise ValueError("a ring without exactly one active key")
        return ring

    def facts(self) -> list[RingKeyRow]:
        """What may be shown of the keys: no secret."""
        return [_shown(key) for key in self.keys]


def _shown(key: RingKey) -> RingKeyRow:
    return {
        "version": key.version,
        "state": key.state.value,
        "created": key.created,
        "ended": key.ended,
        "uses": key.uses,
    }


def _ended(key: RingKey, state: PayloadKeyState, now: float) -> RingKey:
    return replace(key, state=state, ended=now, secret=ending(key.secret))


def ending(secret: bytes) -> bytes:
    """What is kept of the secret of a key that ends: nothing that decrypts."""
    # a KEM's private key has no half that only tells: nothing of it is kept
    return secret[:SIGNING_BYTES] if len(secret) in {SECRET_BYTES, SIGNING_BYTES} else b""


def _forgetting(keys: Sequence[RingKey]) -> tuple[RingKey, ...]:
    """Keep the newest of those that have ended."""
    ended = sorted((key for key in keys if not key.state.decrypts), key=lambda key: -key.version)[_REMEMBERED:]
    return tuple(key for key in keys if key not in ended)
