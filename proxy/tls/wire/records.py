"""From the bytes of a new connection to the ClientHello: plaintext records, RFC 8446 section 5.1.

Theory of operation. Everything received is kept, in order, as `wire`: OpenSSL gets these very bytes
afterwards, also when we reject them, since its alert is the better one. A record is looked at when
it is complete. The reader remembers how many bytes that takes, so a byte that completes nothing
costs one comparison. Each byte is copied into `wire` once and into the message once. So the work is
linear however the hello was cut into records and segments, and the two limits bound the memory.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from struct import Struct
from typing import Final

from mypy_extensions import i64

from proxy.tls.wire.alerts import AlertDescription

HANDSHAKE: Final = 22
_CHANGE_CIPHER_SPEC: Final = 20
_ALERT: Final = 21
_APPLICATION_DATA: Final = 23
# change_cipher_spec, alert, handshake, application_data, heartbeat (RFC 6520): all that a TLS
# stream may begin with
_CONTENT_TYPES: Final = frozenset(range(20, 25))
_MAJOR_VERSION: Final = 3
RECORD_HEADER_BYTES: Final = 5
MESSAGE_HEADER_BYTES: Final = 4
_header: Final = Struct(">BBBH").unpack_from
# RFC 8446 section 5.1: TLSPlaintext.length MUST NOT exceed 2^14; section 5.2: 256 more for a
# protected record.
_PLAINTEXT_BYTES: Final = 1 << 14
_CIPHERTEXT_BYTES: Final = _PLAINTEXT_BYTES + 256
_CLIENT_HELLO: Final = 1


class HelloFailure(StrEnum):
    """Why a client's first bytes were rejected; the values are stable, for logs and metrics."""

    NOT_TLS = "not_tls"
    CLIENT_ALERT = "client_alert"
    UNEXPECTED_RECORD = "unexpected_record"
    EMPTY_RECORD = "empty_record"
    RECORD_TOO_LONG = "record_too_long"
    NOT_A_CLIENT_HELLO = "not_a_client_hello"
    BYTES_AFTER_HELLO = "bytes_after_hello"
    WIRE_LIMIT = "wire_limit"
    MESSAGE_LIMIT = "message_limit"
    MALFORMED = "malformed"
    DUPLICATE_EXTENSION = "duplicate_extension"
    MISSING_EXTENSION = "missing_extension"
    OLD_VERSION = "old_version"
    COMPRESSION = "compression"
    KEY_SHARE = "key_share"
    PRE_SHARED_KEY = "pre_shared_key"


def number_at(data: bytes, position: i64) -> i64:
    """The two bytes at a position. Raises `IndexError`.

    Compiled, this takes a tenth of `struct` and of `int.from_bytes`.
    """
    high: i64 = data[position]
    low: i64 = data[position + 1]
    return high << 8 | low


_A = AlertDescription
_ALERTS: Final = {
    HelloFailure.NOT_TLS: _A.UNEXPECTED_MESSAGE,
    # RFC 8446 section 6: after its alert the client reads no more; a closure alert reports no
    # fault.
    HelloFailure.CLIENT_ALERT: _A.CLOSE_NOTIFY,
    HelloFailure.UNEXPECTED_RECORD: _A.UNEXPECTED_MESSAGE,
    HelloFailure.EMPTY_RECORD: _A.UNEXPECTED_MESSAGE,
    HelloFailure.RECORD_TOO_LONG: _A.RECORD_OVERFLOW,
    HelloFailure.NOT_A_CLIENT_HELLO: _A.UNEXPECTED_MESSAGE,
    HelloFailure.BYTES_AFTER_HELLO: _A.UNEXPECTED_MESSAGE,
    HelloFailure.WIRE_LIMIT: _A.RECORD_OVERFLOW,
    HelloFailure.MESSAGE_LIMIT: _A.DECODE_ERROR,
    HelloFailure.MALFORMED: _A.DECODE_ERROR,
    HelloFailure.DUPLICATE_EXTENSION: _A.ILLEGAL_PARAMETER,
    HelloFailure.MISSING_EXTENSION: _A.MISSING_EXTENSION,
    HelloFailure.OLD_VERSION: _A.PROTOCOL_VERSION,
    HelloFailure.COMPRESSION: _A.ILLEGAL_PARAMETER,
    HelloFailure.KEY_SHARE: _A.ILLEGAL_PARAMETER,
    HelloFailure.PRE_SHARED_KEY: _A.ILLEGAL_PARAMETER,
}
_SENTENCES: Final = {
    HelloFailure.NOT_TLS: "the client does not speak TLS",
    HelloFailure.CLIENT_ALERT: "the client sent an alert instead of a ClientHello",
    HelloFailure.UNEXPECTED_RECORD: "a record of another type came instead of the ClientHello",
    HelloFailure.EMPTY_RECORD: "a handshake record is empty",
    HelloFailure.RECORD_TOO_LONG: "a record is longer than TLS allows",
    HelloFailure.NOT_A_CLIENT_HELLO: "the first handshake message is not a ClientHello",
    HelloFailure.BYTES_AFTER_HELLO: "the ClientHello does not end with its record",
    HelloFailure.WIRE_LIMIT: "the ClientHello and what is before it take too many bytes on the wire, headers of records included",
    HelloFailure.MESSAGE_LIMIT: "the ClientHello is too long, counted as a message without headers of records",
    HelloFailure.MALFORMED: "the ClientHello cannot be decoded",
    HelloFailure.DUPLICATE_EXTENSION: "an extension occurs twice",
    HelloFailure.MISSING_EXTENSION: "a mandatory extension is missing",
    HelloFailure.OLD_VERSION: "the client does not offer TLS 1.3",
    HelloFailure.COMPRESSION: "the client offers TLS 1.3 with compression",
    HelloFailure.KEY_SHARE: "a key share is repeated or of a group that the client does not list",
    HelloFailure.PRE_SHARED_KEY: "pre_shared_key is not the last extension, or its binders do not match its identities",
}


class HelloError(Exception):
    """The client's fault: what it sent is not an acceptable ClientHello.

    `reason` says which rule was broken and decides `alert`, the answer to send if OpenSSL has none
    of its own. `where` names the field or extension, `found` and `limit` are the numbers of a rule
    that has numbers.
    """

    def __init__(
        self, reason: HelloFailure, where: str = "", *, found: int | None = None, limit: int | None = None
    ) -> None:
        super().__init__(reason, where, found, limit)
        self.server_name: str | None = None
        """The name that a client asks for which is only too old."""
        self.reason = reason
        self.where = where
        self.found = found
        self.limit = limit

    @property
    def alert(self) -> AlertDescription:
        """The alert that RFC 8446 asks for."""
        return _ALERTS[self.reason]

    @property
    def is_not_tls(self) -> bool:
        """Whether the client speaks something else: plain HTTP, SSL 2.0, a port scanner's probe."""
        return self.reason is HelloFailure.NOT_TLS

    def __str__(self) -> str:
        sentence = _SENTENCES[self.reason]
        if self.where:
            sentence += f" ({self.where})"
        if self.found is not None:
            sentence += f": {self.found}"
        if self.limit is not None:
            sentence += f", at most {self.limit} allowed"
        return sentence


class ClientFlight(Enum):
    FIRST = auto()
    # RFC 8446 appendix D.4: a change_cipher_spec record comes before the second ClientHello;
    # section 4.2.10: so does early data that we refused, in records that we cannot read.
    AFTER_RETRY = auto()


@dataclass(frozen=True, slots=True)
class HelloLimits:
    """Limits of the second ClientHello, in bytes: of its message, and of the wire up to its end."""

    hello_bytes: int
    wire_bytes: int


class ClientHelloReader:
    """Collects one ClientHello. Feed what was received; it is complete when `message` is not None.

    `message_limit` bounds the handshake message with its header of 4 bytes, `wire_limit` the bytes
    on the wire up to its end: a hello in records of one byte takes six wire bytes for each. Both
    are security limits.
    """

    def __init__(self, message_limit: int, wire_limit: int, flight: ClientFlight = ClientFlight.FIRST) -> None:
        self._message_limit = message_limit
        self._wire_limit = wire_limit
        self._flight = flight
        self._wire: bytes | bytearray = b""
        self._record_start = 0  # where in the wire bytes the first record begins that was not taken yet
        self._awaited_bytes = 1  # wire bytes below which there is nothing new to decide
        self._fragments = bytearray()
        self._message_bytes = MESSAGE_HEADER_BYTES  # length of the message, as far as known
        self.message: bytes | None = None
        """The handshake message with its header, once it is complete."""

    @property
    def wire(self) -> bytes:
        """Everything received so far, rejected bytes and bytes behind the hello too.

        Copied when it came in pieces.
        """
        return bytes(self._wire)

    @property
    def wire_bytes(self) -> int:
        """The number of bytes received so far."""
        return len(self._wire)

    @property
    def rest(self) -> bytes:
        """The bytes behind the last record of a complete hello."""
        return bytes(self._wire[self._record_start :])

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take what the client sent; once the message is complete, further bytes are only added to
        `wire`.

        Raises `HelloError`, after which only `wire` is of use.
        """
        if not self._wire:
            self._wire = wire = bytes(data)  # a copy of a view, no copy of bytes
            if self._is_whole(wire):
                self.message = wire[RECORD_HEADER_BYTES:]
                self._record_start = len(wire)
        else:
            if isinstance(self._wire, bytes):
                self._wire = bytearray(self._wire)
            self._wire += data
        if self.message is None and len(self._wire) >= self._awaited_bytes:
            self._take_records()

    def _is_whole(self, wire: bytes) -> bool:
        """Whether the first segment is a whole hello in one record. Others take the long way."""
        size: i64 = len(wire)
        if size < RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES or size > self._wire_limit:
            return False
        message_bytes = size - RECORD_HEADER_BYTES
        # a message that fits a record has a length of 16 bits, so the first of its three bytes is 0
        return (
            wire[0] == HANDSHAKE
            and wire[1] == _MAJOR_VERSION
            and number_at(wire, 3) == message_bytes
            and message_bytes <= min(_PLAINTEXT_BYTES, self._message_limit)
            and wire[RECORD_HEADER_BYTES] == _CLIENT_HELLO
            and wire[RECORD_HEADER_BYTES + 1] == 0
            and number_at(wire, RECORD_HEADER_BYTES + 2) == message_bytes - MESSAGE_HEADER_BYTES
        )

    def _take_records(self) -> None:
        wire = self._wire
        start = self._record_start
        while self.message is None:
            if len(wire) - start < RECORD_HEADER_BYTES:
                self._check_beginning(start)
                self._awaited_bytes = len(wire) + 1
                break
            content_type, major, _, length = _header(wire, start)  # the minor version means nothing: section 5.1
            end = start + RECORD_HEADER_BYTES + length
            if major != _MAJOR_VERSION or content_type not in _CONTENT_TYPES:
                raise self._foreign_bytes(start)
            if end > self._wire_limit:
                raise HelloError(HelloFailure.WIRE_LIMIT, found=end, limit=self._wire_limit)
            self._check_record(content_type, length)
            if len(wire) < end:
                self._awaited_bytes = end
                break
            if content_type == HANDSHAKE:
                self._add_fragment(wire[start + RECORD_HEADER_BYTES : end])
            start = end
        self._record_start = start

    def _check_beginning(self, start: int) -> None:
        """Recognise another protocol by its first two bytes: its client may be waiting for us."""
        if start == 0 and (self._wire[0] not in _CONTENT_TYPES or self._wire[1:2] not in (b"", b"\x03")):
            raise self._foreign_bytes(start)

    def _foreign_bytes(self, start: int) -> HelloError:
        if start == 0 and self._flight is ClientFlight.FIRST:
            return HelloError(HelloFailure.NOT_TLS, f"first byte 0x{self._wire[0]:02x}")
        return HelloError(HelloFailure.UNEXPECTED_RECORD)

    def _check_record(self, content_type: int, length: int) -> None:
        """Apply RFC 8446 section 5.1 to a record header."""
        if content_type == HANDSHAKE:
            # "Implementations MUST NOT send zero-length fragments of Handshake types"
            if length == 0:
                raise HelloError(HelloFailure.EMPTY_RECORD)
            if length > _PLAINTEXT_BYTES:
                raise HelloError(HelloFailure.RECORD_TOO_LONG, found=length, limit=_PLAINTEXT_BYTES)
        elif content_type == _ALERT:
            raise HelloError(HelloFailure.CLIENT_ALERT)
        # "Handshake messages MUST NOT be interleaved with other record types"
        elif (
            self._fragments or self._flight is ClientFlight.FIRST or not _may_precede_second_hello(content_type, length)
        ):
            raise HelloError(HelloFailure.UNEXPECTED_RECORD, f"content type {content_type}")

    def _add_fragment(self, fragment: bytes | bytearray) -> None:
        message = self._fragments
        message += fragment
        if len(message) < self._message_bytes:
            return
        if self._message_bytes == MESSAGE_HEADER_BYTES:
            self._message_bytes = self._declared_bytes()
        # Section 5.1: a message before a key change ends with its record, and after a ClientHello
        # the keys may change.
        if len(message) > self._message_bytes:
            raise HelloError(HelloFailure.BYTES_AFTER_HELLO, found=len(message), limit=self._message_bytes)
        if len(message) == self._message_bytes:
            self.message = bytes(message)
            message.clear()

    def _declared_bytes(self) -> int:
        """Read the message's header: its type and its length, RFC 8446 section 4."""
        if self._fragments[0] != _CLIENT_HELLO:
            raise HelloError(HelloFailure.NOT_A_CLIENT_HELLO, f"handshake type {self._fragments[0]}")
        message_bytes = MESSAGE_HEADER_BYTES + int.from_bytes(self._fragments[1:MESSAGE_HEADER_BYTES])
        if message_bytes > self._message_limit:
            raise HelloError(HelloFailure.MESSAGE_LIMIT, found=message_bytes, limit=self._message_limit)
        return message_bytes


def _may_precede_second_hello(content_type: int, length: int) -> bool:
    """The records of `ClientFlight.AFTER_RETRY` beside the hello; OpenSSL judges them."""
    return (content_type == _CHANGE_CIPHER_SPEC and length == 1) or (
        content_type == _APPLICATION_DATA and 0 < length <= _CIPHERTEXT_BYTES
    )
