"""Encrypted bodies between a client and a server that the test plays: what is sent on, when, and what never is."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from proxy.downstream.http1.connection import Http1Connection
from proxy.downstream.requests.body import BodyLimits
from proxy.downstream.requests.client import ClientFacts
from proxy.http.websocket.upgrade import accept_value
from proxy.limits.request_rates import ClientRates, RequestRate
from proxy.payload.judgement import PayloadRoute, Requirement
from proxy.payload.messages.binding import BoundExchange, Direction
from proxy.payload.messages.causes import Cause
from proxy.payload.messages.channel import MessageCipher
from proxy.payload.messages.codec import LARGEST_PLAIN
from proxy.payload.messages.stream import LARGEST_PIECE, StreamOpener, StreamSealer, Vow, framed
from proxy.upstream.pooling.failures import UpstreamFault
from tests.fakes_http import (
    CHUNKS,
    LIMITS,
    WALL_CLOCK,
    Conversation,
    FakeStream,
    changed,
    established,
    request,
    response,
)
from tests.payloads import MESSAGE_ID, WINDOW, channel, ring
from tests.proxy.downstream.tunnels.test_websocket_tunnel import frame

CHANNEL = channel(ring(1))
BOUND = channel(ring(1), is_bound=True)
ROUTE = PayloadRoute(Requirement.REQUIRE, {b"chat": CHANNEL}, b"chat", None, takes_websockets=True)
PLACE = BoundExchange(b"POST", b"chat.test", b"/letters", b"chat")
START = b"POST /letters HTTP/1.1"
FERNET = b"Content-Encoding: fernet"
STREAM = b"Content-Encoding: fernet-stream"
OK = response(b"Content-Length: 5") + b"world"


def conversation(
    route: PayloadRoute = ROUTE, body_bytes: int = 1_000_000, gathered: int = 0, *, streams: bool = False
) -> Conversation:
    limits = changed(LIMITS, bodies=BodyLimits(CHUNKS, gathered))
    return Conversation(payload=route, body_bytes=body_bytes, limits=limits, streams_requests=streams)


def token(plain: bytes, version: int | None = None) -> bytes:
    return CHANNEL.requests.seal(plain, WALL_CLOCK, version)


def stream(plain: bytes, pieces: int = 2) -> list[bytes]:
    """Tokens of a message, each with its line feed."""
    sealer = StreamSealer(CHANNEL.requests, Vow(MESSAGE_ID, PLACE.digest(Direction.REQUEST)), None)
    size = -(-len(plain) // pieces)
    out = b""
    for start in range(0, len(plain), size):
        sealer.receive_data(plain[start : start + size])
        out += sealer.data_to_send(WALL_CLOCK) if start + size < len(plain) else b""
    return (out + sealer.finish(WALL_CLOCK)).splitlines(keepends=True)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def posted(body: bytes, *lines: bytes) -> bytes:
    return request(b"Content-Length: %d" % len(body), *lines, start=START) + body


def split(data: bytes) -> tuple[bytes, Mapping[bytes, bytes], bytes]:
    """Status line, fields by lower-case name, body."""
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}, body


def refused(of: Conversation) -> bytes:
    """The slug of the problem that the client was answered with; nothing went to a server."""
    assert of.server.waiting == []
    status, fields, body = split(of.client.sent())
    assert status.split(b" ")[1] != b"200"
    assert fields[b"payload-plain"] == b"proxy"
    return body.partition(b"problem:payload-")[2].partition(b'"')[0]


class TestToken:
    @pytest.mark.parametrize("size", [1, 1_000_000])
    def test_server_is_asked_when_it_is_whole_and_good(self, size: int) -> None:
        of = conversation()
        data = posted(token(b"hello", 1), FERNET, b"Content-Type: text/plain")
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        of.receive(*pieces[:-1])
        assert of.server.waiting == []
        of.receive(pieces[-1])
        status, fields, body = split(of.answer(OK))
        assert (status, body) == (START, b"hello")
        assert (fields[b"content-length"], fields[b"content-type"]) == (b"5", b"text/plain")
        assert not {b"content-encoding", b"payload-key"} & fields.keys()
        status, fields, body = split(of.client.sent())
        assert (fields[b"content-encoding"], fields[b"payload-key"]) == (b"fernet", b"chat:1")
        assert fields[b"content-length"] == b"%d" % len(body)
        assert CHANNEL.responses.open(body, WINDOW, WALL_CLOCK) == (1, int(WALL_CLOCK), b"world")

    def test_chunked_token_and_a_pipelined_request_behind_it(self) -> None:
        of = conversation()
        head = request(b"Transfer-Encoding: chunked", FERNET, start=START)
        of.receive(head + chunk(token(b"hello")) + b"0\r\n\r\n" + posted(token(b"again"), FERNET))
        server = of.server.lend()
        assert split(server.sent())[2] == b"hello"
        server.receive(OK)
        of.loop.settle()
        assert split(server.sent())[2] == b"again"

    def test_line_feed_behind_it_is_no_fault_and_an_empty_message_no_body(self) -> None:
        of = conversation()
        of.receive(posted(token(b"") + b"\n", FERNET))
        _, fields, body = split(of.answer(OK))
        assert (fields[b"content-length"], body) == (b"0", b"")

    @pytest.mark.parametrize(
        ("body", "slug"),
        [
            (b"x" * 200, b"token-invalid"),
            (CHANNEL.requests.seal(b"", WALL_CLOCK - 62), b"expired"),
            (b"A" * 400_000, b"too-large"),
            (CHANNEL.requests.seal(bytes(LARGEST_PLAIN + 1), WALL_CLOCK), b"too-large"),
        ],
        ids=["false", "old", "endless", "large"],
    )
    def test_what_is_refused_reaches_nobody(self, body: bytes, slug: bytes) -> None:
        of = conversation()
        of.receive(posted(body, FERNET))
        assert refused(of) == slug
        assert of.client.ending is not None

    def test_plain_octets_are_what_the_route_limits(self) -> None:
        of = conversation(body_bytes=4)
        of.receive(posted(token(b"hello"), FERNET))
        assert refused(of) == b"too-large"
        of = conversation(body_bytes=5)
        of.receive(posted(token(b"hello"), FERNET))
        assert split(of.answer(OK))[2] == b"hello"

    def test_refusals_by_the_head_keep_the_connection(self) -> None:
        of = conversation()
        of.receive(request(start=b"GET /letters HTTP/1.1"))
        assert refused(of) == b"key-not-named"
        assert of.client.ending is None

    def test_client_that_waits_is_told_to_go_on(self) -> None:
        """The server is not asked before the body is there, so it cannot say so."""
        of = conversation()
        body = token(b"hello")
        of.receive(request(b"Content-Length: %d" % len(body), b"Expect: 100-continue", FERNET, start=START))
        assert of.client.sent() == b"HTTP/1.1 100 Continue\r\n\r\n"
        of.receive(body)
        _, fields, sent = split(of.answer(OK))
        assert (sent, b"expect" in fields) == (b"hello", False)


class TestStream:
    def begun(self, *lines: bytes) -> Conversation:
        of = conversation()
        of.receive(request(b"Transfer-Encoding: chunked", STREAM, *lines, start=START))
        return of

    def test_tokens_go_on_as_they_come_and_the_end_only_with_the_last(self) -> None:
        of = self.begun()
        first, last = stream(b"hello, world")
        of.receive(chunk(first[:50]))
        assert of.server.waiting == []
        of.receive(chunk(first[50:]))
        server = of.server.lend()
        assert split(server.sent())[2] == chunk(b"hello,")
        of.receive(chunk(last))
        assert server.sent() == chunk(b" world")
        of.receive(b"0\r\n\r\n")
        assert server.sent() == b"0\r\n\r\n"

    def test_whole_message_at_once(self) -> None:
        of = conversation()
        body = b"".join(stream(b"hello, world"))
        of.receive(posted(body, STREAM))
        _, fields, sent = split(of.answer(OK))
        assert sent == chunk(b"hello, world") + b"0\r\n\r\n"
        assert fields[b"transfer-encoding"] == b"chunked"

    def test_no_server_is_asked_before_enough_of_it_was_decrypted(self) -> None:
        of = conversation(gathered=12)
        of.receive(request(b"Transfer-Encoding: chunked", STREAM, start=START))
        first, second, third = stream(b"hello, world, it is", pieces=3)
        of.receive(chunk(first))
        assert of.server.waiting == []
        of.receive(chunk(second))
        server = of.server.lend()
        assert split(server.sent())[2] == chunk(b"hello, world, ")
        of.receive(chunk(third) + b"0\r\n\r\n")
        assert server.sent() == chunk(b"it is") + b"0\r\n\r\n"

    def test_route_that_streams_asks_with_the_first_token(self) -> None:
        of = conversation(gathered=1_000, streams=True)
        of.receive(request(b"Transfer-Encoding: chunked", STREAM, start=START))
        first, _ = stream(b"hello, world")
        of.receive(chunk(first))
        assert split(of.server.lend().sent())[2] == chunk(b"hello,")

    def test_body_that_is_not_encrypted_is_gathered_as_on_other_routes(self) -> None:
        of = conversation(replace(ROUTE, requirement=Requirement.ACCEPT), gathered=12)
        of.receive(request(b"Content-Length: 5", b"Expect: 100-continue", start=START))
        assert of.client.sent() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert of.server.waiting == []
        of.receive(b"hello")
        sent = of.server.lend().sent()
        assert sent.endswith(b"hello")
        assert b"Expect" not in sent

    def test_client_waits_while_its_server_takes_no_more(self) -> None:
        of = conversation(streams=True)
        of.receive(request(b"Transfer-Encoding: chunked", STREAM, start=START))
        first, second, third = stream(b"hello, world, it is", pieces=3)
        of.receive(chunk(first))
        server = of.server.lend()
        server.is_full = True
        of.receive(chunk(second))
        assert not of.client.is_reading
        server.take()
        assert of.client.is_reading
        of.receive(chunk(third) + b"0\r\n\r\n")
        assert server.sent().endswith(chunk(b"it is") + b"0\r\n\r\n")

    def test_interim_response_goes_on_as_it_is(self) -> None:
        of = conversation()
        of.receive(posted(token(b"hello", 1), FERNET))
        of.server.lend().receive(response(b"Link: </style.css>", start=b"HTTP/1.1 103 Early Hints"))
        of.loop.settle()
        assert of.client.sent() == b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"

    def test_message_that_is_cut_never_ends_for_the_server(self) -> None:
        of = self.begun()
        first, _ = stream(b"hello, world")
        of.receive(chunk(first))
        server = of.server.lend()
        server.sent()
        of.receive(b"0\r\n\r\n")
        assert server.sent() == b""
        assert server.ending == "abort"
        status, _, body = split(of.client.sent())
        assert status == b"HTTP/1.1 400 Bad Request"
        assert b"payload-stream-broken" in body

    def test_fault_after_the_answer_has_begun_cuts_it(self) -> None:
        of = self.begun()
        first, _ = stream(b"hello, world")
        of.receive(chunk(first))
        server = of.server.lend()
        server.receive(response(b"Transfer-Encoding: chunked") + chunk(b"x"))
        of.receive(chunk(b"x" * 100 + b"\n"))
        assert of.client.ending == "cut"
        assert server.ending == "abort"

    def test_limit_is_on_what_is_in_it(self) -> None:
        of = conversation(body_bytes=11)
        of.receive(posted(b"".join(stream(b"hello, world")), STREAM))
        assert refused(of) == b"too-large"

    def test_server_that_takes_nothing_holds_the_client_back(self) -> None:
        of = self.begun()
        first, last = stream(b"x" * 2 * LARGEST_PIECE)
        of.receive(chunk(first))
        assert not of.client.is_reading
        server = of.server.lend()
        assert of.client.is_reading
        server.is_full = True
        of.receive(chunk(last))
        assert not of.client.is_reading


class TestAnswer:
    def asked(self, *lines: bytes, method: bytes = b"GET", route: PayloadRoute = ROUTE) -> Conversation:
        of = conversation(route)
        of.receive(request(b"Payload-Key: chat", *lines, start=method + b" /letters HTTP/1.1"))
        return of

    def opener(self, nonce: bytes = b"") -> StreamOpener:
        digest = PLACE._replace(method=b"GET").digest(Direction.RESPONSE, nonce)
        return StreamOpener(CHANNEL.responses, digest, WINDOW)

    def test_endless_one_comes_token_by_token(self) -> None:
        of = self.asked(b"Payload-Accept: fernet-stream", b"Payload-Nonce: " + MESSAGE_ID.hex().encode())
        server = of.server.lend()
        opener = self.opener(MESSAGE_ID)
        server.receive(response(b"Transfer-Encoding: chunked", b"Trailer: X-Sum") + chunk(b"one"))
        _, fields, body = split(of.client.sent())
        assert (fields[b"content-encoding"], b"trailer" in fields) == (b"fernet-stream", False)
        assert opener.receive_data(body.split(b"\r\n")[1], WALL_CLOCK) == [b"one"]
        server.receive(chunk(b"two"))
        assert opener.receive_data(of.client.sent().split(b"\r\n")[1], WALL_CLOCK) == [b"two"]
        server.receive(b"0\r\nX-Sum: 1\r\n\r\n")
        _, last, *rest = of.client.sent().split(b"\r\n")
        opener.receive_data(last, WALL_CLOCK)
        opener.finish()
        assert rest[0] == b"0"

    def test_server_that_breaks_off_leaves_no_end(self) -> None:
        of = self.asked(b"Payload-Accept: fernet-stream")
        server = of.server.lend()
        server.receive(response(b"Content-Length: 90000") + b"one")
        server.lose()
        assert of.client.ending == "cut"
        of = self.asked()
        server = of.server.lend()
        server.receive(response(b"Content-Length: 5") + b"one")
        assert of.client.sent() == b""  # a token is made when all of it is there
        server.lose()
        status, fields, _ = split(of.client.sent())
        assert (status, fields[b"payload-plain"]) == (b"HTTP/1.1 502 Bad Gateway", b"proxy")

    @pytest.mark.parametrize("has_ended", [False, True])
    def test_too_large_for_one_token(self, has_ended: bool) -> None:  # noqa: FBT001 - parametrized
        of = self.asked()
        server = of.server.lend()
        size = LARGEST_PLAIN + (1 if has_ended else 9)
        server.receive(response(b"Content-Length: %d" % size) + bytes(LARGEST_PLAIN + 1))
        of.loop.settle()
        status, _, body = split(of.client.sent())
        assert status == b"HTTP/1.1 502 Bad Gateway"
        assert b"payload-answer-too-large" in body
        assert [record.status for record in of.records] == [502]

    def test_connection_of_one_that_is_complete_and_too_large_is_left_to_who_has_it_next(self) -> None:
        of = self.asked()
        server = of.server.lend()
        server.receive(response(b"Content-Length: %d" % (LARGEST_PLAIN + 1)) + bytes(LARGEST_PLAIN + 1))
        of.loop.settle()
        assert split(of.client.sent())[0] == b"HTTP/1.1 502 Bad Gateway"
        assert server.ending is None
        assert len(of.server.idle) == 1

    def test_client_that_leaves_meanwhile_is_not_answered(self) -> None:
        of = self.asked()
        server = of.server.lend()
        server.receive(response(b"Content-Length: 900000") + bytes(LARGEST_PLAIN + 1))
        of.client.lose()
        of.loop.settle()
        assert of.client.sent() == b""

    def test_head_and_204_carry_no_token(self) -> None:
        of = self.asked(method=b"HEAD")
        _, fields, body = split((of.answer(response(b"Content-Length: 5")), of.client.sent())[1])
        assert (fields[b"content-encoding"], b"content-length" in fields, body) == (b"fernet", False, b"")
        of = self.asked()
        of.answer(response(start=b"HTTP/1.1 204 No Content"))
        _, fields, body = split(of.client.sent())
        assert (b"content-encoding" in fields, fields[b"cache-control"], body) == (False, b"no-store", b"")

    def test_plain_one_of_an_accepting_route_says_that_it_varies(self) -> None:
        of = conversation(replace(ROUTE, requirement=Requirement.ACCEPT))
        of.receive(posted(b"hello"))
        assert split(of.answer(OK))[2] == b"hello"
        _, fields, body = split(of.client.sent())
        assert body == b"world"
        assert fields[b"vary"] == b"Accept-Encoding, Payload-Key, Payload-Session"

    def test_answer_is_bound_to_its_request(self) -> None:
        of = conversation(replace(ROUTE, rings={b"chat": BOUND}))
        vow = Vow(MESSAGE_ID, PLACE.digest(Direction.REQUEST))
        of.receive(posted(BOUND.seal(Direction.REQUEST, b"hello", vow, WALL_CLOCK, None), FERNET))
        assert split(of.answer(OK))[2] == b"hello"
        body = split(of.client.sent())[2]
        digest = PLACE.digest(Direction.RESPONSE, MESSAGE_ID)
        assert BOUND.open(Direction.RESPONSE, body, digest, WALL_CLOCK, None).plain == b"world"


def test_stream_may_begin_with_a_token_without_content_beside_its_head() -> None:
    vow = Vow(MESSAGE_ID, PLACE.digest(Direction.REQUEST))
    pieces = [
        CHANNEL.requests.seal(framed(vow, number, piece, is_last=bool(number)), WALL_CLOCK) + b"\n"
        for number, piece in enumerate((b"", b"hello"))
    ]
    of = conversation()
    body = b"".join(pieces)
    data = request(b"Content-Length: %d" % len(body), STREAM, start=START) + body
    of.receive(data[: -len(pieces[1])])
    server = of.server.lend()
    of.receive(data[-len(pieces[1]) :])
    assert split(server.sent())[2] == chunk(b"hello") + b"0\r\n\r\n"


class TestWebSocket:
    KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
    LINES = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + KEY)

    def opened(self, *lines: bytes, chosen: bytes = b"", route: PayloadRoute = ROUTE) -> tuple[Conversation, bytes]:
        of = conversation(route)
        of.receive(request(*self.LINES, *lines, start=b"GET /letters HTTP/1.1"))
        accept = b"Sec-WebSocket-Accept: " + accept_value(self.KEY)
        protocol = (b"Sec-WebSocket-Protocol: " + chosen,) if chosen else ()
        answer = response(
            b"Upgrade: websocket", b"Connection: Upgrade", accept, *protocol, start=b"HTTP/1.1 101 Switching Protocols"
        )
        self.server = of.server.lend()
        asked = self.server.sent()
        self.server.receive(answer)
        return of, asked

    def test_messages_are_tokens_on_the_side_of_the_client(self) -> None:
        of, asked = self.opened(b"Payload-Key: chat:1", b"Sec-WebSocket-Extensions: permessage-deflate")
        assert b"permessage-deflate" not in asked
        assert b"Payload-Key" not in asked
        of.client.sent()
        of.receive(frame(0x81, token(b"hello"), masked=True))
        assert self.server.sent()[0] == 0x81
        self.server.receive(frame(0x81, b"world"))
        data = of.client.sent()
        assert CHANNEL.responses.open(data[2:], WINDOW, WALL_CLOCK).plain == b"world"
        of.receive(frame(0x81, b"plain", masked=True))
        assert b"payload: token-invalid" in of.client.sent()
        assert self.server.sent() == b""
        of.receive(frame(0x81, b"plain", masked=True))
        route = of.service.counters.route("chat.test/")
        assert (route.messages("chat").opened, route.messages("chat").sealed) == (1, 1)
        assert route.payload_refusals == {Cause.BAD_TOKEN: 1}

    def test_message_is_taken_once_where_replays_are_refused(self) -> None:
        of, _ = self.opened(b"Payload-Key: chat:1", route=replace(ROUTE, replay_seconds=90.0))
        message = frame(0x81, token(b"hello"), masked=True)
        of.receive(message)
        assert self.server.sent()[0] == 0x81
        of.client.sent()
        of.receive(message)
        assert b"payload: replayed" in of.client.sent()
        assert self.server.sent() == b""

    @pytest.mark.parametrize("chosen", [b"", b"chat"])
    def test_browser_names_the_key_by_a_subprotocol_and_gets_one(self, chosen: bytes) -> None:
        of, asked = self.opened(b"Sec-WebSocket-Protocol: chat, payload-key.chat", chosen=chosen)
        assert split(asked)[1][b"sec-websocket-protocol"] == b"chat"
        assert split(of.client.sent())[1][b"sec-websocket-protocol"] == (chosen or b"payload-key.chat")

    def test_plain_one_of_an_accepting_route_is_relayed(self) -> None:
        of = conversation(replace(ROUTE, requirement=Requirement.ACCEPT))
        of.receive(request(*self.LINES, start=b"GET /letters HTTP/1.1"))
        server = of.server.lend()
        accept = b"Sec-WebSocket-Accept: " + accept_value(self.KEY)
        server.sent()
        server.receive(
            response(b"Upgrade: websocket", b"Connection: Upgrade", accept, start=b"HTTP/1.1 101 Switching Protocols")
        )
        of.receive(frame(0x81, b"hello", masked=True))
        assert server.sent() == frame(0x81, b"hello", masked=True)


class TestCounts:
    """What the route counts."""

    def counted(self, of: Conversation, ring: str = "chat") -> tuple[int, int]:
        """Messages opened and sealed."""
        counts = of.service.counters.route("chat.test/").messages(ring)
        return counts.opened, counts.sealed

    def refusals(self, of: Conversation) -> dict[Cause, int]:
        return dict(of.service.counters.route("chat.test/").payload_refusals)

    @pytest.mark.parametrize("kind", ["token", "stream"])
    def test_message_counts_once_it_is_whole_and_the_answer_once_it_has_ended(self, kind: str) -> None:
        of = conversation()
        body, coding = (token(b"hello"), FERNET) if kind == "token" else (b"".join(stream(b"hello", 1)), STREAM)
        data = posted(body, coding)
        of.receive(data[:-1])
        assert self.counted(of) == (0, 0)
        of.receive(data[-1:])
        server = of.server.lend()
        server.receive(OK[:-1])
        assert self.counted(of) == (1, 0)
        server.receive(OK[-1:])
        assert self.counted(of) == (1, 1)

    def test_what_is_plain_does_not(self) -> None:
        of = conversation(replace(ROUTE, requirement=Requirement.ACCEPT))
        of.receive(posted(b"hello"))
        server = of.server.lend()
        server.receive(OK)
        of.receive(request(b"Payload-Key: chat", start=b"HEAD /letters HTTP/1.1"))
        server.receive(response(b"Content-Length: 5"))
        assert self.counted(of) == (0, 0)

    def test_sessions_count_together(self) -> None:
        class OneSession:
            def channel(self, ticket: bytes, now: float) -> MessageCipher:
                assert (ticket, now) == (b"TICKET", WALL_CLOCK)
                return replace(CHANNEL, key=ticket, is_session=True)

        of = conversation(replace(ROUTE, sessions=OneSession()))
        of.receive(posted(token(b"hello"), FERNET, b"Payload-Session: TICKET"))
        of.answer(OK)
        assert self.counted(of, ":sessions") == (1, 1)
        assert list(of.service.counters.route("chat.test/").payload_messages) == [":sessions"]

    @pytest.mark.parametrize(
        ("data", "cause"),
        [
            (posted(b"plain"), Cause.REQUIRED),
            (request(start=b"GET /letters HTTP/1.1"), Cause.NO_KEY_NAMED),
            (posted(b"x" * 200, FERNET), Cause.BAD_TOKEN),
        ],
    )
    def test_refusals_count_by_their_cause(self, data: bytes, cause: Cause) -> None:
        of = conversation()
        of.receive(data)
        (record,) = of.records
        assert (record.route, record.error) == ("chat.test/", cause.reason)
        assert self.refusals(of) == {cause: 1}
        assert self.counted(of) == (0, 0)


class TestOrigins:
    """Whose pages may read what the proxy answers itself."""

    ROUTE = replace(ROUTE, origins=frozenset({b"https://page.test"}))

    def allowed(self, of: Conversation) -> bytes | None:
        fields = split(of.client.sent())[1]
        assert fields[b"payload-plain"] == b"proxy"
        return fields.get(b"access-control-allow-origin")

    @pytest.mark.parametrize(
        ("origins", "allowed"),
        [
            ([b"https://page.test"], b"https://page.test"),
            ([b"https://other.test"], None),
            ([], None),
            ([b"https://page.test", b"https://page.test"], None),  # no browser sends two
        ],
    )
    def test_refusal_says_so_to_those_that_are_named(self, origins: list[bytes], allowed: bytes | None) -> None:
        of = conversation(self.ROUTE)
        of.receive(posted(b"plain", *(b"oRIGIN: " + origin for origin in origins)))
        assert self.allowed(of) == allowed

    def test_so_does_what_is_refused_later(self) -> None:
        of = conversation(self.ROUTE)
        of.receive(posted(token(b"hello"), FERNET, b"Origin: https://page.test"))
        of.server.fail()
        assert self.allowed(of) == b"https://page.test"

    def test_route_that_names_none_says_it_to_nobody_and_answers_of_servers_stay(self) -> None:
        of = conversation()
        of.receive(posted(b"plain", b"Origin: https://page.test"))
        assert self.allowed(of) is None
        of = conversation(self.ROUTE)
        of.receive(posted(token(b"hello"), FERNET, b"Origin: https://page.test"))
        of.answer(OK)
        assert b"access-control-allow-origin" not in split(of.client.sent())[1]


def test_known_bodies_are_not_in_what_the_proxy_says() -> None:
    of = conversation()
    of.receive(posted(b"a plain secret", FERNET))
    assert b"secret" not in of.client.sent()
    assert [record.error for record in of.records] == ["payload: token-invalid"]


class TestReplays:
    ROUTE = replace(ROUTE, replay_seconds=90.0)

    @pytest.mark.parametrize("kind", ["token", "stream"])
    def test_message_is_taken_once(self, kind: str) -> None:
        of = conversation(self.ROUTE)
        body, coding = (token(b"hello"), FERNET) if kind == "token" else (b"".join(stream(b"hello")), STREAM)
        of.receive(posted(body, coding))
        of.answer(OK)
        of.client.sent()
        of.receive(posted(body, coding))
        assert refused(of) == b"replayed"

    @pytest.mark.parametrize("kind", ["token", "stream"])
    def test_client_that_was_told_to_come_again_may_send_the_same(self, kind: str) -> None:
        """Once the rate lets it through; that it was decrypted before does not count."""
        rate = RequestRate.of("chat", 1.0, 1, is_per_client=True)
        of = Conversation(payload=self.ROUTE, rate=rate, rates=ClientRates(b"network"))
        of.receive(posted(token(b"first"), FERNET))
        server = of.server.lend()
        server.receive(OK)
        server.sent()
        of.client.sent()
        body, coding = (token(b"hi"), FERNET) if kind == "token" else (b"".join(stream(b"hi", 1)), STREAM)
        of.receive(posted(body, coding))
        assert of.client.sent().startswith(b"HTTP/1.1 429 ")
        of.advance(1.0)
        of.receive(posted(body, coding))
        assert b"hi" in split(server.sent())[2]

    @pytest.mark.parametrize("fault", [UpstreamFault.UNREACHABLE, UpstreamFault.BUSY])
    def test_message_that_no_server_has_got_is_not_used(self, fault: UpstreamFault) -> None:
        of = conversation(self.ROUTE)
        body = token(b"hello")
        of.receive(posted(body, FERNET))
        of.server.fail(fault)
        assert of.client.sent().startswith(b"HTTP/1.1 50")
        of.receive(posted(body, FERNET))
        assert split(of.answer(OK))[2] == b"hello"

    def test_message_that_a_server_may_have_got_is(self) -> None:
        of = conversation(self.ROUTE)
        body = token(b"hello")
        of.receive(posted(body, FERNET))
        of.server.lend().lose()
        assert of.client.sent().startswith(b"HTTP/1.1 502 ")
        of.receive(posted(body, FERNET))
        assert refused(of) == b"replayed"

    def test_replay_that_is_refused_does_not_free_what_it_repeats(self) -> None:
        of = conversation(self.ROUTE)
        body = token(b"hello")
        of.receive(posted(body, FERNET))
        for _ in range(2):
            other = FakeStream(of.loop)
            facts = ClientFacts("192.0.2.8", "public", established())
            other.owner = Http1Connection(of.service, other, facts)
            other.receive(posted(body, FERNET))
            assert b"payload-replayed" in other.sent()
        assert split(of.answer(OK))[2] == b"hello"

    def test_other_messages_with_the_same_content_are_others(self) -> None:
        of = conversation(self.ROUTE)
        of.receive(posted(token(b"hello"), FERNET))
        server = of.server.lend()
        server.receive(OK)
        of.receive(posted(token(b"hello"), FERNET))
        server.sent()
        server.receive(OK)
        assert b"200 OK" in of.client.sent()

    def test_without_it_nothing_is_remembered(self) -> None:
        of = conversation()
        body = token(b"hello")
        of.receive(posted(body, FERNET))
        server = of.server.lend()
        server.receive(OK)
        of.client.sent()
        of.receive(posted(body, FERNET))
        server.receive(OK)
        assert b"200 OK" in of.client.sent()
