"""Session ticket keys: derived from one secret, separate for every identity and policy.

OpenSSL 3.5 resumes a ticket on any context that holds the same key, even if it was made under
another name or group list. CPython 3.13 overrides the session id context that should tell them
apart. So only the *key* separates tickets: it is derived from what a ticket must stay bound to (the
identity, the listener's policy). Every process that holds the secret derives the same keys, so a
ticket of one worker resumes on its siblings.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TICKET_KEY_BYTES: Final = 80
"""OpenSSL's key for tickets: a name of 16 bytes, 32 bytes for HMAC, 32 bytes for AES."""
# The first bytes of a ticket, in the clear: OpenSSL's name of the key that sealed it.
KEY_NAME_BYTES: Final = 16
SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class TicketSecrets:
    """The secret that seals new tickets, and the one before it, which still opens older tickets.

    `following` opens tickets of a node whose clock is ahead, and which seals by it already.
    """

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)
    following: bytes | None = field(default=None, repr=False)

    @property
    def all(self) -> tuple[bytes, ...]:
        return tuple(one for one in (self.current, self.previous, self.following) if one is not None)

    @classmethod
    def fresh(cls) -> "TicketSecrets":
        """A new secret without a predecessor."""
        return cls(secrets.token_bytes(SECRET_BYTES))

    def rotated(self, new: bytes) -> "TicketSecrets":
        """Seal by `new` from now on, and accept the tickets of the current secret, but none before
        it.
        """
        return TicketSecrets(new, self.current)


def quic_key(secret: bytes) -> bytes:
    """Derive the key of QUIC's address tokens and stateless resets, 32 bytes, as `ticket_key`."""
    return HKDF(algorithm=hashes.SHA256(), length=SECRET_BYTES, salt=None, info=b"plexigate quic").derive(secret)


def ticket_key(secret: bytes, identity: str, policy: str) -> bytes:
    """Derive the 80-byte key of OpenSSL's tickets (name, HMAC key, AES key) by HKDF-SHA256 (RFC
    5869).

    `policy` is everything that a resumption must not cross besides the identity: listener, group
    list, cipher suites.
    """
    info = b"plexigate tls ticket\x00" + identity.encode() + b"\x00" + policy.encode()
    return HKDF(algorithm=hashes.SHA256(), length=TICKET_KEY_BYTES, salt=None, info=info).derive(secret)
