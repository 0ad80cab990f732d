"""WebSockets over HTTP/2 streams: the tunnel of HTTP/1.1, with END_STREAM and RST_STREAM for the
ends of a socket."""

import re

import pytest

from proxy.http.websocket.upgrade import accept_value
from proxy.http2.wire.errors import ErrorCode
from tests.fakes_http import FakeStream, response
from tests.fakes_http2 import CONNECT, Http2Conversation

QUESTION = b"\x81\x82\0\0\0\0hi"
ANSWER = b"\x81\x03you"
CLIENT_CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
SERVER_CLOSE = b"\x88\x02\x03\xe8"


class Socket:
    """A WebSocket that was opened."""

    def __init__(self, early: bytes = b"", *, ends: bool = False, talk: Http2Conversation | None = None) -> None:
        self.talk = talk or Http2Conversation()
        self.stream = self.talk.ask((*CONNECT, (b"sec-websocket-protocol", b"chat")), ends=False)
        if early:
            self.talk.send(self.stream, early, ends=ends)
        self.server: FakeStream = self.talk.server.lend()
        self.asked = self.server.sent()
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", self.asked)
        assert key is not None
        self.server.receive(
            response(
                b"Connection: Upgrade",
                b"Upgrade: websocket",
                b"Sec-WebSocket-Protocol: chat",
                b"Sec-WebSocket-Accept: " + accept_value(key[1]),
                start=b"HTTP/1.1 101 Switching Protocols",
            )
        )
        self.talk.pump()

    def say(self, data: bytes, *, ends: bool = False) -> bytes:
        """Have the client send; returns what the server got."""
        self.talk.send(self.stream, data, ends=ends)
        return self.server.sent()

    def hear(self, data: bytes) -> bytes:
        """Have the server send; returns all that the client got so far."""
        self.server.receive(data)
        self.talk.pump()
        return self.talk.body(self.stream)


def test_extended_connect_becomes_an_upgrade_and_its_101_a_200() -> None:
    socket = Socket()
    assert socket.asked.startswith(b"GET / HTTP/1.1\r\nHost: chat.test\r\n")
    assert b"Sec-WebSocket-Version: 13\r\n" in socket.asked
    head = socket.talk.head(socket.stream)
    assert (head[b":status"], head[b"sec-websocket-protocol"]) == (b"200", b"chat")
    assert b"sec-websocket-accept" not in head
    assert not socket.talk.has_ended(socket.stream)


def test_messages_pass_both_ways_and_close_frames_end_the_stream() -> None:
    socket = Socket()
    assert socket.say(QUESTION) == QUESTION
    assert socket.hear(ANSWER) == ANSWER
    assert socket.say(CLIENT_CLOSE) == CLIENT_CLOSE
    assert socket.hear(SERVER_CLOSE) == ANSWER + SERVER_CLOSE
    socket.server.lose()
    socket.talk.pump()
    socket.talk.advance(6.0)
    socket.talk.pump()
    assert socket.talk.has_ended(socket.stream)
    (record,) = socket.talk.records
    assert (record.status, record.error, record.messages) == (101, None, (1, 1))
    assert socket.talk.connection.idle is not None
    assert socket.talk.session._table.open == 0


def test_what_came_before_the_answer_is_not_lost() -> None:
    assert Socket(QUESTION).server.sent() == QUESTION


def test_end_that_came_before_the_answer_is_not_lost() -> None:
    socket = Socket(QUESTION + CLIENT_CLOSE, ends=True)
    assert (socket.server.sent(), socket.server.ending) == (QUESTION + CLIENT_CLOSE, None)
    socket.hear(SERVER_CLOSE)
    assert socket.server.ending == "end"


def test_server_that_refuses_is_heard() -> None:
    talk = Http2Conversation()
    stream = talk.ask(CONNECT, ends=False)
    talk.respond(response(b"Content-Length: 2", start=b"HTTP/1.1 403 Forbidden", body=b"no"))
    assert (talk.status(stream), talk.body(stream), talk.has_ended(stream)) == (403, b"no", True)


def test_without_room_it_is_answered_and_not_reset() -> None:
    """Browsers send what was refused by RST_STREAM at once again (RFC 9113 8.7)."""
    talk = Http2Conversation()
    talk.service.bound_tunnels(0)
    socket = Socket(talk=talk)
    head = talk.head(socket.stream)
    assert (head[b":status"], head[b"retry-after"], talk.has_ended(socket.stream)) == (b"503", b"5", True)
    assert (socket.server.ending, talk.records[0].error) == ("abort", "too_many_websockets: out_of_descriptors")
    talk.ask(CONNECT, ends=False)
    assert talk.server.waiting == [], "for a moment the server is not asked again"


def test_one_that_makes_room_is_closed_and_its_stream_ends() -> None:
    socket = Socket()
    socket.hear(ANSWER)
    socket.talk.advance(61.0)
    assert [one.client for one in socket.talk.service.shed(9)] == [b""]
    socket.talk.pump()
    assert socket.talk.body(socket.stream) == ANSWER + b"\x88\x1a\x03\xf5connection limit reached"
    assert socket.talk.has_ended(socket.stream)
    assert socket.talk.server.server.places.in_use == 0
    assert socket.talk.records[0].error == "closed at a connection limit"


def test_wrong_accept_is_no_tunnel() -> None:
    talk = Http2Conversation()
    stream = talk.ask(CONNECT, ends=False)
    lines = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Accept: x")
    talk.respond(response(*lines, start=b"HTTP/1.1 101 Switching Protocols"))
    assert talk.status(stream) == 502


def test_reset_of_the_client_is_a_lost_connection_to_the_tunnel() -> None:
    socket = Socket()
    socket.talk.peer.reset_stream(socket.stream, ErrorCode.CANCEL)
    socket.talk.pump()
    assert socket.server.ending is not None
    (record,) = socket.talk.records
    assert "the client was lost" in str(record.error)


def test_end_of_the_clients_direction_ends_the_tunnel() -> None:
    socket = Socket()
    socket.say(QUESTION, ends=True)
    assert socket.server.ending == "end"
    assert "without a close frame" in str(socket.talk.records[0].error)


def test_end_of_the_clients_direction_comes_behind_what_the_server_did_not_take() -> None:
    socket = Socket()
    socket.server.is_full = True
    assert socket.say(QUESTION) == QUESTION
    assert socket.say(QUESTION + CLIENT_CLOSE, ends=True) == b""
    assert socket.server.ending is None
    socket.server.take()
    socket.talk.pump()
    assert (socket.server.sent(), socket.server.ending) == (QUESTION + CLIENT_CLOSE, None)
    socket.hear(SERVER_CLOSE)
    assert socket.server.ending == "end"
    (record,) = socket.talk.records
    assert (record.error, record.messages) == (None, (2, 0))


def test_end_with_bytes_that_block_the_server_waits_for_it() -> None:
    socket = Socket()
    socket.server.is_full = True
    assert socket.say(CLIENT_CLOSE, ends=True) == CLIENT_CLOSE
    assert socket.server.ending is None
    socket.server.take()
    socket.talk.pump()
    socket.hear(SERVER_CLOSE)
    assert [record.error for record in socket.talk.records] == [None]


@pytest.mark.parametrize("is_full", [False, True])
def test_end_may_come_without_bytes(*, is_full: bool) -> None:
    socket = Socket()
    socket.server.is_full = is_full
    assert socket.say(QUESTION) == QUESTION
    assert socket.say(b"", ends=True) == b""
    if is_full:
        assert socket.server.ending is None
        socket.server.take()
        socket.talk.pump()
    assert socket.server.ending == "end"
    assert "without a close frame" in str(socket.talk.records[0].error)


def test_end_that_waits_is_kept_while_the_server_blocks_again() -> None:
    socket = Socket()
    socket.server.is_full = True
    socket.say(QUESTION)
    socket.say(CLIENT_CLOSE, ends=True)
    socket.server.take()
    socket.server.is_full = True  # the close frame blocks it once more
    socket.talk.pump()
    assert (socket.server.sent(), socket.server.ending) == (CLIENT_CLOSE, None)
    socket.server.take()
    socket.talk.pump()
    socket.hear(SERVER_CLOSE)
    assert [record.error for record in socket.talk.records] == [None]


def test_what_is_kept_goes_nowhere_after_our_end() -> None:
    socket = Socket()
    socket.server.is_full = True
    socket.say(QUESTION)
    socket.say(QUESTION)
    socket.talk.client.is_full = True  # so our end waits
    socket.hear(ANSWER)
    socket.hear(b"\x83\0")  # a reserved opcode
    (record,) = socket.talk.records
    assert record.messages == (1, 1)
    socket.server.take()
    socket.talk.pump()
    assert socket.talk.service.counters.route(record.route).from_client.messages == 1


def test_stream_that_is_aborted_is_reset_at_once() -> None:
    socket = Socket()
    (one,) = socket.talk.connection._streams
    assert one._bytes is not None
    one._bytes.abort()
    socket.talk.pump()
    assert socket.talk.reset_code(socket.stream) == ErrorCode.CANCEL
    assert socket.server.ending == "end"
    assert "the client was lost" in str(socket.talk.records[0].error)
    assert socket.talk.connection.idle is not None
    assert socket.talk.session._table.open == 0


def test_violation_is_told_by_a_close_frame() -> None:
    socket = Socket()
    socket.say(b"\x83\x80\0\0\0\0")  # a reserved opcode
    assert socket.talk.body(socket.stream).startswith(b"\x88")
    assert socket.talk.has_ended(socket.stream)


@pytest.mark.parametrize("size", [60_000])
def test_tunnel_that_takes_nothing_gives_no_credit_and_loses_nothing(size: int) -> None:
    socket = Socket()
    socket.server.is_full = True
    message = b"\x82\xfe" + size.to_bytes(2) + bytes(4) + b"x" * size
    first = socket.say(message)
    more = socket.say(QUESTION)
    assert (first + more).startswith(message[: len(first + more)])
    socket.server.take()
    socket.talk.pump()
    got = first + more + socket.server.sent()
    assert got == message + QUESTION


def test_client_that_takes_nothing_stops_the_server() -> None:
    socket = Socket()
    size = 60_000
    message = b"\x82\x7e" + size.to_bytes(2) + b"x" * size
    for _ in range(4):
        if socket.server.is_reading:
            socket.hear(message)
    assert not socket.server.is_reading
    socket.talk.peer.increment_flow_control_window(1_000_000)
    socket.talk.peer.increment_flow_control_window(1_000_000, socket.stream)
    socket.talk.pump()
    assert socket.server.is_reading


def test_drain_closes_with_a_frame_that_asks_to_come_again() -> None:
    socket = Socket()
    socket.talk.service.connections.drain(10.0)
    while not socket.talk.body(socket.stream):  # at some moment of the first half
        socket.talk.advance(0.5)
        socket.talk.pump()
    frame = socket.talk.body(socket.stream)
    assert (frame[:1], frame[2:4]) == (b"\x88", b"\x03\xf4"), "close, 1012"
    socket.say(b"\x88\x82\0\0\0\0\x03\xf4")
    socket.talk.advance(3.5)  # time for one more request, and a second between the two GOAWAYs
    socket.talk.pump()
    assert socket.talk.has_ended(socket.stream)
    assert socket.talk.client.ending == "end", "the connection ends with its last stream"


def test_tunnel_that_gives_up_resets_its_stream() -> None:
    socket = Socket()
    socket.talk.service.connections.give_up("the process ends")
    socket.talk.pump()
    assert socket.talk.records[0].error == "the process ends"
    assert socket.talk.client.ending == "cut"


def test_trailers_are_an_error_of_the_stream() -> None:
    socket = Socket()
    socket.talk.peer.send_headers(socket.stream, [(b"x", b"1")], end_stream=True)
    socket.talk.pump()
    assert socket.talk.reset_code(socket.stream) == ErrorCode.PROTOCOL_ERROR
    assert socket.server.ending == "end"
    assert socket.talk.connection.idle is not None


def test_trailers_before_the_answer_open_no_tunnel() -> None:
    talk = Http2Conversation()
    stream = talk.ask(CONNECT, ends=False)
    talk.peer.send_headers(stream, [(b"x", b"1")], end_stream=True)
    talk.pump()
    assert talk.reset_code(stream) == ErrorCode.PROTOCOL_ERROR
    assert "trailers of a WebSocket" in str(talk.records[0].error)
