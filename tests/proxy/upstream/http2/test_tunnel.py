"""WebSockets over streams to servers (RFC 8441): opened, carried, ended in each way."""

from typing import Any

import pytest

from proxy.http.websocket.upgrade import WebSocketOffer
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import FrameType, Setting
from proxy.net.byte_stream import StreamOwner
from proxy.upstream.pooling.failures import UpstreamFault
from tests.http2_frames import OK, SETTINGS_ACK, block, body, frame, headers, number, rst, setting, window_update
from tests.http2_upstream import Backend

HELLO = setting(Setting.ENABLE_CONNECT_PROTOCOL, 1) + SETTINGS_ACK
OFFER = WebSocketOffer(b"dGhlIHNhbXBsZSBub25jZQ==", (b"chat",), b"")
HEAD = (
    b"GET /x HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
)
OPENED = headers(1, ends=False, payload=block([*OK, (b"sec-websocket-protocol", b"chat")]))
END_SECONDS = 5.0


class Owner(StreamOwner[bytes | memoryview]):
    """A tunnel, as its stream sees it."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def data_received(self, data: bytes | memoryview) -> None:
        """Note it."""
        self.events.append(bytes(data))

    def eof_received(self) -> None:
        """Note it."""
        self.events.append("end")

    def connection_lost(self, error: OSError | None) -> None:
        """Note it."""
        self.events.append(("lost", error if error is None else str(error)))

    def pause_writing(self) -> None:
        """Note it."""
        self.events.append("pause")

    def resume_writing(self) -> None:
        """Note it."""
        self.events.append("resume")


class Socket:
    """A WebSocket that a server took."""

    def __init__(self, hello: bytes = HELLO, opened: bytes = OPENED) -> None:
        self.backend = Backend(hello=hello)
        _, self.exchange = self.backend.lend(HEAD, offer=OFFER)
        (self.asked,) = self.backend.sent()
        self.owner = Owner()
        self.backend.receive(opened)
        ((kind, (stream, rest)),) = self.exchange.told()
        assert (kind, rest) == ("switched", b"")
        self.stream: Any = stream
        self.stream.hand_over(self.owner)

    def kinds(self) -> list[tuple[int, bytes]]:
        """The frames that the server got since the last look."""
        return [(one.kind, one.payload) for one in self.backend.sent()]

    @property
    def is_released(self) -> bool:
        """Whether nothing of it is left on the connection."""
        connection = self.backend.connection
        return (connection.lent, connection._tunnels, connection.session._table.open) == (0, {}, 0)


def test_an_upgrade_becomes_an_extended_connect_that_stays_open() -> None:
    socket = Socket()
    assert not socket.asked.ends
    sent = socket.asked.payload
    for part in (b"CONNECT", b"\x09:protocol\x09websocket", b"/x", b"sec-websocket-version", b"chat"):
        assert part in sent
    assert b"sec-websocket-key" not in sent
    assert socket.backend.pool.events[-1] == "switched"


def test_bytes_pass_both_ways_and_get_credit() -> None:
    socket = Socket()
    socket.stream.write(b"hi")
    assert socket.kinds() == [(FrameType.DATA, b"hi")]
    socket.backend.receive(body(1, b"x" * 16_000) * 3)
    assert b"".join(one for one in socket.owner.events if isinstance(one, bytes)) == b"x" * 48_000
    assert FrameType.WINDOW_UPDATE in [kind for kind, _ in socket.kinds()]


def test_bytes_in_the_same_read_as_the_head_wait_for_no_other() -> None:
    backend = Backend(hello=HELLO)
    carrier, exchange = backend.lend(HEAD, offer=OFFER)
    owner = Owner()
    exchange.tunnel = owner
    backend.receive(OPENED + body(1, b"early"))
    assert owner.events == [b"early"]
    assert carrier.deadline == float("inf")


def test_our_end_is_answered_by_that_of_the_server() -> None:
    socket = Socket()
    socket.stream.write(b"close")
    socket.stream.end()
    socket.stream.end()
    socket.stream.write(b"late")
    assert socket.kinds() == [(FrameType.DATA, b"close")]
    assert not socket.is_released
    socket.backend.receive(body(1, b"what comes now") + body(1, b"", ends=True))
    assert socket.owner.events == [("lost", None)]
    assert socket.is_released
    assert socket.backend.pool.events[-1] == "tunnel released"


def test_the_servers_end_comes_first() -> None:
    socket = Socket()
    socket.backend.receive(body(1, b"bye", ends=True))
    assert socket.owner.events == [b"bye", "end"]
    socket.stream.end()
    assert [kind for kind, _ in socket.kinds()] == [FrameType.DATA]
    assert socket.owner.events[2:] == [("lost", None)]
    assert socket.is_released


def test_a_server_that_does_not_end_is_reset_after_a_while() -> None:
    socket = Socket()
    socket.stream.end()
    socket.backend.sent()
    assert socket.stream.deadline == socket.backend.loop.now + END_SECONDS
    socket.stream.deadline_passed(socket.backend.loop.now)
    assert socket.kinds() == [(FrameType.RST_STREAM, number(ErrorCode.CANCEL))]
    assert socket.is_released


def test_an_end_that_the_servers_window_holds_back_is_given_up() -> None:
    socket = Socket(hello=setting(Setting.INITIAL_WINDOW_SIZE, 3) + HELLO)
    socket.stream.write(b"four")
    socket.stream.end()
    assert socket.kinds() == [(FrameType.DATA, b"fou")]
    socket.backend.receive(body(1, b"", ends=True))
    assert not socket.is_released
    socket.stream.deadline_passed(0.0)
    assert socket.is_released


def test_an_abort_resets_the_stream() -> None:
    socket = Socket()
    socket.stream.abort()
    assert socket.owner.events == []
    assert socket.kinds() == [(FrameType.RST_STREAM, number(ErrorCode.CANCEL))]
    assert socket.owner.events == [("lost", None)]
    assert socket.is_released


def test_an_abort_of_a_stream_that_is_gone_sends_nothing() -> None:
    socket = Socket()
    socket.stream.abort()
    socket.backend.receive(rst(1))
    assert socket.kinds() == []
    assert socket.is_released


def test_a_reset_is_a_lost_connection() -> None:
    socket = Socket()
    socket.backend.receive(rst(1, ErrorCode.CANCEL))
    assert socket.owner.events == [("lost", "HTTP/2 error 8")]
    assert socket.is_released


def test_a_lost_connection_is_one_for_each_websocket() -> None:
    socket = Socket()
    socket.backend.connection.connection_lost(None)
    assert socket.owner.events == [("lost", "the connection was closed")]


def test_trailers_are_an_error_of_the_stream() -> None:
    socket = Socket()
    socket.backend.receive(headers(1, payload=block([(b"x", b"1")])))
    assert socket.owner.events == [("lost", "trailers of a WebSocket")]
    assert socket.kinds() == [(FrameType.RST_STREAM, number(ErrorCode.PROTOCOL_ERROR))]
    assert socket.is_released


def test_a_server_that_takes_nothing_pauses_the_client() -> None:
    socket = Socket()
    socket.stream.write(b"x" * 200_000)
    socket.stream.write(b"x")
    assert socket.owner.events == ["pause"]
    socket.kinds()
    socket.backend.receive(window_update(0, 1_000_000) + window_update(1, 1_000_000))
    assert socket.owner.events == ["pause", "resume"]


def test_a_server_that_leaves_keeps_its_websockets() -> None:
    socket = Socket()
    socket.backend.receive(frame(FrameType.GOAWAY, 0, 0, number(1) + number(0)))
    socket.backend.receive(body(1, b"on"))
    assert socket.owner.events == [b"on"]
    assert socket.backend.connection.is_taken_up
    socket.stream.end()
    socket.backend.receive(body(1, b"", ends=True))
    assert socket.is_released


@pytest.mark.parametrize(
    "payload",
    [
        block([*OK, (b"sec-websocket-protocol", b"other")]),
        block([*OK, (b"sec-websocket-extensions", b"permessage-deflate")]),
        block([*OK, (b"connection", b"upgrade")]),
        block([(b":status", b"101")]),
    ],
)
def test_an_answer_that_does_not_fit_the_offer_opens_nothing(payload: bytes) -> None:
    backend = Backend(hello=HELLO)
    _, exchange = backend.lend(HEAD, offer=OFFER)
    backend.receive(headers(1, ends=False, payload=payload))
    assert exchange.told() == [("failed", (UpstreamFault.MALFORMED, False))]
    assert backend.connection.lent == 0


def test_an_answer_that_ends_its_stream_opens_nothing() -> None:
    backend = Backend(hello=HELLO)
    _, exchange = backend.lend(HEAD, offer=OFFER)
    backend.receive(headers(1, payload=block(OK)))
    assert exchange.told() == [("failed", (UpstreamFault.MALFORMED, False))]


def test_a_refusal_is_a_response() -> None:
    backend = Backend(hello=HELLO)
    _, exchange = backend.lend(HEAD, offer=OFFER)
    backend.sent()
    backend.receive(headers(1, ends=False, payload=block([(b":status", b"403")])) + body(1, b"no", ends=True))
    assert exchange.told() == [("started", 403), ("data", b"no"), ("ended", [])]
    assert [(one.kind, one.number) for one in backend.sent()] == [(FrameType.RST_STREAM, ErrorCode.NO_ERROR)]
    assert backend.connection.lent == 0


def test_a_server_whose_settings_allow_none_gets_none() -> None:
    backend = Backend()
    _, exchange = backend.lend(HEAD, offer=OFFER)
    assert exchange.told() == [("failed", (UpstreamFault.NO_WEBSOCKETS, False))]
    assert backend.sent() == []
