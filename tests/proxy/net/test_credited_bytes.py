"""Bytes under credit: nothing is lost, and nothing gets credit before its owner has it."""

import pytest

from proxy.http2.streams.stream import SessionStream
from proxy.net.byte_stream import StreamOwner
from proxy.net.credited_bytes import CreditedBytes
from proxy.upstream.http2.tunnel import ServerBytes
from tests.fakes import FakeLoop
from tests.http2_client import ClientWire
from tests.http2_frames import OK, block, body, headers


class Host:
    """The connection of a stream to a server, which has the credit."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.clock = self.loop.time
        self.wire = ClientWire()
        self.session = self.wire.session
        self.flushes = 0

    def flush_soon(self) -> None:
        """Count it."""
        self.flushes += 1

    def tunnel_over(self, stream: SessionStream) -> None:
        """It is gone."""


class Owner(StreamOwner[bytes | memoryview]):
    """One that pauses its sender if the test wants it, and notes what it is told."""

    def __init__(self, sender: CreditedBytes) -> None:
        self.sender = sender
        self.events: list[object] = []
        self.pauses = False

    def data_received(self, data: bytes | memoryview) -> None:
        """Note it."""
        self.events.append(bytes(data))
        if self.pauses:
            self.sender.pause_reading()

    def eof_received(self) -> None:
        """Note it."""
        self.events.append("end")

    def connection_lost(self, error: OSError | None) -> None:
        """Note it."""
        self.events.append(error)

    def pause_writing(self) -> None:
        """Note it."""
        self.events.append("pause")

    def resume_writing(self) -> None:
        """Note it."""
        self.events.append("resume")


class Case:
    """A stream of a server that has sent the head of its response."""

    def __init__(self) -> None:
        self.host = Host()
        self.session_stream = self.host.wire.request(ends=False)
        self.host.wire.receive(headers(1, ends=False, payload=block(OK)))
        self.stream = ServerBytes(self.host, self.session_stream)
        self.owner = Owner(self.stream)
        self.stream.hand_over(self.owner)

    def receive(self, data: bytes, *, ends: bool = False) -> None:
        """The server sends."""
        self.host.wire.receive(body(1, data, ends=ends))
        self.stream.received(data, is_ended=ends)

    def resume(self) -> None:
        """The owner takes bytes again."""
        self.stream.resume_reading()
        self.host.loop.settle()

    @property
    def without_credit(self) -> int:
        """Bytes that got none yet."""
        return self.session_stream.unconsumed_bytes


def test_bytes_get_credit_and_the_end_comes_behind_them() -> None:
    case = Case()
    case.receive(b"abc")
    case.receive(b"d", ends=True)
    assert (case.owner.events, case.without_credit, case.host.flushes) == ([b"abc", b"d", "end"], 0, 0)
    assert not case.stream.was_truncated


def test_an_owner_that_pauses_gets_the_rest_later() -> None:
    case = Case()
    case.owner.pauses = True
    case.receive(b"abc")
    case.receive(b"d")
    case.receive(b"e", ends=True)
    assert (case.owner.events, case.without_credit) == ([b"abc"], 2)
    case.resume()
    assert (case.owner.events, case.without_credit, case.host.flushes) == ([b"abc", b"de"], 0, 1)
    case.resume()
    assert case.owner.events[2:] == ["end"]


def test_what_is_forgotten_comes_no_more() -> None:
    case = Case()
    case.owner.pauses = True
    case.receive(b"abc")
    case.receive(b"d", ends=True)
    case.stream.forget_kept()
    case.resume()
    assert case.owner.events == [b"abc"]


def test_the_owner_learns_of_room_and_of_the_loss() -> None:
    case = Case()
    case.stream.pause_writing()
    case.stream.resume_writing()
    case.stream.lost(None)
    case.stream.received(b"late", is_ended=True)
    assert case.owner.events == ["pause", "resume", None]


def test_each_kind_has_its_own_credit() -> None:
    bare = CreditedBytes(FakeLoop())
    with pytest.raises(NotImplementedError):
        bare.credit(1)
    with pytest.raises(NotImplementedError):
        bare.written()
