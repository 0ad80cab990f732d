"""The bytes on the wire of a handshake: a ClientHello cut small, and what the server answered.

Pure. The answer is read from the records, so a HelloRetryRequest is seen as such and not inferred.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxy.tls.wire.records import HANDSHAKE, RECORD_HEADER_BYTES, number_at
from proxy.tls.wire.server_hello import ServerFlightError, ServerHello, parse_server_flight

_CHANGE_CIPHER_SPEC: Final = 20
_CONTENT_TYPES: Final = frozenset({_CHANGE_CIPHER_SPEC, 21, HANDSHAKE, 23})
_MAJOR_VERSION: Final = 3


@dataclass(frozen=True, slots=True)
class ServerHellos:
    """What the server's plaintext says: a HelloRetryRequest, if one came, and the ServerHello."""

    retry: ServerHello | None
    hello: ServerHello | None


def server_hellos(wire: bytes) -> ServerHellos:
    """Read all that a server sent, from its first byte. What is not there yet is None."""
    first = _hello(wire)
    if first is None or not first.is_retry:
        return ServerHellos(None, first)
    return ServerHellos(first, _hello(_without_change_of_cipher(wire[first.wire_length :])))


def is_tls(wire: bytes) -> bool:
    """Whether the first bytes of a server can be a record of TLS."""
    return wire[0] in _CONTENT_TYPES and wire[1:2] in (b"", bytes([_MAJOR_VERSION]))


def in_small_records(flight: bytes, octets: int) -> bytes:
    """Cut a flight of one record into records of `octets` at most (RFC 8446 section 5.1)."""
    header = flight[:3]
    message = flight[RECORD_HEADER_BYTES:]
    return b"".join(header + len(part).to_bytes(2, "big") + part for part in pieces(message, octets))


def pieces(data: bytes, octets: int) -> Iterator[bytes]:
    """The data in pieces of `octets` at most."""
    return (data[start : start + octets] for start in range(0, len(data), octets))


def _hello(wire: bytes) -> ServerHello | None:
    try:
        return parse_server_flight(wire)
    except ServerFlightError:
        return None


def _without_change_of_cipher(wire: bytes) -> bytes:
    """Skip the records that a server sends behind its HelloRetryRequest for middleboxes (RFC 8446
    appendix D.4).
    """
    while len(wire) >= RECORD_HEADER_BYTES and wire[0] == _CHANGE_CIPHER_SPEC:
        wire = wire[RECORD_HEADER_BYTES + number_at(wire, 3) :]
    return wire
