"""How many records without data a peer may send. Pure.

These are KeyUpdates, empty records, session tickets and warnings. Such a record costs its sender 23
to 27 bytes. A KeyUpdate costs us 12 microseconds, thirteen times as much as a byte of data in a
record of its own. So the records are counted one by one, by their headers on the wire. Their length
says nothing: padding (RFC 8446 section 5.4) makes a record of any kind as long as its sender likes.
A record that carries data never counts against its sender.

Empty records also hide when a user speaks (section 5.1), and long connections renew their keys. So
the count goes down with time, and with data.
"""

from typing import Final

from mypy_extensions import i64, mypyc_attr

# All at once: 6 ms of KeyUpdates, after which the connection ends.
RECORDS_WITHOUT_DATA: Final = 512
# Cover traffic is some records in a second. As KeyUpdates they cost a five-thousandth of a core.
FORGIVEN_PER_SECOND: Final = 16.0
# An upload with an empty record before each full one is odd, and no flood.
DATA_BYTES_PER_RECORD: Final = 1_024
_MINUTE: Final = 60.0
# Record header 5, handshake header 4, request 1, content type 1, tag 16.
_KEY_UPDATE_WIRE_BYTES: Final = 27
# RFC 8446 section 5.1: type, version, length
_HEADER_BYTES: Final = 5


@mypyc_attr(native_class=False)
class RecordFlood(OSError):
    """The peer kept the connection busy with records that carry no data."""

    def __init__(self, what: str) -> None:
        super().__init__(f"too many {what}")


class RecordTally:
    """Counts the records in a stream of bytes, and charges the sender for those without data.

    The stream begins with a record. The charge goes down with time.
    """

    def __init__(self) -> None:
        self._header = b""
        """The header that came in part."""
        self._rest = 0
        """Bytes of a record that have not come yet."""
        self.begun = 0
        """Bytes of that record that came last."""
        self._charged = 0.0
        self._charged_at = 0.0

    def receive_data(self, data: bytes | memoryview) -> int:
        """Answer how many records end in `data`."""
        if self.is_one(data):
            return 1
        return self._walk(self._header + bytes(data) if self._header else data)

    @property
    def rest(self) -> int:
        """How many bytes are missing of the record that has begun; 0 if that is not known."""
        return self._rest

    @property
    def missing(self) -> int:
        """How many bytes are missing of the record that has begun, or of its header."""
        return self._rest or _HEADER_BYTES - len(self._header)

    def is_one(self, data: bytes | memoryview) -> bool:
        """Whether `data` is one record that came alone and whole, as nearly all do."""
        size: i64 = len(data)
        if self._rest or self._header or size <= _HEADER_BYTES:
            return False
        high: i64 = data[3]
        low: i64 = data[4]
        return size == _HEADER_BYTES + (high << 8 | low)

    def _walk(self, data: bytes | memoryview) -> int:
        size = len(data)
        start = 0
        position = self._rest
        self._header = b""
        ended = 1 if 0 < position <= size else 0
        while size - position >= _HEADER_BYTES:
            start = position
            position += _HEADER_BYTES + (data[position + 3] << 8 | data[position + 4])
            ended += position <= size
        self._rest = max(0, position - size)
        self.begun = size - start if self._rest else 0
        if position < size:
            self._header = bytes(data[position:])
        return ended

    def is_flood(self, silent: int, data_bytes: int, now: float) -> bool:
        """Charge the sender with `silent` records; whether it is too much now.

        They came together with `data_bytes` of data.
        """
        forgiven = (now - self._charged_at) * FORGIVEN_PER_SECOND + data_bytes / DATA_BYTES_PER_RECORD
        self._charged = max(0.0, self._charged - forgiven) + silent
        self._charged_at = now
        return self._charged > RECORDS_WITHOUT_DATA


class KeyUpdateTally:
    """Counts the new keys that a peer asks for, by our answers (RFC 8446 section 4.6.3)."""

    def __init__(self) -> None:
        self.count = 0
        self._minute_ends = 0.0

    def answered(self, answer_bytes: int, now: float) -> None:
        """`answer_bytes` answer the peer."""
        if now >= self._minute_ends:
            self._minute_ends = now + _MINUTE
            self.count = 0
        self.count += max(1, answer_bytes // _KEY_UPDATE_WIRE_BYTES)
