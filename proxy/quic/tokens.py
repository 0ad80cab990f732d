"""Address tokens (RFC 9000 section 8.1): a client that has one was at its address before. Pure.

A token is readable and authentic. That of a Retry packet is good for a few seconds, and carries the
connection ID that the client had made up. That of NEW_TOKEN is good for a day, for the client's
next connection. Each is good for one address, without its port, which NATs change. A token that is
good for nothing still shows how the client has got it, in its first bytes.
"""

import hmac
from dataclasses import dataclass
from typing import Final

_RETRY: Final = 1
_NEW: Final = 2
_RETRY_SECONDS: Final = 10
_NEW_SECONDS: Final = 86_400
_MAC_BYTES: Final = 16
_TIME_BYTES: Final = 8
_HEAD_BYTES: Final = 1 + _TIME_BYTES
# No time of ours fills the first bytes of its eight: a token of NEW_TOKEN that another server has
# given out at this address, before this one, does not begin so.
_BEGIN_OF_RETRY: Final = bytes([_RETRY, 0, 0, 0])


@dataclass(frozen=True, slots=True)
class KnownAddress:
    """What a valid token says."""

    token: bytes
    original_id: bytes | None
    """The ID that the client had made up, before our Retry. None for a token of NEW_TOKEN."""


UNKNOWN_ADDRESS: Final = KnownAddress(b"", None)
"""Of a client that has shown no valid token."""


def retry_token(key: bytes, address: bytes, original_id: bytes, retry_id: bytes, now: float) -> bytes:
    """For the Initial packet that follows a Retry with `retry_id`; `now` is UNIX seconds."""
    body = bytes([_RETRY]) + int(now).to_bytes(_TIME_BYTES) + original_id
    return body + _mac(key, body, address + retry_id)


def is_of_retry(token: bytes) -> bool:
    """Whether a token that may be invalid has come with a Retry packet, by what it says itself."""
    return token.startswith(_BEGIN_OF_RETRY)


def reset_key(key: bytes, local: bytes) -> bytes:
    """The key of the stateless resets from a local address and port.

    A listener at another address has the same secret, and does not know the connections of this
    one. With one key for both it would give their resets to anyone who sees a connection ID (RFC
    9000 section 21.11).
    """
    return hmac.digest(key, b"stateless reset" + local, "sha256")


def new_token(key: bytes, address: bytes, now: float) -> bytes:
    body = bytes([_NEW]) + int(now).to_bytes(_TIME_BYTES)
    return body + _mac(key, body, address)


def known_address(
    keys: tuple[bytes, ...], token: bytes, address: bytes, used_id: bytes, now: float
) -> KnownAddress | None:
    """What a token proves of a client at `address`, sent to the ID `used_id`; None if nothing."""
    if len(token) < _HEAD_BYTES + _MAC_BYTES:
        return None
    body = token[:-_MAC_BYTES]
    mac = token[-_MAC_BYTES:]
    is_retry = body[0] == _RETRY
    bound = address + used_id if is_retry else address
    age = now - int.from_bytes(body[1:_HEAD_BYTES])
    if not -_RETRY_SECONDS <= age <= (_RETRY_SECONDS if is_retry else _NEW_SECONDS):
        return None
    if not any(hmac.compare_digest(mac, _mac(key, body, bound)) for key in keys):
        return None
    return KnownAddress(token, body[_HEAD_BYTES:] if is_retry else None)


def _mac(key: bytes, body: bytes, bound: bytes) -> bytes:
    return hmac.digest(key, len(body).to_bytes(2) + body + bound, "sha256")[:_MAC_BYTES]
