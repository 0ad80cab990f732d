"""An established TLS connection over a `SocketStream`.

Theory of operation. The `driver` of the loop encrypts and decrypts, one call for each turn, and
holds no byte of a connection between two calls. Reading has two phases, decrypt everything, then
deliver. A step in a thread uses a driver of its own there. At its end the object leaves that one,
and the driver of the loop adopts it before it continues.

The end of the TCP stream needs no word to OpenSSL: either a close_notify has been seen by then, or
the stream was truncated.

Session tickets go out with the first data that is written, in one segment, and not right behind the
handshake: they are a ninth of its cost, and a client that asks for nothing gets none. Tickets that
are made already are records like others: they go out before any other record.

Each direction has its state (RFC 8446 section 6.1: to end one has no effect on the other):

    incoming   what the peer does                     what follows
    ---------  -------------------------------------  -----------------------------------
    OPEN       it may send                            ENDED, TRUNCATED
    ENDED      it has sent a close_notify             -
    TRUNCATED  it ended TCP without a close_notify    -

    outgoing   what we do                             what follows
    ---------  -------------------------------------  -----------------------------------
    OPEN       we may send                            ENDING, ENDED, OVER
    ENDING     a close_notify goes behind what waits  ENDED, OVER
    ENDED      our close_notify is sent               OVER
    OVER       the connection ends: nothing is sent   -
               any more, and nothing is decrypted
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from proxy.net.byte_stream import NO_OWNER, ByteOwner, PlaintextOwner, StreamOwner
from proxy.net.sockets import SocketStream
from proxy.tls.openssl.driver import TlsDriver
from proxy.tls.openssl.tls_object import TlsObject
from proxy.tls.wire.record_flood import KeyUpdateTally, RecordFlood, RecordTally
from proxy.tls.wire.waiting_data import RECORD_BYTES, RECORD_WIRE_BYTES, SEND_BYTES, WaitingData

# Zeros are no record. There are as many as the longest record has with its header (RFC 8446 section
# 5.2), so they also fill up one that has begun.
_NO_RECORD: Final = bytes(5 + 16_384 + 256)
# Three records are one send of 48 KiB to a server. Four do not fit into one segment of the loopback
# interface (65,483 bytes): their send costs up to twice as much for a byte.
_TURN_BYTES: Final = 3 * RECORD_BYTES
_TURN_WIRE_BYTES: Final = 3 * RECORD_WIRE_BYTES
# Turns behind one report of the kernel, while no other connection has something: to wait for the
# next report takes as long as a fifth of a turn. Records that hold little take longer, and get one.
_MOST_TURNS: Final = 4
# A client of HTTP/2 may put the rest of a frame into a short record behind each full one.
_READS: Final = 6


@dataclass(frozen=True, slots=True)
class TlsLimits:
    """Limits of one established connection, each from the configuration."""

    key_updates_per_minute: int


class _Incoming(Enum):
    OPEN = auto()
    ENDED = auto()
    TRUNCATED = auto()


class _Outgoing(Enum):
    OPEN = auto()
    ENDING = auto()
    ENDED = auto()
    OVER = auto()


# for each segment: a member of an enum takes a look-up by name
_PEER_MAY_SEND: Final = _Incoming.OPEN
_OVER: Final = _Outgoing.OVER


class TlsStream(StreamOwner[memoryview]):
    """Encrypts and decrypts between an owner and a `SocketStream`, which it owns."""

    owner: PlaintextOwner

    def __init__(
        self,
        raw: SocketStream,
        tls: TlsObject,
        driver: TlsDriver,
        limits: TlsLimits,
        clock: Callable[[], float],
        *,
        tickets: int | bytes = 0,
    ) -> None:
        """Take over `raw` after a finished handshake of `tls`, with both BIOs empty.

        Set `owner` before the loop turns. `tickets` is how many the peer gets, or their records.
        """
        self.raw = raw
        self._tls = tls
        self._driver = driver
        self._limits = limits
        self._clock = clock
        self._incoming = _Incoming.OPEN
        self._outgoing = _Outgoing.OPEN
        self.reads_on = False
        """Whether a turn takes several full records: of a body that a server takes."""
        self._waiting: WaitingData | None = None
        self.records: Final = RecordTally()  # public for the one who gave `tls` more than the handshake
        self._silent = 0  # of the records that were read last, those without data
        self._tickets = tickets if isinstance(tickets, int) else 0
        self._sealed_tickets = tickets if isinstance(tickets, bytes) else b""
        self._key_updates: KeyUpdateTally | None = None
        self._failure: OSError | None = None
        """Why the connection is useless, for `connection_lost`."""
        raw.owner = self

    def hand_over(self, owner: ByteOwner) -> None:
        self.owner = owner

    @property
    def was_truncated(self) -> bool:
        """Whether the peer ended TCP without a close_notify."""
        return self._incoming is _Incoming.TRUNCATED

    @property
    def waiting_bytes(self) -> int:
        """What the peer has not acknowledged. A system call."""
        return self.raw.waiting_bytes + self._plain_bytes

    @property
    def held_bytes(self) -> int:
        """What waits here until the peer takes more, encrypted or not."""
        return self.raw.held_bytes + self._plain_bytes

    @property
    def _plain_bytes(self) -> int:
        return 0 if self._waiting is None else len(self._waiting)

    # -- reading

    def data_received(self, data: memoryview) -> None:
        """Decrypt wire bytes and deliver what they hold.

        The read view has room for one record; for a turn of them while a body comes in full ones.
        """
        if self._incoming is not _PEER_MAY_SEND or self._outgoing is _OVER:
            return
        piece = self._decrypt(data)
        if len(data) > RECORD_WIRE_BYTES:
            self._judge_large_read(len(data), len(piece) + self.records.begun)
        if not self.reads_on or len(data) != RECORD_WIRE_BYTES:
            self._deliver(piece, len(piece))
            return
        pieces = [piece]
        size = len(piece)
        while self._failure is None and not self._silent and len(pieces) < _READS and size < _TURN_BYTES:
            # a flood has one read, of up to 9 ms: records without data, bad or mostly short ones
            if 4 * (size + self.records.begun) < RECORD_BYTES * len(pieces):
                break
            # to the end of a record: of a part OpenSSL says by an exception that it wants more
            wire = self.raw.read_on(min(self.records.rest or RECORD_WIRE_BYTES, RECORD_WIRE_BYTES))
            if not len(wire):
                break
            piece = self._decrypt(wire)
            pieces.append(piece)
            size += len(piece)
        if size >= _TURN_BYTES and self._failure is None:
            self.raw.limit_reads(_TURN_WIRE_BYTES, _MOST_TURNS)  # the next ones by one read
        self._deliver(b"".join(pieces), len(piece))

    def _judge_large_read(self, size: int, filled: int) -> None:
        """Read less at a time if little of these bytes was data."""
        if not self.reads_on or 4 * filled < size:
            self.raw.limit_reads(RECORD_WIRE_BYTES)
        elif 8 * filled < 7 * size:
            self.raw.limit_reads(_TURN_WIRE_BYTES)

    def _decrypt(self, wire: memoryview) -> bytes:
        """Read all that the peer sent. No owner may be called in here."""
        ended = self.records.receive_data(wire)
        data, records, has_ended, answer, error = self._driver.decrypt(self._tls, wire, ended)
        self._silent = ended - records
        if has_ended:
            self._incoming = _Incoming.ENDED
        if error is not None:
            self._send_alert(answer, error)
        elif answer:
            self._answer_key_updates(answer)
        return data

    def _send_alert(self, alert: bytes, error: ssl.SSLError) -> None:
        """Send OpenSSL's alert, the last record; it has none behind a close_notify. `_deliver` ends
        TCP.
        """
        if alert:
            self.raw.write(self._behind_tickets(alert))
        self._failure = error
        self._outgoing = _Outgoing.OVER

    def _answer_key_updates(self, answer: bytes) -> None:
        """Send OpenSSL's answers to KeyUpdates (RFC 8446 section 4.6.3)."""
        self._key_updates = self._key_updates or KeyUpdateTally()
        self._key_updates.answered(len(answer), self._clock())
        self.raw.write(self._behind_tickets(answer))

    def _behind_tickets(self, output: bytes) -> bytes:
        """Put records behind the tickets that are made already."""
        if self._sealed_tickets:
            output, self._sealed_tickets = self._sealed_tickets + output, b""
        return output

    def _deliver(self, data: bytes, read_last: int) -> None:
        if data:
            self.owner.data_received(data)
        if self._failure is not None:
            self._fail(self._failure)
        elif self._key_updates is not None and self._key_updates.count > self._limits.key_updates_per_minute:
            self._refuse(RecordFlood("TLS key updates"))
        elif self._silent > 0 and self.records.is_flood(self._silent, read_last, self._clock()):
            self._refuse(RecordFlood("TLS records without data"))
        elif self._incoming is not _PEER_MAY_SEND:
            self.owner.eof_received()

    def _refuse(self, error: RecordFlood) -> None:
        """End with OpenSSL's fatal alert to a bad record: a cut answer must not look complete."""
        alert = self._driver.decrypt(self._tls, _NO_RECORD, 1)[3]
        self.raw.write(self._behind_tickets(alert))
        self._fail(error)

    def _fail(self, error: OSError) -> None:
        """End after an error that makes the connection useless. OpenSSL's alert was sent."""
        self._failure = error
        self._waiting = None
        self._outgoing = _Outgoing.OVER
        self.raw.end()

    def pause_reading(self) -> None:
        """Stop taking bytes from the peer; what was decrypted is delivered already."""
        self.raw.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        self.raw.resume_reading()

    def eof_received(self) -> None:
        """The TCP stream ended; without a close_notify it was cut (RFC 8446 section 6.1)."""
        if self._incoming is _Incoming.OPEN:
            self._incoming = _Incoming.TRUNCATED
            self.owner.eof_received()

    # -- writing

    def write(self, data: bytes | memoryview) -> None:
        """Encrypt and send. What the kernel does not take is kept, at most `SEND_BYTES` encrypted.

        Nothing is sent after an error: OpenSSL's alert was the last record, and another try would
        abort the ending that lets it arrive.
        """
        if self._outgoing is _OVER:
            return
        size = len(data)
        if size <= SEND_BYTES and not self.raw.is_blocked:
            self._encrypt(data)
            return
        view = memoryview(data)
        sent = 0
        while sent < size and not self.raw.is_blocked:
            self._encrypt(view[sent : sent + SEND_BYTES])
            sent += SEND_BYTES
            if self._failure is not None:
                return
        if sent < size:
            self._waiting = self._waiting or WaitingData()
            self._waiting.add(bytes(view[sent:]))

    def _encrypt(self, data: bytes | memoryview) -> None:
        tickets, self._tickets = self._tickets, 0
        try:
            records = self._driver.encrypt(self._tls, data, tickets)
        except ssl.SSLError as error:
            self._failure = error
            self.abort()
            return
        self.raw.write(self._behind_tickets(records))

    def _send_waiting(self) -> None:
        waiting = self._waiting
        while waiting and not self.raw.is_blocked and self._outgoing is not _OVER:
            self._encrypt(waiting.take())
        if not waiting:
            self._waiting = None
            if self._outgoing is _Outgoing.ENDING:
                self._end_outgoing()

    def pause_writing(self) -> None:
        """Pass on that the peer takes no more."""
        if self._outgoing is not _OVER:
            self.owner.pause_writing()

    def resume_writing(self) -> None:
        """Send what was kept, then tell the owner."""
        self._send_waiting()
        if self._outgoing is not _OVER and not self.raw.is_blocked:
            self.owner.resume_writing()

    # -- ending

    def end_writing(self) -> None:
        """End our direction: it has no effect on the other one (RFC 8446 section 6.1)."""
        if self._outgoing is not _Outgoing.OPEN:
            return
        if self._waiting:
            self._outgoing = _Outgoing.ENDING
        else:
            self._end_outgoing()

    def _end_outgoing(self) -> None:
        self._outgoing = _Outgoing.ENDED
        self._say_goodbye()
        self.raw.end_writing()

    def _say_goodbye(self) -> None:
        self.raw.write(self._behind_tickets(self._driver.close_notify(self._tls)))

    def end(self) -> None:
        """Close cleanly: flush, close_notify, FIN; then discard what comes, for a limited time."""
        self._end(with_goodbye=True)

    def cut(self) -> None:
        """Cut off an incomplete message so that the peer sees it: FIN without close_notify."""
        self._end(with_goodbye=False)

    def _end(self, *, with_goodbye: bool) -> None:
        before, self._outgoing = self._outgoing, _Outgoing.OVER
        if before is _Outgoing.OVER:
            return
        # all that was kept goes first: then only the socket has to limit the time for the rest
        waiting, self._waiting = self._waiting, None
        while waiting and self._failure is None:
            self._encrypt(waiting.take())
        if with_goodbye and before is not _Outgoing.ENDED and self._failure is None:
            self._say_goodbye()
        if self._incoming is _Incoming.OPEN:
            self.raw.end()
        else:
            self.raw.end_at_once()

    def end_at_once(self) -> None:
        """Send a close_notify and close, without waiting for the peer's: nothing is in flight."""
        if self._outgoing is not _Outgoing.OVER:
            self._end(with_goodbye=True)
            self.raw.abort()

    def abort(self) -> None:
        """Close at once, without flushing."""
        self._outgoing = _Outgoing.OVER
        self._waiting = None
        self.raw.abort()

    def connection_lost(self, error: OSError | None) -> None:
        """Pass on the end, with the TLS error that led to it if there was one."""
        owner, self.owner = self.owner, NO_OWNER
        owner.connection_lost(self._failure or error)
