"""The facts that a token states about itself and its keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from certs.hsm.key_names import TokenKeyName
from config.values.problems import printable

# CK_TOKEN_INFO.flags (PKCS#11 3.1, table 6)
_LOGIN_REQUIRED: Final = 0x0000_0004
_INITIALIZED: Final = 0x0000_0400
_COUNT_LOW: Final = 0x0001_0000
_FINAL_TRY: Final = 0x0002_0000
_LOCKED: Final = 0x0004_0000
_FLAGS: Final = {
    0x0000_0001: "rng",
    0x0000_0002: "write-protected",
    _LOGIN_REQUIRED: "login-required",
    0x0000_0008: "user-pin-initialized",
    0x0000_0100: "protected-authentication-path",
    _INITIALIZED: "initialized",
    _COUNT_LOW: "user-pin-count-low",
    _FINAL_TRY: "user-pin-final-try",
    _LOCKED: "user-pin-locked",
    0x0008_0000: "user-pin-to-be-changed",
    0x0040_0000: "so-pin-locked",
}


class PinState(StrEnum):
    """What a token says about its PIN before a login."""

    FINE = "fine"
    COUNT_LOW = "count-low"
    """A wrong PIN was given since the last login (CKF_USER_PIN_COUNT_LOW)."""
    FINAL_TRY = "final-try"
    """The next wrong one locks it (CKF_USER_PIN_FINAL_TRY)."""
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """A token. `sessions` are those that this module counts; a count or limit is None where the
    token does not say it.
    """

    slot: int
    label: str
    serial: str
    model: str
    manufacturer: str
    flags: int
    sessions: int | None
    session_limit: int | None
    """Also None if there is none."""
    mechanisms: tuple[str, ...]
    """Those of `key_kinds.MECHANISMS_THAT_MATTER` that it has."""
    fault: str = ""
    """What it answered instead of all this, a CKR_ name; empty for one that answers."""

    @classmethod
    def of_broken(cls, slot: int, fault: str) -> Self:
        """A token that does not describe itself."""
        return cls(slot, "", "", "", "", 0, None, None, (), fault)

    @property
    def is_initialized(self) -> bool:
        """Whether it was ever set up; one that was not has neither keys nor a PIN."""
        return bool(self.flags & _INITIALIZED)

    @property
    def pin_state(self) -> PinState:
        if self.flags & _LOCKED:
            return PinState.LOCKED
        if self.flags & _FINAL_TRY:
            return PinState.FINAL_TRY
        return PinState.COUNT_LOW if self.flags & _COUNT_LOW else PinState.FINE

    @property
    def flag_names(self) -> tuple[str, ...]:
        """Its flags that have a meaning here, in words."""
        return tuple(name for flag, name in _FLAGS.items() if self.flags & flag)

    def __str__(self) -> str:
        return printable(f"{self.label} (serial {self.serial or 'unknown'}, slot {self.slot})")

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` made, after it went over the pipe."""
        return cls(**{**document, "mechanisms": tuple(document["mechanisms"])})


class KeyClass(StrEnum):
    PRIVATE = "private"
    SECRET = "secret"  # noqa: S105 - the standard's name of symmetric keys
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A key object. A property that the token does not tell is None."""

    label: str
    id: bytes
    key_class: KeyClass
    kind: str
    """A `KeyKind`, or what the token calls it, such as `rsa-2048`."""
    size: int | None
    """Bits; the parameter set of ML-DSA."""
    is_sensitive: bool | None
    is_extractable: bool | None
    was_always_sensitive: bool | None
    was_never_extractable: bool | None
    is_local: bool | None
    """Whether it was made in the token."""
    uses: tuple[str, ...]
    """What it may be used for: sign, sign_recover, decrypt, unwrap, derive, encrypt, wrap,
    verify.
    """

    @property
    def is_sign_only(self) -> bool:
        return self.uses == ("sign",)

    @property
    def is_sealed_in(self) -> bool:
        """Whether the token never shows it, and never did."""
        return (self.is_sensitive, self.is_extractable) == (True, False)

    @property
    def name(self) -> TokenKeyName | None:
        """Its name by the scheme of `key_names`, if label and id both follow it."""
        name = TokenKeyName.parse(self.label)
        return name if name is not None and name.fits(self.id) else None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` made, after it went over the pipe."""
        rest = {"key_class": KeyClass(document["key_class"]), "uses": tuple(document["uses"])}
        return cls(**{**document, **rest})


@dataclass(frozen=True, slots=True)
class KeyAddress:
    """Which key: by label, id or both.

    Raises ValueError when neither is given: that would be some key.
    """

    label: str | None = None
    id: bytes | None = None

    def __post_init__(self) -> None:
        if self.label is None and self.id is None:
            raise ValueError("a key needs a label or an id")

    @classmethod
    def of(cls, name: TokenKeyName) -> Self:
        return cls(name.label, name.id)

    def __str__(self) -> str:
        parts = [
            f'label "{self.label}"' if self.label is not None else "",
            f"id {self.id.hex()}" if self.id is not None else "",
        ]
        return " and ".join(part for part in parts if part)
