"""One stream of HTTP/2: the same exchange as over HTTP/1.1, with windows in place of pauses."""

from dataclasses import replace
from typing import Any

import pytest
from h2.events import InformationalResponseReceived, ResponseReceived, WindowUpdated

from proxy.downstream.requests.body import BodyLimits
from proxy.downstream.requests.endpoint import Endpoint
from proxy.downstream.requests.targets import RouteTarget
from proxy.downstream.service.response_buffer import BufferLimits
from proxy.http.local_answers import LocalAnswer
from proxy.http.routing import Route, RouteTable
from proxy.http2.wire.errors import ErrorCode
from proxy.limits.request_rates import ClientRates, RequestRate
from proxy.payload.endpoints import key_endpoint
from tests.fakes_http import CHUNKS, LIMITS, changed, response
from tests.fakes_http2 import CONNECT, GET, POST, Fields, Http2Conversation

OK = response(b"Content-Length: 2", body=b"ok")
GATHERING = changed(LIMITS, bodies=BodyLimits(CHUNKS, gathered=65_536))


def with_length(length: int) -> Fields:
    """A POST that announces its length."""
    return (*POST, (b"content-length", b"%d" % length))


class TestAnswers:
    """From a request to its answer."""

    def test_request_is_answered_by_the_server_of_its_route(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask((*GET[:3], (b":path", b"/x?y"), (b"accept", b"a/b")))
        got = talk.respond(OK)
        assert got.startswith(b"GET /x?y HTTP/1.1\r\nHost: chat.test\r\naccept: a/b\r\n")
        assert b"\r\nVia: 2.0 plexigate\r\n" in got
        assert (talk.status(stream), talk.body(stream), talk.has_ended(stream)) == (200, b"ok", True)
        (record,) = talk.records
        assert (record.status, record.response_bytes, record.error, record.route) == (200, 2, None, "chat.test/")

    def test_answers_of_many_streams_come_in_any_order(self) -> None:
        talk = Http2Conversation()
        first, second = talk.ask(), talk.ask()
        one, two = talk.server.lend(), talk.server.lend()
        two.receive(OK)
        talk.pump()
        assert talk.has_ended(second)
        assert not talk.has_ended(first)
        one.receive(OK)
        talk.pump()
        assert talk.has_ended(first)

    @pytest.mark.parametrize(
        ("method", "lines", "start", "length"),
        [
            (b"HEAD", [b"Content-Length: 5"], b"HTTP/1.1 200 OK", b"5"),
            (b"GET", [], b"HTTP/1.1 204 No Content", None),
            (b"GET", [b"Content-Length: 7"], b"HTTP/1.1 304 Not Modified", b"7"),
        ],
    )
    def test_answer_without_a_body_ends_with_its_head(
        self, method: bytes, lines: list[bytes], start: bytes, length: bytes | None
    ) -> None:
        talk = Http2Conversation()
        stream = talk.ask(((b":method", method), *GET[1:]))
        talk.respond(response(*lines, start=start))
        assert talk.has_ended(stream)
        assert talk.head(stream).get(b"content-length") == length

    def test_interim_answers_and_unannounced_trailer_fields_go_on(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask()
        hints = response(b"Link: </a>", start=b"HTTP/1.1 103 Early Hints")
        talk.respond(hints + response(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n"))
        (event,) = talk.of(InformationalResponseReceived, stream)
        assert (b":status", b"103") in event.headers
        assert talk.trailers(stream) == [(b"grpc-status", b"0")]

    @pytest.mark.parametrize(("status", "sent"), [(200, 405), (204, 405), (302, 302), (404, 404)])
    def test_own_answer_never_opens_a_websocket(self, status: int, sent: int) -> None:
        """To an extended CONNECT, any 2xx says that the WebSocket is open (RFC 8441 section 5)."""
        talk = Http2Conversation(endpoint=Endpoint(lambda *_: LocalAnswer(status, b"", b"")))
        stream = talk.ask(CONNECT, ends=False)
        assert (talk.status(stream), talk.has_ended(stream)) == (sent, True)

    def test_body_that_nothing_reads_is_discarded(self) -> None:
        talk = Http2Conversation(endpoint=Endpoint(lambda asked, _: LocalAnswer(200, b"fixed" + asked.body, b"")))
        stream = talk.ask(POST, b"x" * 50_000)
        assert (talk.status(stream), talk.body(stream), talk.has_ended(stream)) == (200, b"fixed", True)

    def test_own_answers_are_those_of_the_proxy(self) -> None:
        talk = Http2Conversation(endpoint=Endpoint(key_endpoint(b"{}")))
        stream = talk.ask()
        assert (talk.status(stream), talk.body(stream)) == (200, b"{}")
        (record,) = talk.records
        assert (record.status, record.response_bytes) == (200, 2)

    def test_response_that_breaks_off_is_reset(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask()
        server = talk.server.lend()
        server.receive(response(b"Content-Length: 5", body=b"ok"))
        talk.pump()
        server.receive_end()
        talk.pump()
        assert talk.reset_code(stream) == ErrorCode.INTERNAL_ERROR
        (record,) = talk.records
        assert record.status == 200
        assert "in the middle of its response" in str(record.error)
        talk.ask()
        assert talk.server.waiting, "the connection goes on"


class TestRefusals:
    """What is not served, and what breaks a rule."""

    def test_name_that_the_certificate_does_not_have_is_misdirected(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask((*GET[:2], (b":authority", b"other.test"), GET[3]))
        assert talk.status(stream) == 421
        assert not talk.server.waiting

    def test_malformed_request_resets_its_stream_alone(self) -> None:
        talk = Http2Conversation()
        talk.peer.config.validate_outbound_headers = False
        talk.peer.config.normalize_outbound_headers = False
        stream = talk.ask((*GET, (b"X-Upper", b"1")))
        assert talk.reset_code(stream) == ErrorCode.PROTOCOL_ERROR
        assert not talk.server.waiting
        (record,) = talk.records
        assert record.status == 400
        assert record.error is not None
        assert record.error.startswith("malformed_request: ")
        assert record.target is not None
        assert (record.target.method, record.target.host, record.target.path) == ("GET", "chat.test", "/")
        assert talk.ask() > stream
        assert talk.server.waiting

    def test_too_many_fields_are_answered(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask((*GET, *[(b"x-%d" % number, b"1") for number in range(30)]))
        assert talk.status(stream) == 431
        assert not talk.server.waiting

    def test_route_bounds_bodies_of_known_and_of_unknown_length(self) -> None:
        talk = Http2Conversation(body_bytes=4)
        known = talk.ask(with_length(5), ends=False)
        assert talk.status(known) == 413
        unknown = talk.ask(POST, b"12345")
        assert talk.status(unknown) == 413

    def test_rate_of_the_route_holds(self) -> None:
        talk = Http2Conversation(
            rate=RequestRate.of("chat.test/", 0.5, 1, is_per_client=True), rates=ClientRates(b"client")
        )
        talk.ask()
        assert talk.status(talk.ask()) == 429

    @pytest.mark.parametrize(("length", "body", "ends"), [(3, b"hello", True), (9, b"hello", True)])
    def test_body_that_differs_from_its_length_is_malformed(self, length: int, body: bytes, *, ends: bool) -> None:
        talk = Http2Conversation()
        stream = talk.peer.get_next_available_stream_id()
        talk.peer.send_headers(stream, list(with_length(length)))
        frames = talk.peer.data_to_send()
        talk.peer.streams[stream]._expected_content_length = None
        talk.client.receive(frames)
        talk.peer.send_data(stream, body, end_stream=ends)
        talk.pump()
        assert talk.reset_code(stream) == ErrorCode.PROTOCOL_ERROR


class TestBodies:
    """Bodies of requests, and the credit for them."""

    def test_body_of_known_length_keeps_it_and_another_one_is_chunked(self) -> None:
        talk = Http2Conversation()
        talk.ask(with_length(5), b"hello")
        got = talk.respond(OK)
        assert b"Content-Length: 5\r\n" in got
        assert got.endswith(b"\r\n\r\nhello")
        talk.ask(POST, b"hello")
        assert talk.respond(OK).endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        assert [record.request_bytes for record in talk.records] == [5, 5]

    @pytest.mark.parametrize(("method", "body"), [(b"POST", b""), (b"PUT", b""), (b"PUT", b"hello")])
    def test_end_may_come_alone_behind_all_of_a_body(self, method: bytes, body: bytes) -> None:
        talk = Http2Conversation()
        fields = [(name, method if name == b":method" else value) for name, value in with_length(len(body))]
        stream = talk.ask(fields, body, ends=False) if body else talk.ask(fields, ends=False)
        talk.backend = talk.server.lend()
        talk.send(stream, b"", ends=True)
        assert talk.respond(OK).endswith(b"\r\n\r\n" + body)
        assert talk.status(stream) == 200
        assert talk.has_ended(stream)

    def test_client_that_has_sent_all_of_a_body_owes_nothing(self) -> None:
        talk = Http2Conversation()
        watched = set(talk.deadlines._watched)
        stream = talk.ask(with_length(5), b"hello")  # in one piece
        assert talk.deadlines._watched == watched
        talk.advance(31.0)
        assert talk.respond(OK).endswith(b"hello")
        assert talk.status(stream) == 200

    def test_turn_takes_several_records_while_a_body_comes(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask(POST, b"ab", ends=False)
        assert talk.client.reads_on
        talk.send(stream, b"cd", ends=True)
        assert not talk.client.reads_on

    def test_body_that_was_gathered_to_its_end_has_a_length(self) -> None:
        talk = Http2Conversation(limits=GATHERING)
        talk.ask(POST, b"hello", ends=False)
        talk.send(1, b"", ends=True)
        got = talk.respond(OK)
        assert b"Content-Length: 5\r\n" in got
        assert got.endswith(b"\r\n\r\nhello")
        assert b"Transfer-Encoding" not in got

    def test_answer_that_waits_is_not_blamed_on_the_body(self) -> None:
        talk = Http2Conversation()
        talk.ask(POST, b"hello", ends=False)
        talk.client.is_full = True
        talk.respond(response(b"Content-Length: 2", start=b"HTTP/1.1 401 Unauthorized", body=b"no"))
        for _ in range(2):
            talk.advance(20.0)
        talk.client.take()
        talk.pump()
        assert [record.status for record in talk.records] == [401]

    def test_bodies_that_are_kept_leave_room_for_others_on_the_connection(self) -> None:
        talk = Http2Conversation(limits=GATHERING)
        for _ in range(3):  # the window of the connection is 131,072
            talk.ask(POST, b"x" * 60_000, ends=False)
        assert talk.connection.held.total == 180_000
        assert not talk.session.is_window_used_up

    def test_body_that_has_no_room_for_others_is_not_blamed_on_them(self) -> None:
        talk = Http2Conversation(servers=1)
        stalled = [talk.ask(POST, b"", ends=False) for _ in range(2)]
        innocent = talk.ask(POST, b"", ends=False)
        servers = [talk.server.lend() for _ in range(3)]
        for server in servers[:2]:
            server.is_full = True
        for stream in stalled:
            talk.send(stream, b"x" * 40_000)
            talk.send(stream, b"x" * 25_536)
        assert talk.session.is_window_used_up
        talk.advance(31.0)
        talk.pump()
        assert not talk.of(ResponseReceived, innocent)

    def test_trailer_fields_of_a_request_end_it_and_do_not_go_on(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask(POST, b"hello", ends=False)
        talk.peer.send_headers(stream, [(b"x-sum", b"1")], end_stream=True)
        talk.pump()
        got = talk.respond(OK)
        assert got.endswith(b"5\r\nhello\r\n0\r\n\r\n")
        assert b"x-sum" not in got

    def test_pseudo_field_in_trailer_fields_breaks_a_rule(self) -> None:
        talk = Http2Conversation()
        talk.peer.config.validate_outbound_headers = False
        stream = talk.ask(POST, b"hello", ends=False)
        talk.peer.send_headers(stream, [(b":path", b"/")], end_stream=True)
        talk.pump()
        assert talk.reset_code(stream) == ErrorCode.PROTOCOL_ERROR
        assert talk.records[0].status == 400

    def test_client_gets_credit_only_once_a_server_has_its_bytes(self) -> None:
        talk = Http2Conversation(limits=GATHERING)
        stream = talk.ask(POST, b"x" * 40_000, ends=False)
        talk.send(stream, b"x" * 20_000)
        assert not talk.server.waiting
        assert talk.connection.held.total == 60_000
        talk.peer.end_stream(stream)
        talk.pump()
        assert len(talk.respond(OK)) > 60_000
        assert talk.connection.held.total == 0

    def test_body_that_crowds_its_connection_is_not_gathered_to_its_end(self) -> None:
        talk = Http2Conversation(limits=GATHERING)
        first = talk.ask(POST, b"x" * 40_000, ends=False)
        second = talk.ask(POST, b"x" * 40_000, ends=False)
        assert len(talk.server.waiting) == 1, "half of the bound is used: the second asks a server at once"
        assert talk.respond(b"") != b""
        assert {first, second} == {1, 3}

    def test_server_that_takes_no_more_stops_the_credit(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask(POST, b"", ends=False)
        server = talk.server.lend()
        server.is_full = True
        talk.send(stream, b"x" * 40_000)
        before = talk.peer.local_flow_control_window(stream)
        server.take()
        talk.pump()
        assert talk.peer.local_flow_control_window(stream) > before

    def test_late_body_is_answered(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask(with_length(5), b"h", ends=False)
        talk.server.lend()
        talk.advance(31.0)
        talk.pump()
        assert talk.status(stream) == 408
        assert talk.records[0].status == 408

    def test_client_is_invited_where_it_waits(self) -> None:
        talk = Http2Conversation(limits=GATHERING)
        stream = talk.ask((*with_length(5), (b"expect", b"100-continue")), ends=False)
        (event,) = talk.of(InformationalResponseReceived, stream)
        assert (b":status", b"100") in event.headers


class TestWindows:
    """Answers that wait for their client."""

    def test_slow_reader_stops_its_server_and_no_other_stream(self) -> None:
        talk = Http2Conversation(limits=changed(LIMITS, response_buffer=BufferLimits(most=0, total=0)))
        big = talk.ask()
        server = talk.server.lend()
        server.receive(response(b"Content-Length: 1000000", body=b"x" * 600_000))
        talk.pump()
        assert not server.is_reading
        assert len(talk.body(big)) <= 65_535
        small = talk.ask()
        talk.peer.increment_flow_control_window(100)
        talk.pump()
        talk.respond(OK)
        assert talk.body(small) == b"ok"
        talk.peer.increment_flow_control_window(1_000_000)
        talk.peer.increment_flow_control_window(1_000_000, big)
        talk.pump()
        assert server.is_reading
        assert len(talk.body(big)) == 600_000

    def test_reader_that_takes_nothing_is_given_up(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask()
        talk.respond(response(b"Content-Length: 200000", body=b"x" * 200_000))
        assert not talk.records, "it is not sent"
        for _ in range(10):
            talk.advance(30.0)
            talk.pump()
        assert talk.reset_code(stream) == ErrorCode.CANCEL
        (record,) = talk.records
        assert record.error is not None
        assert record.error.startswith("reader_timeout")
        assert talk.connection.idle is not None

    def test_reader_that_waits_for_its_turn_is_not_given_up(self) -> None:
        talk = Http2Conversation()
        waiting = talk.ask((*GET, (b"priority", b"u=7")))
        talk.respond(response(b"Content-Length: 200000", body=b"x" * 200_000))
        talk.peer.increment_flow_control_window(200_000, waiting)
        moving = talk.ask()
        talk.respond(response(b"Content-Length: 1000000", body=b"x" * 200_000))
        talk.peer.increment_flow_control_window(1_000_000, moving)
        for _ in range(10):
            talk.peer.increment_flow_control_window(7_000)
            talk.advance(14.0)
            talk.pump()
        assert talk.reset_code(waiting) is None

    def test_reader_of_single_bytes_is_too_slow(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask()
        talk.peer.increment_flow_control_window(1_000_000, stream)
        talk.respond(response(b"Content-Length: 200000", body=b"x" * 200_000))
        for _ in range(6):
            talk.advance(12.0)
            talk.peer.increment_flow_control_window(1)
            talk.pump()
        assert talk.reset_code(stream) == ErrorCode.CANCEL
        (record,) = talk.records
        assert str(record.error).startswith("reader_too_slow")

    def test_reader_whose_kernel_drains_is_not_given_up(self) -> None:
        talk = Http2Conversation()
        talk.peer.increment_flow_control_window(1_000_000)
        stream = talk.ask()
        talk.peer.increment_flow_control_window(1_000_000, stream)
        talk.pump()
        talk.client.is_full = True
        talk.client.waiting_bytes = 131_072
        talk.respond(response(b"Content-Length: 200000", body=b"x" * 200_000))
        assert talk.client.is_blocked
        for _ in range(130):
            talk.advance(1.0)
            talk.client.waiting_bytes -= 1_000
        talk.client.take()
        talk.pump()
        assert talk.has_ended(stream)
        assert len(talk.body(stream)) == 200_000


class TestEnds:
    """Streams that end early."""

    def test_reset_by_the_client_stops_the_work(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask()
        server = talk.server.lend()
        talk.peer.reset_stream(stream, ErrorCode.CANCEL)
        talk.pump()
        assert server.ending == "abort"
        (record,) = talk.records
        assert (record.status, record.error) == (499, "the client reset the stream (error 8)")
        assert talk.connection.idle is not None
        assert talk.session._table.open == 0

    def test_lost_connection_stops_all_work(self) -> None:
        talk = Http2Conversation()
        talk.ask()
        talk.ask()
        servers = [talk.server.lend(), talk.server.lend()]
        talk.client.lose()
        talk.loop.settle()
        assert [server.ending for server in servers] == ["abort", "abort"]
        assert [record.status for record in talk.records] == [499, 499]
        assert talk.service.count == 0

    def test_answer_that_comes_before_the_end_of_the_request_ends_it(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask(POST, b"hello", ends=False)
        talk.respond(response(b"Content-Length: 2", start=b"HTTP/1.1 401 Unauthorized", body=b"no"))
        assert (talk.status(stream), talk.body(stream)) == (401, b"no")
        assert (talk.reset_code(stream), talk.connection.idle is not None) == (None, True), "the rest may be on its way"
        talk.advance(1.1)
        talk.pump()
        assert talk.reset_code(stream) == ErrorCode.NO_ERROR

    def test_request_that_ends_behind_its_answer_is_not_reset(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask(POST, b"hello", ends=False)
        talk.respond(OK)
        talk.send(stream, b"", ends=True)
        talk.advance(1.1)
        talk.pump()
        assert (talk.has_ended(stream), talk.reset_code(stream)) == (True, None)
        assert not talk.session.has_streams

    def test_length_is_known_whatever_answers(self) -> None:
        """RFC 9113 8.1.1: RST_STREAM follows an answer that came too early for the body."""
        talk = Http2Conversation(body_bytes=4)
        stream = talk.ask(with_length(5), ends=False)
        talk.send(stream, b"longer")
        assert (talk.status(stream), talk.reset_code(stream)) == (413, ErrorCode.PROTOCOL_ERROR)
        assert [record.status for record in talk.records] == [413]

    def test_connection_that_leaves_waits_for_the_rest_of_a_request(self) -> None:
        talk = Http2Conversation()
        stream = talk.ask(POST, b"hello", ends=False)
        talk.connection.leave()
        talk.advance(0.9)
        talk.respond(OK)
        talk.advance(0.2)
        talk.pump()
        assert (talk.reset_code(stream), talk.client.ending) == (None, None)
        talk.advance(0.9)
        talk.pump()
        assert (talk.reset_code(stream), str(talk.client.ending)) == (ErrorCode.NO_ERROR, "end")


def test_target_of_two_routes_is_one_request_each() -> None:
    talk = Http2Conversation()
    target: Any = RouteTarget("other", "chat", requires_pq=False, body_bytes=1)
    runtime = talk.service.runtime
    talk.ask()
    talk.respond(OK)
    talk.service.runtime = replace(runtime, routes=RouteTable([Route("chat.test", "/", target)]))
    talk.ask()
    talk.respond(OK)
    assert [record.route for record in talk.records] == ["chat.test/", "other"], "a reload is not remembered wrongly"
    assert talk.of(WindowUpdated, 1) == []
