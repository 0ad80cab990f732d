"""The names of keys in a token: a label states identity, kind and version.

CKA_LABEL is `IDENTITY.KIND.vVERSION`, such as `chat.ecdsa-p256.v3`: user, kind and version number.
It needs no escapes in an RFC 7512 URI (`object=chat.ecdsa-p256.v3`) and sorts by identity. An
identity may contain dots, so a label is parsed from its end.

CKA_ID is 16 bytes, for the private key, the public key and any certificate beside it:

    byte 0      0x50, "P": made by this scheme
    byte 1      0x01, the scheme's version
    bytes 2-3   zero
    bytes 4-7   the key's version, big-endian
    bytes 8-15  the first 8 bytes of SHA-256 of `IDENTITY.KIND`

So the keys of one identity and kind differ only in bytes 4-7. An id that does not fit its label
shows that the key was renamed (`TokenKeyName.fits`). The keys of one identity on several tokens
have the same names.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from certs.hsm.key_kinds import KeyKind

_SCHEME: Final = b"P\x01\x00\x00"
_IDENTITY: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,38}[A-Za-z0-9])?")
_KINDS: Final = frozenset(kind.value for kind in KeyKind)
_LABEL: Final = re.compile(r"(.+)\.([a-z0-9-]+)\.v([1-9][0-9]{0,8})")

ALLOWED_IDENTITY: Final = (
    "1 to 40 ASCII letters, digits, points, hyphens and underscores, a letter or digit at both ends"
)
"""Tokens keep labels of 32 characters at least, most of them 255; the longest of ours has 62."""


class IdentityUnusable(ValueError):
    """A name that cannot be the identity in a label."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"found the identity {self.found[:60]!r}; allowed: {ALLOWED_IDENTITY}"


@dataclass(frozen=True, slots=True, order=True)
class TokenKeyName:
    """The name of a key.

    Raises IdentityUnusable, or ValueError for a version outside of 1 to 999,999,999.
    """

    identity: str
    kind: KeyKind
    version: int

    def __post_init__(self) -> None:
        if not _IDENTITY.fullmatch(self.identity):
            raise IdentityUnusable(self.identity)
        if not 1 <= self.version <= 999_999_999:
            raise ValueError(f"found the version {self.version}; allowed: 1 to 999999999")

    @classmethod
    def parse(cls, label: str) -> Self | None:
        """The name in a label; None for a label of another scheme."""
        parts = _LABEL.fullmatch(label)
        if parts is None or not _IDENTITY.fullmatch(parts[1]) or parts[2] not in _KINDS:
            return None
        return cls(parts[1], KeyKind(parts[2]), int(parts[3]))

    @property
    def label(self) -> str:
        """Its CKA_LABEL."""
        return f"{self.identity}.{self.kind}.v{self.version}"

    @property
    def id(self) -> bytes:
        """Its CKA_ID, 16 bytes."""
        series = hashlib.sha256(f"{self.identity}.{self.kind}".encode()).digest()[:8]
        return _SCHEME + self.version.to_bytes(4, "big") + series

    def fits(self, key_id: bytes) -> bool:
        """Whether a key of this label has the id that belongs to it."""
        return key_id == self.id

    def __str__(self) -> str:
        return self.label


def next_version(identity: str, kind: KeyKind, labels: Iterable[str]) -> TokenKeyName:
    """The name of the next key of an identity and kind, where these labels are taken, or were.

    Gaps stay: a version never comes again.
    """
    names = (TokenKeyName.parse(label) for label in labels)
    used = [name.version for name in names if name is not None and (name.identity, name.kind) == (identity, kind)]
    return TokenKeyName(identity, kind, max(used, default=0) + 1)
