"""One request on a stream to a server: what the exchange is told, and what the server is sent."""

import pytest

from proxy.http.fields import sort_request_fields
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.websocket.upgrade import WebSocketOffer
from proxy.http2.wire.errors import ErrorCode
from proxy.http2.wire.frames import FrameType, Setting
from proxy.net.deadlines import NEVER
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from tests.http2_frames import OK, block, body, frame, headers, number, rst, setting, window_update
from tests.http2_upstream import ANSWER, GET_HEAD, POST_HEAD, Backend

HEAD = headers(1, ends=False, payload=block(OK))
TRAILERS = headers(1, payload=block([(b"grpc-status", b"0")]))
FRAMING = RequestFraming(BodyKind.CHUNKED, 0, True, False, True, None, b"", b"", b"", sort_request_fields([]))  # noqa: FBT003
GOAWAY_BEFORE_ALL = frame(FrameType.GOAWAY, 0, 0, number(0) + number(0))
OFFER = WebSocketOffer(b"dGhlIHNhbXBsZSBub25jZQ==", (), b"")


class TestResponses:
    def test_head_body_and_trailers(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend()
        backend.receive(HEAD + body(1, b"hel") + body(1, b"lo") + TRAILERS)
        assert exchange.told() == [
            ("started", 200),
            ("data", b"hello"),
            ("ended", [(b"grpc-status", b"0")]),
        ]
        assert (backend.pool.events[-1], backend.connection.lent, carrier.deadline) == ("released", 0, NEVER)
        assert [one.kind for one in backend.sent()] == [FrameType.HEADERS]

    def test_each_read_is_flushed_once_while_the_response_goes_on(self) -> None:
        backend = Backend()
        _, exchange = backend.lend()
        backend.receive(HEAD + body(1, b"a") + body(1, b"b"))
        assert exchange.flushes == 1

    def test_a_head_alone_is_a_whole_response(self) -> None:
        backend = Backend()
        _, exchange = backend.lend()
        backend.receive(ANSWER)
        assert exchange.told() == [("started", 200), ("ended", [])]

    def test_interim_responses_come_first_and_are_bounded(self) -> None:
        backend = Backend()
        _, exchange = backend.lend()
        backend.receive(headers(1, ends=False, payload=block([(b":status", b"103")])) * 4)
        assert exchange.told() == [("informational", 103)] * 3 + [
            ("failed", (UpstreamFault.INFORMATIONAL_FLOOD, False))
        ]

    @pytest.mark.parametrize(
        "data",
        [
            headers(1, payload=block([(b"x", b"1")])),
            headers(1, payload=block([*OK, (b"connection", b"close")])),
            headers(1, payload=block([*OK, (b"content-length", b"5")])),
            body(1, b"no head"),
        ],
    )
    def test_a_malformed_response_fails_its_stream_alone(self, data: bytes) -> None:
        backend = Backend()
        _, exchange = backend.lend()
        backend.receive(data)
        assert exchange.told() == [("failed", (UpstreamFault.MALFORMED, False))]
        assert not backend.connection.session.has_failed

    def test_a_body_of_another_length_cuts_the_response(self) -> None:
        backend = Backend()
        _, exchange = backend.lend()
        backend.receive(headers(1, ends=False, payload=block([*OK, (b"content-length", b"5")])))
        backend.receive(body(1, b"hello!"))
        assert exchange.told() == [("started", 200), ("failed", (UpstreamFault.MALFORMED, False))]
        assert backend.sent()[-1].number == ErrorCode.PROTOCOL_ERROR

    def test_a_body_where_none_may_be(self) -> None:
        backend = Backend()
        _, exchange = backend.lend(method=b"HEAD")
        backend.receive(HEAD + body(1, b"x"))
        assert exchange.told()[-1] == ("failed", (UpstreamFault.MALFORMED, False))

    def test_malformed_trailers(self) -> None:
        backend = Backend()
        _, exchange = backend.lend()
        backend.receive(HEAD + headers(1, payload=block(OK)))
        assert exchange.told() == [("started", 200), ("failed", (UpstreamFault.MALFORMED, False))]

    def test_a_reset_before_and_in_a_response(self) -> None:
        for early, fault in ((b"", UpstreamFault.RESET), (HEAD, UpstreamFault.CUT)):
            backend = Backend()
            _, exchange = backend.lend()
            backend.receive(early + rst(1, ErrorCode.INTERNAL_ERROR))
            assert exchange.told()[-1] == ("failed", (fault, False))

    def test_frames_behind_the_end_reach_no_exchange(self) -> None:
        backend = Backend()
        _, exchange = backend.lend(POST_HEAD, is_complete=False)
        backend.receive(ANSWER + rst(1, ErrorCode.NO_ERROR))
        assert exchange.told() == [("started", 200), ("ended", [])]


class TestRequests:
    def test_a_request_without_body_ends_with_its_head(self) -> None:
        backend = Backend()
        backend.lend()
        (sent,) = backend.sent()
        assert (sent.kind, sent.ends) == (FrameType.HEADERS, True)

    def test_a_body_that_is_here_follows_its_head(self) -> None:
        backend = Backend()
        backend.lend(POST_HEAD + b"hello\r\n\r\n")
        head, sent = backend.sent()
        assert (head.ends, sent.payload, sent.ends) == (False, b"hello\r\n\r\n", True)

    def test_a_body_that_comes_later_is_not_framed(self) -> None:
        backend = Backend()
        carrier, _ = backend.lend(POST_HEAD, is_complete=False)
        assert not carrier.write_body(FRAMING, b"")
        assert carrier.write_body(FRAMING, b"hello")
        carrier.is_request_complete = True
        assert carrier.write_body(FRAMING, b"")
        _, sent = backend.sent()
        assert (sent.payload, sent.ends) == (b"hello", True)

    def test_a_server_that_gives_no_credit_holds_the_client_back(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend(POST_HEAD, is_complete=False)
        carrier.write_body(FRAMING, bytes(200_000))
        assert exchange.told() == [("pause", None)]
        carrier.await_request()
        assert carrier.deadline < NEVER
        backend.receive(window_update(0, 1 << 20) + window_update(1, 1 << 20))
        backend.sent()
        assert exchange.told() == [("resume", None)]
        carrier.await_request()
        assert carrier.deadline == NEVER

    def test_an_early_response_stops_the_request(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend(POST_HEAD, is_complete=False)
        backend.receive(ANSWER)
        assert exchange.told() == [("started", 200), ("ended", [])]
        last = backend.sent()[-1]
        assert (last.kind, last.number) == (FrameType.RST_STREAM, ErrorCode.NO_ERROR)
        assert carrier.write_body(FRAMING, b"rest")
        assert backend.sent() == []

    def test_websockets_are_not_taken(self) -> None:
        backend = Backend()
        _, exchange = backend.lend(offer=OFFER)
        assert exchange.told() == [("failed", (UpstreamFault.NO_WEBSOCKETS, False))]
        assert (backend.sent(), backend.connection.lent) == ([], 0)

    def test_a_head_that_the_server_does_not_take(self) -> None:
        backend = Backend()
        backend.receive(setting(Setting.MAX_HEADER_LIST_SIZE, 50))
        _, exchange = backend.lend()
        assert exchange.told() == [("failed", (UpstreamFault.MALFORMED, False))]


class TestBackPressure:
    def test_a_client_that_takes_nothing_gives_the_server_no_credit(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend()
        backend.receive(HEAD + body(1, bytes(16_384)))
        carrier.pause_reading()
        assert carrier.deadline == NEVER
        for _ in range(3):
            backend.receive(body(1, bytes(16_000)))
        backend.receive(TRAILERS)
        assert exchange.told() == [("started", 200), ("data", bytes(16_384))]
        assert [one for one in backend.sent() if one.kind == FrameType.WINDOW_UPDATE and one.stream] == []
        carrier.resume_reading()
        backend.loop.settle()
        assert exchange.told() == [("data", bytes(48_000)), ("ended", [(b"grpc-status", b"0")])]

    def test_credit_follows_what_the_client_took(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend()
        backend.receive(HEAD)
        carrier.pause_reading()
        backend.receive(body(1, bytes(16_384)) * 3)
        carrier.resume_reading()
        carrier.resume_reading()
        assert exchange.told() == [("started", 200)]
        updates = [one for one in backend.sent() if one.kind == FrameType.WINDOW_UPDATE]
        assert [(one.stream, one.number) for one in updates] == [(1, 3 * 16_384)]
        assert exchange.told() == [("data", bytes(3 * 16_384))]

    def test_a_client_that_stops_again_at_once_gets_nothing(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend()
        backend.receive(HEAD)
        carrier.pause_reading()
        backend.receive(body(1, b"x", ends=True))
        carrier.resume_reading()
        carrier.pause_reading()
        backend.loop.settle()
        assert exchange.told() == [("started", 200)]
        backend.receive(rst(1, ErrorCode.NO_ERROR)) if not backend.connection.session.has_failed else None
        carrier.resume_reading()
        backend.loop.settle()
        assert exchange.told() == [("data", b"x"), ("ended", [])]

    def test_a_slow_client_holds_up_no_other_response(self) -> None:
        backend = Backend()
        carrier, _ = backend.lend()
        _, other = backend.lend()
        backend.receive(HEAD)
        carrier.pause_reading()
        backend.receive(body(1, bytes(16_384)) * 4)
        backend.receive(headers(3, ends=False, payload=block(OK)) + body(3, bytes(16_384), ends=True))
        assert [kind for kind, _ in other.told()] == ["started", "data", "ended"]


class TestEnds:
    def test_an_exchange_that_leaves_cancels_its_stream(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend()
        backend.sent()
        carrier.abandon()
        (sent,) = backend.sent()
        assert (sent.kind, sent.number) == (FrameType.RST_STREAM, ErrorCode.CANCEL)
        backend.receive(ANSWER)
        assert (exchange.told(), backend.connection.lent) == ([], 0)

    @pytest.mark.parametrize(
        ("early", "fault"), [(b"", UpstreamFault.FIRST_BYTE_TIMEOUT), (HEAD, UpstreamFault.RESPONSE_STALLED)]
    )
    def test_deadlines(self, early: bytes, fault: UpstreamFault) -> None:
        backend = Backend()
        carrier, exchange = backend.lend()
        assert carrier.deadline == backend.loop.now + 60.0
        if early:
            backend.receive(early)
            assert carrier.deadline == backend.loop.now + 50.0
        carrier.deadline_passed(backend.loop.now)
        assert exchange.told()[-1] == ("failed", (fault, False))
        assert backend.sent()[-1].number == ErrorCode.CANCEL

    @pytest.mark.parametrize("is_alive", [True, False])
    def test_a_connection_that_brings_nothing_gets_no_more_streams(self, *, is_alive: bool) -> None:
        backend = Backend()
        carrier, _ = backend.lend()
        backend.lend()
        if is_alive:
            backend.receive(headers(3, ends=False, payload=block(OK)))
        carrier.deadline_passed(backend.loop.now)
        assert backend.connection.has_room is is_alive

    def test_a_reused_connection_that_dies_unused_may_be_tried_again(self) -> None:
        backend = Backend()
        backend.lend()
        backend.receive(ANSWER)
        _, exchange = backend.lend()
        backend.stream.lose()
        assert exchange.told() == [("failed", (UpstreamFault.CLOSED, True))]

    def test_a_new_connection_that_dies_was_perhaps_used(self) -> None:
        backend = Backend()
        _, exchange = backend.lend()
        backend.stream.lose(ConnectionResetError(104, "reset"))
        assert exchange.told() == [("failed", (UpstreamFault.CLOSED, False))]

    def test_a_loss_in_a_response_cuts_it(self) -> None:
        backend = Backend()
        _, exchange = backend.lend()
        backend.receive(HEAD)
        backend.stream.receive_end()
        assert exchange.told()[-1] == ("failed", (UpstreamFault.CUT, False))


class TestRefusals:
    """RFC 9113 8.7: the server did not process the request."""

    @pytest.mark.parametrize("refusal", [rst(1, ErrorCode.REFUSED_STREAM), GOAWAY_BEFORE_ALL])
    def test_a_refused_request_goes_on_another_connection_with_all_of_its_body(self, refusal: bytes) -> None:
        backend = Backend()
        carrier, exchange = backend.lend(POST_HEAD + b"hel", is_complete=False)
        backend.receive(refusal)
        assert (exchange.told(), backend.connection.lent, carrier.is_waiting) == ([], 0, True)
        assert backend.pool.refused == [carrier]
        carrier.write_body(FRAMING, b"lo")
        other = Backend(backend.loop)
        carrier.upstream_acquired(other.connection.lend(carrier.holder))
        assert not carrier.is_waiting
        carrier.is_request_complete = True
        carrier.write_body(FRAMING, b"!")
        assert b"".join(one.payload for one in other.sent() if one.kind == FrameType.DATA) == b"hello!"
        other.receive(ANSWER)
        assert exchange.told() == [("started", 200), ("ended", [])]
        assert other.connection.lent == 0

    def test_the_second_refusal_is_the_exchanges_to_handle(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend()
        backend.receive(rst(1, ErrorCode.REFUSED_STREAM))
        carrier.upstream_acquired(backend.connection.lend(carrier.holder))
        backend.receive(rst(3, ErrorCode.REFUSED_STREAM))
        assert exchange.told() == [("failed", (UpstreamFault.REFUSED, True))]

    def test_a_server_that_leaves_may_exclude_a_request_again_and_again(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend()
        for _ in range(10):
            backend.receive(GOAWAY_BEFORE_ALL)
            assert exchange.told() == []
            backend = Backend(backend.loop)
            carrier.upstream_acquired(backend.connection.lend(carrier.holder))
        backend.receive(GOAWAY_BEFORE_ALL)
        assert exchange.told() == [("failed", (UpstreamFault.REFUSED, True))]

    def test_a_body_that_is_too_long_to_keep_is_not_sent_twice(self) -> None:
        backend = Backend()
        _, exchange = backend.lend(POST_HEAD + bytes(70_000))
        exchange.told()
        backend.receive(rst(1, ErrorCode.REFUSED_STREAM))
        assert exchange.told() == [("failed", (UpstreamFault.REFUSED, True))]

    def test_there_may_be_no_other_connection(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend()
        backend.receive(rst(1, ErrorCode.REFUSED_STREAM))
        carrier.upstream_unavailable(UpstreamFailure(UpstreamFault.BUSY))
        assert exchange.told() == [("failed", (UpstreamFault.BUSY, False))]
        carrier.upstream_unavailable(UpstreamFailure(UpstreamFault.BUSY))
        assert exchange.told() == []

    def test_a_client_may_leave_meanwhile(self) -> None:
        backend = Backend()
        carrier, exchange = backend.lend()
        backend.receive(rst(1, ErrorCode.REFUSED_STREAM))
        carrier.abandon()
        assert (carrier.is_waiting, backend.connection.lent, exchange.told()) == (False, 0, [])

    def test_requests_have_the_fields_of_their_head(self) -> None:
        backend = Backend()
        backend.lend(GET_HEAD)
        (sent,) = backend.sent()
        assert b"chat.example" in sent.payload


class TestMarks:
    """Literals that are never indexed (RFC 7541 6.2.3)."""

    def test_those_of_a_client_go_on_to_the_server(self) -> None:
        backend = Backend()
        backend.lend(GET_HEAD.replace(b"X-Request-Id", b"X-Key"), never_indexed=frozenset({b"x-key"}))
        (sent,) = backend.sent()
        assert sent.payload.endswith(b"\x10\x05x-key\x011")

    def test_those_of_a_server_are_told_before_what_has_them(self) -> None:
        backend = Backend()
        _, exchange = backend.lend()
        mark = b"\x10\x05x-key\x011"
        backend.receive(headers(1, ends=False, payload=block([(b":status", b"103")]) + mark))
        backend.receive(headers(1, ends=False, payload=block(OK)) + headers(1, payload=mark.replace(b"key", b"sum")))
        assert exchange.told() == [
            ("never_index", [b"x-key"]),
            ("informational", 103),
            ("started", 200),
            ("never_index", [b"x-sum"]),
            ("ended", [(b"x-sum", b"1")]),
        ]
