"""Clients of HTTP/2 that note what went wrong: each has several streams at a time on one connection.

A client that gets GOAWAY finishes the streams that the server still answers, sends the others again on a new connection
(RFC 9113 section 6.8), and counts these as sent again.
"""

import asyncio
import contextlib
import itertools
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.soak.load import Visit

STREAMS = 4
_READ_BYTES = 65_536
_FRAME_HEAD_BYTES = 9


@dataclass(slots=True)
class _Stream:
    path: str
    begun: float
    status: str = ""
    body: bytearray = field(default_factory=bytearray)


class Connection:
    """One connection, from its handshake to its end."""

    def __init__(self, visit: Visit, numbers: "itertools.count[int]") -> None:
        self._visit = visit
        self._numbers = numbers
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._streams: dict[int, _Stream] = {}
        self._is_leaving = False
        self._received = bytearray()

    async def serve(self) -> None:
        """Ask until told to stop, or until the server ends the connection as it may."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._visit.port, ssl=_context(self._visit.context), server_hostname="localhost"
        )
        self._visit.tally.handshakes += 1
        try:
            self._h2.initiate_connection()
            while await self._turn(reader, writer):  # noqa: ASYNC110 - it thinks
                await asyncio.sleep(self._visit.crowd.think_seconds)
            if self._streams:
                self._visit.tally.failures.append(f"{len(self._streams)} streams were cut")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        is_over = self._visit.stop.is_set() or self._is_leaving
        while not is_over and len(self._streams) < STREAMS:
            self._ask()
        if is_over and not self._streams:
            return False
        writer.write(self._h2.data_to_send())
        data = await reader.read(_READ_BYTES)
        for frame in self._frames(data):
            for event in self._h2.receive_data(frame):
                self._take(event)
        return bool(data)

    def _frames(self, data: bytes) -> Iterator[bytes]:
        """One after the other, as the library takes GOAWAY for the end, and more comes behind it."""
        self._received += data
        while len(self._received) >= _FRAME_HEAD_BYTES:
            end = _FRAME_HEAD_BYTES + int.from_bytes(self._received[:3], "big")
            if len(self._received) < end:
                return
            frame = bytes(self._received[:end])
            del self._received[:end]
            yield frame

    def _ask(self) -> None:
        stream, path = self._h2.get_next_available_stream_id(), f"/load/h2/{next(self._numbers)}"
        head = [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", "localhost")]
        self._h2.send_headers(stream, head, end_stream=True)
        self._streams[stream] = _Stream(path, time.perf_counter())

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=number, headers=headers):
                self._streams[number].status = {str(name): str(value) for name, value in headers}[":status"]
            case h2.events.DataReceived(stream_id=number, data=data, flow_controlled_length=length):
                self._streams[number].body += data
                self._h2.acknowledge_received_data(length, number)
            case h2.events.StreamEnded(stream_id=number):
                self._judge(self._streams.pop(number))
            case h2.events.StreamReset(stream_id=number, error_code=code):
                self._streams.pop(number, None)
                self._visit.tally.failures.append(f"a stream was reset with {code}")
            case h2.events.ConnectionTerminated(error_code=code, last_stream_id=last):
                self._left(int(code or 0), last or 0)
            case _:
                pass

    def _left(self, code: int, last: int) -> None:
        self._is_leaving = True
        self._h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
        if code:
            self._visit.tally.failures.append(f"GOAWAY with {code}")
        for number in [number for number in self._streams if number > last]:
            del self._streams[number]
            self._visit.tally.retried += 1

    def _judge(self, stream: _Stream) -> None:
        tally = self._visit.tally
        tally.requests += 1
        tally.took(time.perf_counter() - stream.begun)
        if stream.status != "200" or not stream.body.startswith(stream.path.encode() + b" "):
            tally.failures.append(f"a stream got {stream.status} and {bytes(stream.body[:40])!r}")


def _context(other: ssl.SSLContext) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=b"".join(other.get_ca_certs(binary_form=True)))
    context.set_alpn_protocols(["h2"])
    return context


async def browse_h2(visit: Visit) -> None:
    """Ask repeatedly, on a new connection after each GOAWAY."""
    numbers = itertools.count(1)
    while not visit.stop.is_set():
        try:
            await Connection(visit, numbers).serve()
        except (OSError, EOFError, h2.exceptions.ProtocolError) as error:
            visit.tally.failures.append(f"{type(error).__name__}: {error}")
            return
