"""The ServerHello or HelloRetryRequest, RFC 8446 sections 4.1.3 and 4.1.4, read back from what OpenSSL is about to send.

This is where the negotiated group is learnt: it is never inferred from what was offered. The input is our own OpenSSL's, so a
flight that does not decode is a defect of ours, not of a peer.
"""

from struct import Struct
from struct import error as struct_error
from typing import Final, NamedTuple

from proxy.tls.records import HANDSHAKE, MESSAGE_HEADER_BYTES, RECORD_HEADER_BYTES

_SERVER_HELLO: Final = 2
# Section 4.1.3: SHA-256 of "HelloRetryRequest" as random makes a ServerHello a HelloRetryRequest.
_RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
# Where the fixed fields begin: after the header, legacy_version; then random; then the length of legacy_session_id_echo.
_RANDOM: Final = MESSAGE_HEADER_BYTES + 2
_SESSION_ID: Final = _RANDOM + 32
_CIPHER_SUITE_AND_COMPRESSION: Final = 3
_EXTENSION_HEADER_BYTES: Final = 4
_PRE_SHARED_KEY: Final = 41
_KEY_SHARE: Final = 51
_record: Final = Struct(">B2xH").unpack_from
_length: Final = Struct(">H").unpack_from
_type_and_length: Final = Struct(">HH").unpack_from


class ServerFlightError(Exception):
    """What OpenSSL wrote does not begin with a whole ServerHello; `flight` holds its first bytes, public ones by nature."""

    def __init__(self, flight: bytes) -> None:
        """Remember the beginning, enough to recognise what it is instead."""
        super().__init__(flight)
        self.flight = flight[: RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES]

    def __str__(self) -> str:
        """One sentence with the first bytes."""
        return f"the server's flight does not begin with a ServerHello but with {self.flight.hex(' ') or 'nothing'}"


class ServerHello(NamedTuple):
    """What the server settled."""

    is_retry: bool
    """Whether this is a HelloRetryRequest: `group` is then the one asked for."""
    group: int | None
    """The code point of the key exchange; None when a pre-shared key is used alone."""
    cipher_suite: int
    psk_selected: bool
    """Whether the handshake resumes a session: one of the client's pre-shared keys was taken."""
    wire_length: int
    """How many bytes of the flight it takes, record headers included."""


def parse_server_flight(flight: bytes) -> ServerHello:
    """Decode the ServerHello that `flight`, the bytes OpenSSL wrote in one step, begins with.

    Raises `ServerFlightError` for anything else, an alert or an encrypted record for instance.
    """
    try:
        message, wire_length = _first_message(flight)
        if message[0] != _SERVER_HELLO:
            raise ServerFlightError(flight)
        session_id_end = _SESSION_ID + 1 + message[_SESSION_ID]
        (cipher_suite,) = _length(message, session_id_end)
        extensions = _extensions(message, session_id_end + _CIPHER_SUITE_AND_COMPRESSION)
    except (struct_error, IndexError) as error:
        raise ServerFlightError(flight) from error
    key_share = extensions.get(_KEY_SHARE)
    return ServerHello(
        is_retry=message[_RANDOM:_SESSION_ID] == _RETRY_RANDOM,
        # Section 4.2.8: the group comes first, alone in a HelloRetryRequest, before its key in a ServerHello.
        group=None if key_share is None else int.from_bytes(key_share[:2]),
        cipher_suite=cipher_suite,
        psk_selected=_PRE_SHARED_KEY in extensions,
        wire_length=wire_length,
    )


def _first_message(flight: bytes) -> tuple[bytes, int]:
    """Join the handshake records until they hold a message: a client's max_fragment_length may have cut a hybrid share."""
    message, position, needed = b"", 0, MESSAGE_HEADER_BYTES
    while len(message) < needed:
        content_type, length = _record(flight, position)
        start = position + RECORD_HEADER_BYTES
        position = start + length
        if content_type != HANDSHAKE or position > len(flight):
            raise ServerFlightError(flight)
        message += flight[start:position]
        if len(message) >= MESSAGE_HEADER_BYTES:
            needed = MESSAGE_HEADER_BYTES + int.from_bytes(message[1:MESSAGE_HEADER_BYTES])
    return message[:needed], position


def _extensions(message: bytes, start: int) -> dict[int, bytes]:
    (length,) = _length(message, start)
    position, end = start + 2, start + 2 + length
    extensions: dict[int, bytes] = {}
    while position < end:
        extension_type, length = _type_and_length(message, position)
        position += _EXTENSION_HEADER_BYTES + length
        extensions[extension_type] = message[position - length : position]
    return extensions
