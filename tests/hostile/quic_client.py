"""A client of QUIC that can be made to send what it likes (RFC 9000): packets, frames, and its address."""

import socket
import time
from collections.abc import Callable, Iterable
from typing import Self

from aioquic._buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection, QuicReceiveContext
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    PingAcknowledged,
    QuicEvent,
    StopSendingReceived,
)
from aioquic.tls import Epoch, SessionTicket

from tests.hostile.client import Address
from tests.hostile.strict import NotStrict

PATIENCE_SECONDS = 10.0
_DATAGRAM_BYTES = 1_200
_IN_FLIGHT = 32
"""Packets of ours that are on their way before the proxy has to show that it reads: its socket has room for more."""


def varint(value: int) -> bytes:
    """A number (RFC 9000 section 16)."""
    for bits, size in ((6, 1), (14, 2), (30, 4)):
        if value < 1 << bits:
            return (value | (size.bit_length() - 1) << (8 * size - 2)).to_bytes(size)
    return (value | 3 << 62).to_bytes(8)


def configuration(address: Address, server_name: str) -> QuicConfiguration:
    """A verifying client that offers `h3`."""
    return QuicConfiguration(
        alpn_protocols=["h3"],
        server_name=server_name,
        cafile=str(address.trusted),
        supported_versions=[1],
        max_data=1 << 24,
        max_stream_data=1 << 22,
    )


class QuicClient(QuicConnection):
    """One connection over a socket of its own. Use as a context manager.

    `relay`, if there is one, is where datagrams go in place of the proxy.
    """

    def __init__(
        self,
        address: Address,
        server_name: str = "chat.test",
        settings: QuicConfiguration | None = None,
        *,
        source: str = "127.0.0.1",
        relay: tuple[str, int] | None = None,
    ) -> None:
        """Nothing is sent yet: `shake_hands` comes next."""
        self.tickets: list[SessionTicket] = []
        self.tokens: list[bytes] = []
        super().__init__(
            configuration=settings or configuration(address, server_name),
            session_ticket_handler=self.tickets.append,
            token_handler=self.tokens.append,
        )
        self._to = relay or ("127.0.0.1", address.port)
        self.source = source
        self.sock = self._socket()
        self.handshake: HandshakeCompleted | None = None
        self.closed: ConnectionTerminated | None = None
        self.on_event: Callable[[QuicEvent], None] = lambda _: None
        self.path_responses = 0
        self.retired: set[int] = set()
        self.received_bytes = 0
        self.sent_bytes = 0
        self.key_updates = 0
        self._acked = set[int]()
        self._pings = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.closed is None and self.handshake is not None:
            self.close(error_code=0x100)
            self.send_due()
        self.sock.close()

    def _socket(self) -> socket.socket:
        made = socket.socket(type=socket.SOCK_DGRAM)
        made.bind((self.source, 0))
        return made

    def rebind(self, source: str | None = None) -> None:
        """Continue from another port, or another address: behind a NAT that has forgotten the client."""
        self.sock.close()
        self.source = source or self.source
        self.sock = self._socket()

    def shake_hands(self) -> Self:
        self.connect(self._to, time.monotonic())
        self.read_until(lambda: self.handshake is not None)
        return self

    # -- sending

    def send_due(self) -> None:
        """Send what waits and may be sent."""
        for data, _ in self.datagrams_to_send(time.monotonic()):
            self.send_datagram(data)

    def send_datagram(self, data: bytes) -> None:
        self.sent_bytes += len(data)
        self.sock.sendto(data, self._to)

    def packet(self, payload: bytes) -> bytes:
        """A packet of 1-RTT with these frames, which is sent once at most."""
        crypto = self._cryptos[Epoch.ONE_RTT]
        number = self._packet_number
        self._packet_number += 1
        head = bytes([0x41 | crypto.key_phase << 2]) + self._peer_cid.cid + (number & 0xFFFF).to_bytes(2)
        return crypto.encrypt_packet(head, payload + bytes(max(0, 4 - len(payload))), number)

    def initial_packet(self, payload: bytes) -> bytes:
        """An Initial packet with these frames, behind `connect` and in place of what that has prepared."""
        number = self._packet_number
        self._packet_number += 1
        ids = b"".join(bytes([len(one)]) + one for one in (self._peer_cid.cid, self.host_cid))
        payload = payload.ljust(_DATAGRAM_BYTES - len(ids) - 26, b"\0")
        head = b"\xc1\0\0\0\1" + ids + b"\0" + (0x4000 | len(payload) + 18).to_bytes(2) + number.to_bytes(2)
        return self._cryptos[Epoch.INITIAL].encrypt_packet(head, payload, number)

    def send_frames(self, *frames: bytes) -> None:
        """Send these in as few packets as they fit in, each of which is sent once."""
        for number, payload in enumerate(_packed(frames), 1):
            if self.closed is not None:
                return
            self.send_datagram(self.packet(payload))
            if number % _IN_FLIGHT == 0:
                self.sync(is_end_fine=True)

    def know_stream(self, number: int) -> None:
        """Expect answers on a stream whose frames are sent by `send_frames`."""
        self._get_or_create_stream_for_send(number)

    def may_open(self, number: int) -> bool:
        """Whether the proxy lets the client open this stream, or has ended the connection."""
        return self.closed is not None or number < 4 * self._remote_max_streams_bidi

    def sync(self, *, is_end_fine: bool = False) -> None:
        """Return when the proxy has read everything that was sent."""
        self._pings += 1
        uid = self._pings
        self.send_ping(uid)
        self.read_until(lambda: uid in self._acked or (is_end_fine and self.closed is not None))

    def acknowledge(self) -> None:
        """Return when the proxy knows that everything has arrived that this client has received: it answers late."""
        self.read_until(lambda: self._spaces[Epoch.ONE_RTT].ack_at is None)
        self.sync()

    # -- receiving

    def read_until(self, condition: Callable[[], object]) -> None:
        """Read until it holds. Fails if the connection ends before."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if self.closed is not None:
                raise NotStrict(f"ended with {self.closed.error_code:#x} before what was waited for")
            assert time.monotonic() < deadline, "it did not happen"
            self.read()

    def end(self) -> int:
        """Read to the end of the connection; its code."""
        self.read_until(lambda: self.closed is not None)
        assert self.closed is not None
        return self.closed.error_code

    @property
    def is_application_error(self) -> bool:
        """Whether HTTP/3 has ended it, and not QUIC."""
        return self.closed is not None and self.closed.frame_type is None

    def read(self, seconds: float = 0.5) -> None:
        """Send what is due, and read what comes within some seconds, or until a timer fires."""
        self.send_due()
        now = time.monotonic()
        timer = self.get_timer()
        wait = seconds if timer is None else min(seconds, timer - now)
        self.sock.settimeout(max(wait, 0.0005))
        try:
            data = self.sock.recv(65_536)
        except TimeoutError:
            if timer is not None and timer <= time.monotonic():
                self.handle_timer(time.monotonic())
        else:
            self.received_bytes += len(data)
            self.receive_datagram(data, self._to, time.monotonic())
        self.take_events()

    def take_events(self) -> None:
        while (event := self.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.handshake = event
            elif isinstance(event, ConnectionTerminated):
                self.closed = event
            elif isinstance(event, PingAcknowledged):
                self._acked.add(event.uid)
            self.on_event(event)

    # -- what aioquic does not tell

    def _log_key_updated(self, key_type: str, trigger: str) -> None:
        self.key_updates += trigger == "local_update" and key_type == "server_1rtt_secret"
        super()._log_key_updated(key_type, trigger)

    def _handle_path_response_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        self.path_responses += 1
        super()._handle_path_response_frame(context, frame_type, buf)

    def _handle_stop_sending_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """Without the reset that answers it: a test decides about the frames of its streams."""
        del context, frame_type
        stream = buf.pull_uint_var()
        self.on_event(StopSendingReceived(error_code=buf.pull_uint_var(), stream_id=stream))

    def _handle_retire_connection_id_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """IDs that a test has made up are not known to aioquic."""
        del context, frame_type
        self.retired.add(buf.pull_uint_var())


def _packed(frames: Iterable[bytes]) -> Iterable[bytes]:
    """Frames together, as long as they fit in a packet."""
    payload = b""
    for one in frames:
        if payload and len(payload) + len(one) > _DATAGRAM_BYTES - 64:
            yield payload
            payload = b""
        payload += one
    if payload:
        yield payload
