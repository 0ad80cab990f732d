"""The place of a message: method, host, target, direction, key, and the message it answers. Pure.

Fernet authenticates only its content. So a bound message carries a hash of its place in the content
of each token. The side that opens the token makes the same hash of the place where it found it.
"""

import hashlib
from enum import StrEnum
from typing import Final, NamedTuple

DIGEST_BYTES: Final = 32
ID_BYTES: Final = 16
_LABEL: Final = b"plexigate payload binding 1"


class Direction(StrEnum):
    REQUEST = "request"
    RESPONSE = "response"


class BoundExchange(NamedTuple):
    """The exchange that a message belongs to; octets as they are in the request."""

    method: bytes
    host: bytes
    """Lower-case, without port."""
    target: bytes
    """In origin-form, with its query."""
    key: bytes
    """Name of the ring, or the ticket of the session."""

    def digest(self, direction: Direction, answers: bytes = b"") -> bytes:
        """The hash that tokens carry. No part of the place can pass for another one.

        `answers` is the id of the request's message, in a response.
        """
        parts = (_LABEL, direction.value.encode(), self.method, self.host, self.target, self.key, answers)
        return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()
