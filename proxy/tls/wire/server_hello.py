"""The ServerHello or HelloRetryRequest (RFC 8446 sections 4.1.3, 4.1.4) in what OpenSSL sends.

This is where the negotiated group is learnt: it is never inferred from what was offered. The input
comes from our own OpenSSL, so a flight that does not decode is our defect, not a peer's.
"""

from dataclasses import dataclass
from typing import Final

from proxy.tls.wire.records import HANDSHAKE, MESSAGE_HEADER_BYTES, RECORD_HEADER_BYTES, number_at

_SERVER_HELLO: Final = 2
# Section 4.1.3: SHA-256 of "HelloRetryRequest" as random makes a ServerHello a HelloRetryRequest.
_RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
# Where the fixed fields begin: after the header, legacy_version; then random; then the length of
# legacy_session_id_echo.
_RANDOM: Final = MESSAGE_HEADER_BYTES + 2
_SESSION_ID: Final = _RANDOM + 32
_SUITE_COMPRESSION_LENGTH_BYTES: Final = 5
_EXTENSION_HEADER_BYTES: Final = 4
_PRE_SHARED_KEY: Final = 41
_KEY_SHARE: Final = 51


class ServerFlightError(Exception):
    """OpenSSL wrote something that does not begin with a whole ServerHello.

    `flight` holds its first bytes, which are public.
    """

    def __init__(self, flight: bytes) -> None:
        """Keep the beginning, enough to recognise what it is instead."""
        super().__init__(flight)
        self.flight = flight[: RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES]

    def __str__(self) -> str:
        return f"the server's flight does not begin with a ServerHello but with {self.flight.hex(' ') or 'nothing'}"


@dataclass(slots=True, init=False)
class ServerHello:
    is_retry: bool
    """Whether this is a HelloRetryRequest: `group` is then the one asked for."""
    group: int | None
    """The code point of the key exchange; None when a pre-shared key is used alone."""
    cipher_suite: int
    psk_selected: bool
    """Whether the handshake resumes a session: one of the client's pre-shared keys was taken."""
    wire_length: int
    """How many bytes of the flight it takes, record headers included."""

    # written out: the interpreter runs that of a dataclass and that of a NamedTuple
    def __init__(
        self,
        *,
        is_retry: bool,
        group: int | None,
        cipher_suite: int,
        psk_selected: bool,
        wire_length: int,
    ) -> None:
        self.is_retry = is_retry
        self.group = group
        self.cipher_suite = cipher_suite
        self.psk_selected = psk_selected
        self.wire_length = wire_length


def parse_server_flight(flight: bytes) -> ServerHello:
    """Decode the ServerHello that `flight`, the bytes OpenSSL wrote in one step, begins with.

    Raises `ServerFlightError` for anything else, an alert or an encrypted record for instance.
    """
    try:
        message, start, wire_length = _message(flight)
        session_id_end = start + _SESSION_ID + 1 + message[start + _SESSION_ID]
        cipher_suite = number_at(message, session_id_end)
        position = session_id_end + _SUITE_COMPRESSION_LENGTH_BYTES
        end = position + number_at(message, position - 2)
        group: int | None = None
        psk_selected = False
        while position < end:
            extension_type = number_at(message, position)
            length = number_at(message, position + 2)
            position += _EXTENSION_HEADER_BYTES
            if extension_type == _KEY_SHARE:
                # Section 4.2.8: the group comes first, alone in a HelloRetryRequest, before its key
                # in a ServerHello.
                group = number_at(message, position)
            elif extension_type == _PRE_SHARED_KEY:
                psk_selected = True
            position += length
    except IndexError as error:
        raise ServerFlightError(flight) from error
    is_retry = message.startswith(_RETRY_RANDOM, start + _RANDOM)
    return ServerHello(
        is_retry=is_retry,
        group=group,
        cipher_suite=cipher_suite,
        psk_selected=psk_selected,
        wire_length=wire_length,
    )


def _message(flight: bytes) -> tuple[bytes, int, int]:
    """Find the ServerHello: its bytes, its start in them, and the length of its records."""
    wire_length = RECORD_HEADER_BYTES + number_at(flight, 3)
    start = RECORD_HEADER_BYTES
    message_end = start + MESSAGE_HEADER_BYTES + (flight[start + 1] << 16 | number_at(flight, start + 2))
    message = flight
    if flight[0] != HANDSHAKE or message_end != wire_length or wire_length > len(flight):
        message, wire_length = _first_message(flight)  # in records of another kind than the usual one
        start = 0
    if message[start] != _SERVER_HELLO:
        raise ServerFlightError(flight)
    return message, start, wire_length


def _first_message(flight: bytes) -> tuple[bytes, int]:
    """Join the handshake records until they hold a message.

    A client's max_fragment_length may have cut a hybrid share.
    """
    message = b""
    position = 0
    needed = MESSAGE_HEADER_BYTES
    while len(message) < needed:
        content_type = flight[position]
        start = position + RECORD_HEADER_BYTES
        position = start + number_at(flight, position + 3)
        if content_type != HANDSHAKE or position > len(flight):
            raise ServerFlightError(flight)
        message += flight[start:position]
        if len(message) >= MESSAGE_HEADER_BYTES:
            needed = MESSAGE_HEADER_BYTES + int.from_bytes(message[1:MESSAGE_HEADER_BYTES])
    return message[:needed], position
