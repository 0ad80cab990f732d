"""One client connection: requests in order, bounded in bytes and time, ended so that the client
knows what it got."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from proxy.downstream.requests.body import BodyLimits
from proxy.downstream.requests.targets import RouteTarget
from proxy.downstream.service.response_buffer import BufferLimits
from proxy.http.routing import Route, RouteTable
from proxy.http.websocket.upgrade import accept_value
from proxy.limits.idleness import Shown
from proxy.limits.request_rates import ClientRates, RequestRate
from proxy.net.deadlines import NEVER, SWEEP_SECONDS
from proxy.observe.logs.access_log import ClientRecord, RequestRecord, TargetRecord
from proxy.upstream.pooling.failures import UpstreamFault
from tests.fakes import FakeLoop
from tests.fakes_http import (
    CHUNKS,
    CLASSICAL,
    HYBRID,
    LIMITS,
    WALL_CLOCK,
    Conversation,
    FakeServer,
    FakeStream,
    changed,
    handshake_policy,
    octets,
    request,
    response,
    server_identity,
    upstream,
)

Feed = Callable[[bytes], list[bytes]]
FEEDS = pytest.mark.parametrize("feed", [lambda data: [data], octets], ids=["whole", "octets"])

OK = response(b"Content-Length: 2", body=b"ok")
LAST = response(b"Content-Length: 2", b"Connection: close", body=b"ok")
WEBSOCKET = request(
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCHED = response(
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Accept: " + accept_value(b"dGhlIHNhbXBsZSBub25jZQ=="),
    start=b"HTTP/1.1 101 Switching Protocols",
)


def status(data: bytes) -> int:
    """The status of the response that these bytes begin with."""
    assert data.startswith(b"HTTP/1.1 "), data
    return int(data[9:12])


def path(record: RequestRecord) -> str:
    """The path in a log record."""
    assert record.target is not None
    return record.target.path


def upload(*lines: bytes, body: bytes = b"") -> bytes:
    """A POST."""
    return request(*lines, start=b"POST /upload HTTP/1.1", body=body)


class TestHeads:
    """From bytes to a request, however they are cut."""

    @FEEDS
    def test_request_is_answered(self, feed: Feed) -> None:
        talk = Conversation()
        talk.receive(*feed(request(start=b"GET /x?y HTTP/1.1")))
        assert talk.answer(OK).startswith(b"GET /x?y HTTP/1.1\r\nHost: chat.test\r\n")
        assert talk.client.sent().endswith(b"\r\n\r\nok")
        assert talk.client.ending is None

    @FEEDS
    @pytest.mark.parametrize("empty", [b"\r\n", b"\r\n\r\n"])
    def test_empty_lines_before_a_request_are_ignored(self, empty: bytes, feed: Feed) -> None:
        talk = Conversation()
        talk.receive(*feed(empty + request()))
        talk.answer(OK)
        assert status(talk.client.sent()) == 200

    @FEEDS
    def test_third_empty_line_is_one_too_many(self, feed: Feed) -> None:
        talk = Conversation()
        talk.receive(*feed(b"\r\n" * 3 + request()))
        assert status(talk.client.sent()) == 400
        assert not talk.server.waiting

    @FEEDS
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"GARBAGE\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (request(b"Content-Length: x"), 400),
            (request(b"X: " + b"a" * 1_500), 431),
            (request(b"X: " + b"a" * 2_500), 431),
            (b"GET /" + b"a" * 2_500, 414),
            (request(b"Expect: something"), 417),
            (request(start=b"BREW / HTTP/1.1"), 501),
            (request(host=b"evil.test"), 421),
        ],
    )
    def test_what_cannot_be_taken_is_answered_and_nothing_behind_it_is_trusted(
        self, data: bytes, expected: int, feed: Feed
    ) -> None:
        talk = Conversation()
        for piece in feed(data + (request() if expected != 421 else b"")):
            if talk.client.ending is None:
                talk.receive(piece)
        sent = talk.client.sent()
        assert status(sent) == expected
        assert not talk.server.waiting
        assert [record.status for record in talk.records] == [expected]
        if expected != 421:
            assert b"\r\nConnection: close\r\n" in sent
            assert talk.client.ending == "end"

    def test_request_id_of_an_answer_stands_in_the_log(self) -> None:
        talk = Conversation()
        talk.receive(b"GARBAGE\r\n\r\n")
        (record,) = talk.records
        assert record.request_id is not None
        assert f"\r\nX-Request-Id: {record.request_id}\r\n".encode() in talk.client.sent()

    @FEEDS
    def test_head_at_the_limit_is_taken(self, feed: Feed) -> None:
        for room, expected in ((0, 200), (-1, 431)):
            head = request(b"X: " + b"a" * 500)
            talk = Conversation(limits=changed(LIMITS, head_bytes=len(head) - 4 + room))
            talk.receive(*feed(head))
            if expected == 200:
                talk.answer(OK)
            assert status(talk.client.sent()) == expected

    def test_bytes_at_the_end_of_a_connection_are_nobodys(self) -> None:
        talk = Conversation()
        talk.receive(b"GARBAGE\r\n\r\n")
        talk.client.sent()
        talk.receive(request())
        assert not talk.server.waiting
        assert talk.client.sent() == b""


class TestKeepAlive:
    """RFC 9112 section 9.3."""

    def test_connection_takes_one_request_after_the_other(self) -> None:
        talk = Conversation()
        talk.receive(request(start=b"GET /0 HTTP/1.1"))
        server = talk.server.lend()
        for number in range(3):
            if number:
                talk.receive(request(start=b"GET /%d HTTP/1.1" % number))
            assert server.sent().startswith(b"GET /%d " % number)
            server.receive(OK)
            assert status(talk.client.sent()) == 200
        assert [path(record) for record in talk.records] == ["/0", "/1", "/2"]
        assert len({record.request_id for record in talk.records}) == 3

    @pytest.mark.parametrize(
        ("data", "stays"),
        [
            (request(), True),
            (request(b"Connection: close"), False),
            (request(start=b"GET / HTTP/1.0"), False),
            (request(b"Connection: keep-alive", start=b"GET / HTTP/1.0"), True),
        ],
    )
    def test_client_decides_and_is_told(self, data: bytes, *, stays: bool) -> None:
        talk = Conversation()
        talk.receive(data)
        talk.answer(OK)
        assert (b"Connection: close" in talk.client.sent()) is not stays
        assert talk.client.ending == (None if stays else "end")

    def test_idle_connection_ends_cleanly_after_its_time(self) -> None:
        talk = Conversation()
        talk.receive(request())
        talk.answer(OK)
        assert talk.downstream.deadline == talk.loop.now + 75
        talk.advance(80)
        assert talk.client.ending == "end"
        assert [record.status for record in talk.records] == [200]

    def test_connection_without_any_request_ends_cleanly_too(self) -> None:
        talk = Conversation()
        talk.advance(80)
        assert (talk.client.ending, talk.client.sent(), talk.records) == ("end", b"", [])

    def test_refused_request_that_was_understood_leaves_the_connection(self) -> None:
        talk = Conversation()
        talk.receive(request(host=b"evil.test"))
        assert status(talk.client.sent()) == 421
        assert talk.client.ending is None
        talk.receive(request())
        talk.answer(OK)
        assert status(talk.client.sent()) == 200


class TestPipelining:
    """RFC 9112 section 9.3.2: answered in order, one at a time, held in bounds."""

    @FEEDS
    def test_answers_come_in_the_order_of_the_requests(self, feed: Feed) -> None:
        talk = Conversation()
        paths = [b"/%d" % number for number in range(5)]
        talk.receive(*feed(b"".join(request(start=b"GET %b HTTP/1.1" % path) for path in paths)))
        server = talk.server.lend()
        for number, path in enumerate(paths):
            assert server.sent().startswith(b"GET %b " % path)
            server.receive(response(b"Content-Length: 1", body=b"%d" % number))
            talk.loop.settle()
        bodies = [part.partition(b"\r\n\r\n")[2] for part in talk.client.sent().split(b"HTTP/1.1 200 OK")[1:]]
        assert bodies == [b"0", b"1", b"2", b"3", b"4"]

    def test_malformed_one_is_answered_after_those_before_it(self) -> None:
        talk = Conversation()
        talk.receive(request() + b"GARBAGE\r\n\r\n" + request())
        talk.answer(OK)
        sent = talk.client.sent()
        assert [int(part[:3]) for part in sent.split(b"HTTP/1.1 ")[1:]] == [200, 400]
        assert talk.client.ending == "end"

    def test_too_much_of_it_waits_in_the_kernel(self) -> None:
        talk = Conversation()
        talk.receive(request())
        talk.receive(b"x" * 1_000)
        assert talk.client.is_reading
        talk.receive(b"x")
        assert not talk.client.is_reading
        talk.answer(OK)
        assert talk.client.is_reading

    def test_request_behind_a_body_waits_for_its_turn(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 2", body=b"hi") + request(start=b"GET /next HTTP/1.1"))
        server = talk.server.lend()
        assert server.sent().endswith(b"\r\n\r\nhi")
        server.receive(OK)
        talk.loop.settle()
        assert server.sent().startswith(b"GET /next ")

    def test_request_behind_a_chunked_body_that_comes_later_waits_too(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Transfer-Encoding: chunked"))
        server = talk.server.lend()
        server.sent()
        talk.receive(b"2\r\nhi\r\n0\r\n\r\n" + request(start=b"GET /next HTTP/1.1"))
        assert server.sent() == b"2\r\nhi\r\n0\r\n\r\n"
        server.receive(OK)
        talk.loop.settle()
        assert server.sent().startswith(b"GET /next ")

    def test_client_that_does_not_take_its_answers_gets_no_more_of_them(self) -> None:
        """Else a client that only asks and never reads fills the memory with answers."""
        talk = Conversation()
        talk.client.is_full = True
        talk.receive(request() * 3)
        talk.answer(OK)
        assert talk.client.is_blocked
        assert not talk.server.waiting
        assert talk.server.idle, "the second request waits although a connection is free"
        talk.receive(request() * 3)
        assert talk.records == [], "nor is the first one over"
        talk.receive(b"GET / HTTP/1.1\r\n" * 80)
        assert not talk.client.is_reading, "what it sends meanwhile is bounded"
        talk.advance(SWEEP_SECONDS)
        assert talk.downstream.deadline == talk.loop.now + 60
        talk.client.take()
        server: Any = talk.server.idle[0].stream
        talk.loop.settle()
        assert server.sent().startswith(b"GET / ")

    def test_client_that_blocks_between_two_answers_gets_no_more_of_them_either(self) -> None:
        talk = Conversation()
        talk.receive(request() * 2)
        server = talk.server.lend()
        server.receive(OK)
        server.sent()
        talk.downstream.pause_writing()  # before the second was looked at
        talk.loop.settle()
        assert server.sent() == b""
        talk.client.take()
        talk.loop.settle()
        assert server.sent().startswith(b"GET / ")

    def test_client_that_takes_its_answer_late_is_idle_from_then_on(self) -> None:
        talk = Conversation()
        talk.client.is_full = True
        talk.receive(request())
        talk.answer(OK)
        talk.client.take()
        assert talk.downstream.deadline == talk.loop.now + 75

    def test_client_blocked_within_a_head_has_its_time_anew(self) -> None:
        talk = Conversation()
        talk.receive(b"GET / HT")
        talk.downstream.pause_writing()  # TLS may write of its own accord: answers to key updates
        talk.client.take()
        talk.loop.settle()
        assert talk.downstream.deadline == talk.loop.now + 10
        talk.receive(b"TP/1.1\r\nHost: chat.test\r\n\r\n")
        talk.answer(OK)
        assert status(talk.client.sent()) == 200


class TestBodies:
    """Requests whose bodies are wrong, late, or too long."""

    @FEEDS
    def test_malformed_chunk_is_answered(self, feed: Feed) -> None:
        talk = Conversation()
        talk.receive(upload(b"Transfer-Encoding: chunked"))
        server = talk.server.lend()
        for piece in feed(b"5\r\nhelloXX0\r\n\r\n"):
            if talk.client.ending is None:
                talk.receive(piece)
        assert status(talk.client.sent()) == 400
        assert server.ending == "abort"
        assert talk.client.ending == "end"

    def test_malformed_chunk_in_the_segment_of_the_head_reaches_no_server(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Transfer-Encoding: chunked", body=b"zz\r\n"))
        assert status(talk.client.sent()) == 400
        assert not talk.server.waiting

    def test_malformed_chunk_after_the_response_has_begun_cuts_it(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Transfer-Encoding: chunked"))
        talk.server.lend().receive(response(b"Content-Length: 9", body=b"early"))
        talk.receive(b"zz\r\n")
        assert talk.client.ending == "cut"
        assert talk.records[0].status == 200
        assert talk.records[0].error == "malformed_body: invalid chunk size line"

    def test_declared_length_over_the_limit_is_refused_before_a_server_is_asked(self) -> None:
        talk = Conversation(body_bytes=5)
        talk.receive(upload(b"Content-Length: 6", b"Expect: 100-continue"))
        sent = talk.client.sent()
        assert status(sent) == 413
        assert b"5 bytes" in sent
        assert talk.client.ending == "end"
        assert not talk.server.waiting

    def test_chunks_over_the_limit_are_refused(self) -> None:
        talk = Conversation(body_bytes=5)
        talk.receive(upload(b"Transfer-Encoding: chunked"))
        server = talk.server.lend()
        talk.receive(b"6\r\nhello!\r\n")
        assert status(talk.client.sent()) == 413
        assert server.ending == "abort"

    def test_client_waits_while_its_server_takes_nothing(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9"))
        server = talk.server.lend()
        server.is_full = True
        talk.receive(b"abc")
        assert not talk.client.is_reading
        assert talk.downstream.deadline == NEVER, "the client owes nothing while it may not send"
        server.take()
        assert talk.client.is_reading
        assert talk.downstream.deadline == talk.loop.now + 30

    def test_body_that_waits_for_a_connection_is_bounded_by_one_read(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9", body=b"abc"))
        assert not talk.client.is_reading
        assert talk.downstream.deadline == NEVER
        assert talk.server.lend().sent().endswith(b"\r\n\r\nabc")
        assert talk.client.is_reading
        assert talk.downstream.deadline == talk.loop.now + 30

    def test_only_the_body_that_a_server_takes_is_read_by_several_records(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9"))
        assert not talk.client.reads_on, "what is gathered is bounded by one read"
        talk.server.lend()
        talk.receive(b"abc")
        assert talk.client.reads_on
        talk.receive(b"defghi")
        assert not talk.client.reads_on, "requests come next"

    def test_server_waits_while_its_client_takes_nothing(self) -> None:
        talk = Conversation()
        talk.receive(request())
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(response(b"Content-Length: 9", body=b"some"))
        assert not server.is_reading
        talk.client.take()
        assert server.is_reading
        assert talk.downstream.deadline == NEVER
        server.receive(b" body")
        assert talk.client.sent().endswith(b"some body")

    def test_client_that_takes_nothing_may_send_its_body_all_the_same(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9"))
        server = talk.server.lend()
        server.sent()
        talk.client.is_full = True
        server.receive(response(b"Content-Length: 4", body=b"go"))
        talk.receive(b"some body")
        assert server.sent() == b"some body"
        talk.advance(SWEEP_SECONDS)
        assert talk.downstream.deadline == talk.loop.now + 60, "it is its reading that is waited for"

    def test_early_response_ends_the_connection_after_it(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9", body=b"abc"))
        talk.answer(response(b"Content-Length: 0", start=b"HTTP/1.1 413 Content Too Large"))
        assert status(talk.client.sent()) == 413
        assert talk.client.ending == "end"


class TestSlowReaders:
    """The answer is taken from its server while its client takes its time, and is over when that
    has it all."""

    def talk(self, most: int = 1_000, total: int = 100_000, **settings: Any) -> Conversation:
        limits = changed(LIMITS, response_buffer=BufferLimits(most, total))
        return Conversation(limits=limits, **settings)

    def test_server_is_free_while_its_client_still_reads(self) -> None:
        talk = self.talk()
        talk.receive(request())
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(response(b"Content-Length: 600", body=bytes(300)))
        assert server.is_reading
        server.receive(bytes(300))
        assert talk.server.idle, "another request can have the connection"
        assert talk.records == [], "the client does not have it yet"
        talk.loop.now += 5
        talk.client.take()
        (record,) = talk.records
        assert (record.status, record.response_bytes, record.error) == (200, 600, None)
        assert (record.first_byte, record.duration) == (0, 5)
        assert talk.client.ending is None
        talk.receive(request())
        assert not talk.server.idle, "the next request has it"

    def test_server_waits_when_there_is_no_more_room(self) -> None:
        talk = self.talk(most=1_000)
        talk.receive(request())
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(response(b"Content-Length: 5000", body=bytes(600)))
        assert server.is_reading
        server.receive(bytes(600))
        assert not server.is_reading
        assert server.owner.deadline == NEVER, "it is not blamed"
        talk.client.take()
        assert server.is_reading
        assert server.owner.deadline == talk.loop.now + 50

    def test_server_is_held_to_its_times_while_it_may_go_on(self) -> None:
        talk = self.talk()
        talk.receive(request())
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(response(b"Content-Length: 600", body=b"x"))
        assert server.owner.deadline == talk.loop.now + 50
        server.owner.deadline_passed(talk.loop.now + 50)
        assert talk.client.ending == "cut"
        assert talk.records[0].error == UpstreamFault.RESPONSE_STALLED.sentence

    def test_client_that_never_takes_the_rest_is_given_up(self) -> None:
        talk = self.talk()
        talk.receive(request())
        talk.client.is_full = True
        talk.answer(response(b"Content-Length: 300", body=bytes(300)))
        talk.client.waiting_bytes = 10_000
        talk.advance(30)
        talk.client.waiting_bytes -= 1_000
        talk.advance(35)
        assert talk.client.ending is None, "what it took has bought time"
        assert talk.service.response_budget.held > 0
        talk.advance(10)
        assert talk.client.ending == "abort"
        assert talk.service.response_budget.held == 0
        assert [record.status for record in talk.records] == [499]

    def test_what_comes_from_the_server_meanwhile_buys_no_time(self) -> None:
        talk = self.talk()
        talk.receive(request())
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(response(b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n"))
        talk.client.waiting_bytes = 10_000
        talk.advance(SWEEP_SECONDS)
        for _ in range(70):
            if talk.client.ending is None:
                server.receive(b"1\r\nx\r\n")
                talk.client.waiting_bytes += 6
                talk.advance(1)
        assert talk.client.ending == "abort"

    def test_client_that_takes_what_comes_goes_on(self) -> None:
        """As much waits for it all the time: it takes 110 bytes in a second, and 110 more come."""
        talk = self.talk(most=100_000)
        talk.receive(request())
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(response(b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n"))
        talk.client.waiting_bytes = 10_000
        talk.advance(SWEEP_SECONDS)
        for _ in range(200):
            server.receive(b"68\r\n" + bytes(104) + b"\r\n")
            talk.advance(1)
        assert talk.client.ending is None

    def test_client_that_leaves_gives_its_room_back(self) -> None:
        talk = self.talk()
        talk.receive(request())
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(response(b"Content-Length: 600", body=bytes(300)))
        held = talk.service.response_budget.held
        assert held >= 300
        talk.client.lose()
        assert talk.service.response_budget.held == 0
        assert server.ending == "abort"
        assert [record.status for record in talk.records] == [499]

    def test_client_that_leaves_before_it_has_the_rest_did_not_get_it(self) -> None:
        talk = self.talk()
        talk.receive(request())
        talk.client.is_full = True
        talk.answer(response(b"Content-Length: 300", body=bytes(300)))
        talk.client.lose()
        assert [(record.status, record.error) for record in talk.records] == [(499, "the client closed the connection")]

    def test_connection_that_is_to_close_does_so_when_the_rest_was_taken(self) -> None:
        talk = self.talk()
        talk.receive(request(b"Connection: close"))
        talk.client.is_full = True
        talk.answer(response(b"Content-Length: 300", body=bytes(300)))
        assert talk.client.ending is None, "its end has a time of its own, which a slow reader would miss"
        talk.client.take()
        assert talk.client.ending == "end"
        assert [record.status for record in talk.records] == [200]

    def test_half_closed_client_gets_the_rest(self) -> None:
        talk = self.talk()
        talk.receive(request())
        talk.client.is_full = True
        talk.answer(response(b"Content-Length: 300", body=bytes(300)))
        talk.client.receive_end()
        talk.client.take()
        assert talk.client.ending == "end"
        assert [record.status for record in talk.records] == [200]

    def test_rest_of_a_body_behind_an_early_answer_means_nothing(self) -> None:
        """Neither is it a request, nor malformed, nor held, nor missed."""
        talk = self.talk()
        talk.receive(upload(b"Transfer-Encoding: chunked"))
        talk.client.is_full = True
        talk.answer(response(b"Content-Length: 300", start=b"HTTP/1.1 413 Content Too Large", body=bytes(300)))
        talk.receive(b"zz" * 10_000 + request())
        assert talk.client.is_reading
        talk.client.receive_end()
        assert talk.client.ending is None
        talk.client.take()
        assert talk.client.ending == "end"
        assert [(record.status, record.error) for record in talk.records] == [(413, None)]

    def test_drain_waits_for_the_rest(self) -> None:
        talk = self.talk()
        talk.receive(request())
        talk.client.is_full = True
        talk.answer(response(b"Content-Length: 300", body=bytes(300)))
        quiet = talk.service.connections.drain(30.0)
        assert talk.client.ending is None
        talk.client.take()
        assert talk.client.ending == "end"
        assert not quiet.is_set(), "until the socket is closed"
        assert talk.downstream.idle is None

    def test_next_request_waits_until_the_last_answer_was_taken(self) -> None:
        talk = self.talk()
        talk.receive(request() * 2)
        talk.client.is_full = True
        talk.answer(response(b"Content-Length: 300", body=bytes(300)))
        assert not talk.server.waiting
        assert talk.server.idle
        talk.client.take()
        talk.loop.settle()
        assert not talk.server.idle

    def test_informational_answers_that_nobody_reads_keep_no_server(self) -> None:
        talk = self.talk()
        talk.receive(request())
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        assert server.is_reading, "the answer is taken behind them"
        server.receive(OK)
        assert talk.server.idle

    def test_informational_answers_beyond_the_room_hold_the_server_back(self) -> None:
        talk = self.talk(most=10)
        talk.receive(request())
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        assert not server.is_reading

    def test_early_answer_to_who_does_not_read_it_keeps_no_server(self) -> None:
        talk = self.talk()
        talk.receive(upload(b"Content-Length: 9000", body=b"abc"))
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(response(b"Content-Length: 300", start=b"HTTP/1.1 401 Unauthorized", body=bytes(300)))
        assert server.ending == "abort"

    def test_refused_client_that_lingers_keeps_no_server(self) -> None:
        talk = self.talk(body_bytes=5)
        talk.receive(upload(b"Transfer-Encoding: chunked"))
        server = talk.server.lend()
        talk.client.is_full = True
        talk.receive(b"6\r\nhello!\r\n")
        assert server.ending == "abort"


class TestGathering:
    """A body that fits is whole before a server is asked; one that does not has paid for it."""

    def talk(self, **settings: Any) -> Conversation:
        """Eight bytes are gathered."""
        return Conversation(limits=changed(LIMITS, bodies=BodyLimits(CHUNKS, gathered=8)), **settings)

    def test_client_that_drips_has_no_connection_of_a_server(self) -> None:
        talk = self.talk()
        talk.receive(upload(b"Content-Length: 8", body=b"x"))
        for _ in range(40):
            if talk.client.ending is None:
                talk.advance(1)
        assert status(talk.client.sent()) == 408
        assert not talk.server.waiting
        assert [(record.status, record.error) for record in talk.records] == [(408, "body_timeout")]

    def test_body_has_its_time_while_it_is_gathered(self) -> None:
        talk = self.talk()
        talk.receive(upload(b"Content-Length: 8"))
        assert talk.downstream.deadline == talk.loop.now + 30
        talk.receive(b"12345678")
        assert talk.downstream.deadline == NEVER
        assert talk.answer(OK).endswith(b"12345678")
        assert status(talk.client.sent()) == 200
        assert talk.client.ending is None

    def test_longer_body_waits_in_the_kernel_once_it_has_asked(self) -> None:
        talk = self.talk()
        talk.receive(upload(b"Content-Length: 20", body=b"12345"), b"67890")
        assert not talk.client.is_reading
        assert talk.downstream.deadline == NEVER
        server = talk.server.lend()
        assert server.sent().endswith(b"\r\n\r\n1234567890")
        assert talk.client.is_reading
        assert talk.downstream.deadline == talk.loop.now + 30

    def test_client_that_waits_has_the_time_for_its_body_from_our_word_on(self) -> None:
        talk = self.talk()
        talk.receive(upload(b"Content-Length: 8", b"Expect: 100-continue"))
        assert talk.client.sent() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert talk.downstream.deadline == talk.loop.now + 30
        talk.receive(b"12345678")
        assert b"Expect" not in talk.answer(OK)
        assert status(talk.client.sent()) == 200

    @pytest.mark.parametrize("settings", [{"body_bytes": 4}, {"requires_pq": True, "group": CLASSICAL}])
    def test_client_that_is_refused_by_its_head_is_not_told_to_go_on(self, settings: dict[str, Any]) -> None:
        talk = self.talk(**settings)
        talk.receive(upload(b"Content-Length: 8", b"Expect: 100-continue"))
        assert status(talk.client.sent()) in (403, 413)

    def test_client_over_its_rate_is_not_told_to_go_on(self) -> None:
        rate = RequestRate.of("chat.test/", 0.5, 1, is_per_client=True)
        talk = self.talk(rate=rate, rates=ClientRates(b"client"))
        talk.receive(request())
        talk.answer(OK)
        talk.client.sent()
        talk.receive(upload(b"Content-Length: 8", b"Expect: 100-continue"))
        assert status(talk.client.sent()) == 429

    def test_expectation_of_one_route_is_not_that_of_another(self) -> None:
        """The field lines of a connection are remembered: equal ones mean two things on two
        routes."""
        talk = self.talk()
        streaming = RouteTarget("s", "chat", requires_pq=False, body_bytes=99, streams_requests=True)
        gathering = replace(streaming, streams_requests=False)
        routes = RouteTable([Route("chat.test", "/a", streaming), Route("chat.test", "/b", gathering)])
        talk.service.runtime = replace(talk.service.runtime, routes=routes)
        server = None
        for path, is_told in ((b"a", True), (b"b", False), (b"a", True)):
            talk.receive(request(b"Content-Length: 8", b"Expect: 100-continue", start=b"POST /%b HTTP/1.1" % path))
            if not is_told:
                talk.receive(b"12345678")
            server = server or talk.server.lend()
            assert (b"Expect" in server.sent()) is is_told, path
            if is_told:
                talk.receive(b"12345678")
            server.sent()
            server.receive(OK)
            talk.client.sent()

    def test_request_behind_a_body_is_answered_although_nobody_took_that(self) -> None:
        """The body ends in the very read that brings the next request, and its request is
        refused at once."""
        talk = self.talk()
        talk.receive(upload(b"Content-Length: 8"))
        upstreams = talk.service.runtime.upstreams["chat"]
        upstreams.apply_health(talk.server.name, is_up=False)
        talk.receive(b"12345678" + request(start=b"GET /next HTTP/1.1"))
        talk.loop.settle()
        assert [int(part[:3]) for part in talk.client.sent().split(b"HTTP/1.1 ")[1:]] == [503, 503]
        assert talk.downstream.deadline == talk.loop.now + 75, "an idle connection ends at some time"

    def test_what_is_pipelined_behind_a_body_waits_for_its_turn(self) -> None:
        talk = self.talk()
        talk.receive(upload(b"Content-Length: 8", body=b"1234"), b"5678" + request(start=b"GET /next HTTP/1.1"))
        server = talk.server.lend()
        assert server.sent().endswith(b"12345678")
        server.receive(OK)
        talk.loop.settle()
        assert server.sent().startswith(b"GET /next ")

    def test_malformed_chunk_reaches_no_server(self) -> None:
        talk = self.talk()
        talk.receive(upload(b"Transfer-Encoding: chunked"), b"2\r\nab\r\n", b"zz\r\n")
        assert status(talk.client.sent()) == 400
        assert not talk.server.waiting

    def test_client_that_ends_within_its_body_has_asked_nobody(self) -> None:
        talk = self.talk()
        talk.receive(upload(b"Content-Length: 8", body=b"1234"))
        talk.client.receive_end()
        assert talk.client.ending == "cut"
        assert not talk.server.waiting

    def test_websocket_asks_at_once(self) -> None:
        talk = self.talk()
        talk.receive(WEBSOCKET)
        assert talk.server.waiting


def blocked(waiting: int) -> Conversation:
    """A client that has blocked in the middle of a response, and so many bytes wait for it."""
    talk = Conversation()
    talk.client.is_full = True
    talk.receive(request())
    talk.server.lend().receive(response(b"Content-Length: 9", body=b"some"))
    talk.client.waiting_bytes = waiting
    talk.advance(SWEEP_SECONDS)
    return talk


class TestDeadlines:
    """What a client owes, and for how long."""

    def test_head_has_its_time_from_its_first_byte_on(self) -> None:
        talk = Conversation()
        talk.receive(b"GET")
        talk.advance(9)
        talk.receive(b" / HTTP/1.1\r\n")
        talk.advance(2)
        assert status(talk.client.sent()) == 408
        assert talk.client.ending == "end"
        assert [(record.status, record.error) for record in talk.records] == [(408, "head_timeout")]

    def test_carriage_return_alone_is_no_head_yet(self) -> None:
        talk = Conversation()
        talk.receive(b"\r")
        talk.advance(20)
        assert (talk.client.sent(), talk.client.ending) == (b"", None)

    def test_body_has_its_time_from_each_piece_on(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9999"))
        server = talk.server.lend()
        talk.advance(29)
        talk.receive(bytes(29 * 100))
        talk.advance(29)
        assert talk.client.sent() == b""
        talk.advance(2)
        assert status(talk.client.sent()) == 408
        assert server.ending == "abort"
        assert talk.records[0].error == "body_timeout"

    def test_body_that_drips_uses_up_its_time_all_the_same(self) -> None:
        """Five octets a second, where a hundred are asked for."""
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9999"))
        server = talk.server.lend()
        for _ in range(31):
            talk.receive(b"drops")
            talk.advance(1)
        assert talk.client.sent() == b""
        talk.advance(1)
        assert status(talk.client.sent()) == 408
        assert (talk.client.ending, server.ending) == ("end", "abort")
        assert [(record.status, record.error) for record in talk.records] == [(408, "body_too_slow")]

    def test_body_that_comes_at_the_rate_has_all_the_time_it_takes(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 99999"))
        talk.server.lend()
        for _ in range(99):
            talk.advance(9)
            talk.receive(bytes(900))
        assert (talk.client.sent(), talk.client.ending) == (b"", None)

    def test_body_that_we_hold_back_uses_no_time(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 99999"))
        server = talk.server.lend()
        talk.advance(29)
        server.is_full = True
        talk.receive(b"drop")
        assert not talk.client.is_reading
        talk.advance(50)
        server.take()
        talk.advance(29)
        assert (talk.client.sent(), talk.client.ending) == (b"", None), "its time began again"
        talk.advance(2)
        assert status(talk.client.sent()) == 408

    def test_body_that_was_told_to_continue_has_its_time_from_then_on(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9", b"Expect: 100-continue"))
        server = talk.server.lend()
        talk.advance(20)
        server.receive(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert status(talk.client.sent()) == 100
        talk.advance(31)
        assert status(talk.client.sent()) == 408
        assert (talk.client.ending, server.ending) == ("end", "abort")

    def test_body_that_drips_after_the_response_has_begun_cuts_it(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9999"))
        talk.server.lend().receive(response(b"Content-Length: 9", body=b"early"))
        for _ in range(32):
            talk.receive(b"drops")
            talk.advance(1)
            if talk.client.ending:
                break
        assert talk.client.ending == "cut"
        assert [record.error for record in talk.records] == ["body_too_slow: the request body did not arrive in time"]

    def test_body_that_stops_after_the_response_has_begun_cuts_it(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9"))
        talk.server.lend().receive(response(b"Content-Length: 9", body=b"early"))
        talk.advance(31)
        assert talk.client.ending == "cut"
        assert talk.records[0].status == 200

    def test_client_that_takes_nothing_loses_its_connection(self) -> None:
        talk = Conversation()
        talk.client.is_full = True
        talk.receive(request())
        server = talk.server.lend()
        server.receive(response(b"Content-Length: 9", body=b"some"))
        assert not server.is_reading
        talk.advance(61)
        assert talk.client.ending == "abort"
        assert server.ending == "abort"
        assert [(record.status, record.error) for record in talk.records] == [
            (499, "reader_timeout: the client takes no more of the response")
        ]

    def test_client_that_takes_its_response_too_slowly_loses_its_connection(self) -> None:
        talk = blocked(10_000)
        for _ in range(60):
            talk.client.waiting_bytes -= 10
            talk.advance(1)
        assert talk.client.ending is None
        for _ in range(9):
            talk.client.waiting_bytes -= 10
            talk.advance(1)
        assert talk.client.ending == "abort"
        assert [(record.status, record.error) for record in talk.records] == [
            (499, "reader_too_slow: the client reads the response too slowly")
        ]

    def test_client_that_takes_its_response_at_the_rate_has_all_the_time_it_takes(self) -> None:
        """Although the kernel has not told in all this time that it takes more."""
        talk = blocked(100_000)
        for _ in range(900):
            talk.client.waiting_bytes -= 101
            talk.advance(1)
        assert talk.client.ending is None
        talk.client.take()
        assert talk.downstream.deadline == NEVER

    def test_client_that_takes_a_little_each_time_is_found_out_all_the_same(self) -> None:
        """It unblocks before its time is over, repeatedly: what it was behind is remembered."""
        talk = blocked(10_000)
        server: Any = talk.servers[0]
        stalls = 0
        while talk.client.ending is None and stalls < 10:
            talk.advance(25)
            talk.client.waiting_bytes -= 500
            if talk.client.ending is None:
                talk.client.take()
                talk.client.is_full = True
                talk.client.owner.send(b"more")
                stalls += 1
        assert stalls == 2
        assert talk.records[0].error == "reader_timeout: the client takes no more of the response"
        assert server.gone

    def test_time_between_two_blocks_is_not_counted(self) -> None:
        talk = blocked(10_000)
        talk.advance(30)
        talk.client.waiting_bytes -= 1_000
        talk.client.take()
        talk.advance(45)
        talk.client.is_full = True
        talk.client.owner.send(b"more")
        talk.advance(35)
        assert talk.client.ending is None
        talk.advance(10)
        assert talk.client.ending == "abort"

    def test_client_that_never_takes_its_last_answer_loses_its_connection(self) -> None:
        talk = Conversation()
        talk.client.is_full = True
        talk.receive(request())
        talk.answer(OK)
        talk.advance(61)
        assert talk.client.ending == "abort"
        assert [(record.status, record.error) for record in talk.records] == [
            (499, "reader_timeout: the client takes no more of the response")
        ]

    def test_client_owes_nothing_while_its_server_works(self) -> None:
        talk = Conversation()
        talk.receive(request())
        assert talk.downstream.deadline == NEVER
        talk.server.lend()
        talk.advance(1_000)
        assert talk.client.ending is None


class TestRates:
    """How often a route may be asked for."""

    def talk(self, *, is_exempt: bool = False, burst: int = 2) -> Conversation:
        """A conversation on a route with a rate."""
        rate = RequestRate.of("chat.test/", 0.5, burst, is_per_client=True)
        return Conversation(rate=rate, rates=None if is_exempt else ClientRates(b"client"))

    def test_request_over_the_rate_is_told_when_to_come_again_and_its_connection_stays(self) -> None:
        talk = self.talk()
        for _ in range(2):
            talk.receive(request())
            talk.answer(LAST)
            talk.client.sent()
        talk.receive(request())
        sent = talk.client.sent()
        assert status(sent) == 429
        assert b"\r\nRetry-After: 2\r\n" in sent
        assert b"\r\nContent-Type: application/problem+json\r\n" in sent
        assert b"Connection" not in sent
        assert talk.client.ending is None
        assert [(record.status, record.error, record.route) for record in talk.records[2:]] == [
            (429, "request_rate", "chat.test/")
        ]
        assert not talk.server.waiting, "no server was asked"
        talk.advance(2)
        talk.receive(request())
        talk.answer(LAST)
        assert status(talk.client.sent()) == 200

    def test_body_that_came_whole_is_taken_off_the_connection(self) -> None:
        talk = self.talk(burst=1)
        talk.receive(request())
        talk.answer(LAST)
        talk.client.sent()
        talk.receive(upload(b"Content-Length: 9", body=b"some body") + request())
        assert [int(part[:3]) for part in talk.client.sent().split(b"HTTP/1.1 ")[1:]] == [429, 429]
        assert talk.client.ending is None

    def test_body_that_is_still_to_come_is_not_waited_for(self) -> None:
        talk = self.talk(burst=1)
        talk.receive(request())
        talk.answer(LAST)
        talk.client.sent()
        talk.receive(upload(b"Content-Length: 9", body=b"some"))
        assert status(talk.client.sent()) == 429
        assert talk.client.ending == "end"

    def test_networks_that_are_exempt_are_not_counted(self) -> None:
        talk = self.talk(is_exempt=True, burst=1)
        for _ in range(3):
            talk.receive(request())
            talk.answer(LAST)
            assert status(talk.client.sent()) == 200


class TestShedding:
    """Which connections can be ended so that others can be served."""

    def test_one_without_a_request(self) -> None:
        talk = Conversation()
        idle = talk.downstream.idle
        assert idle is not None
        assert (idle.since, idle.shown, idle.listener) == (talk.loop.now, Shown.HANDSHAKE, "public")
        talk.receive(request())
        assert talk.downstream.idle is None
        talk.advance(1)
        talk.answer(OK)
        assert talk.downstream.idle == idle._replace(since=talk.loop.now, shown=Shown.REQUEST)
        talk.downstream.shed()
        assert talk.client.ending == "end_at_once"
        assert talk.downstream.idle is None
        talk.advance(100)

    def test_one_that_has_begun_a_head_as_a_byte_must_not_buy_a_place(self) -> None:
        talk = Conversation()
        talk.advance(5)
        talk.receive(b"G")
        began = talk.loop.now
        talk.advance(1)
        talk.receive(b"ET / HTTP/1.1")
        idle = talk.downstream.idle
        assert idle is not None
        assert (idle.since, idle.shown) == (began, Shown.HANDSHAKE)
        assert len(talk.service.connections.shed_idle(1, "public")) == 1
        assert (talk.client.ending, talk.client.sent(), talk.records) == ("end_at_once", b"", [])
        talk.advance(100)

    def test_one_whose_body_is_gathered_with_a_line_in_the_log(self) -> None:
        talk = Conversation(limits=replace(LIMITS, bodies=BodyLimits(CHUNKS, gathered=1_000)))
        talk.receive(upload(b"Content-Length: 10", body=b"1"))
        idle = talk.downstream.idle
        assert idle is not None
        assert idle.since == talk.loop.now, "one that sends is not idle"
        assert not talk.service.connections.shed_idle(1, "public")
        talk.advance(1)
        assert len(talk.service.connections.shed_idle(1, "public")) == 1
        (record,) = talk.records
        assert (record.status, record.error) == (
            499,
            "closed at a connection limit before the request was complete",
        )
        talk.advance(100)
        assert (talk.client.ending, talk.service.count) == ("end_at_once", 0)

    def test_one_that_drips_its_body_has_been_idle_for_as_long_as_it_is_behind(self) -> None:
        talk = Conversation(limits=replace(LIMITS, bodies=BodyLimits(CHUNKS, gathered=1_000)))
        talk.receive(upload(b"Content-Length: 1000"))
        for _ in range(5):
            talk.advance(2)
            talk.receive(b"x")
        idle = talk.downstream.idle
        assert idle is not None
        assert talk.loop.now - idle.since == pytest.approx(10 - 5 / 100)

    def test_none_whose_server_is_asked_already(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 10", body=b"1"))
        talk.advance(1)
        assert talk.downstream.idle is None
        talk.server.lend()
        talk.advance(1)
        assert talk.downstream.idle is None

    def test_none_whose_body_is_complete_and_waits_for_us(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 1", body=b"1"))
        talk.advance(1)
        assert talk.downstream.idle is None

    def test_none_that_has_not_taken_its_answer(self) -> None:
        talk = Conversation()
        talk.client.is_full = True
        talk.receive(request())
        talk.answer(OK)
        assert talk.downstream.idle is None

    def test_none_that_has_asked_for_more_already(self) -> None:
        talk = Conversation()
        talk.receive(request() * 2)
        server = talk.server.lend()
        talk.loop.ready.clear()
        server.receive(OK)
        assert talk.downstream.idle is None


class TestEnds:
    """Who ends, and what the other one sees."""

    def test_half_closed_client_gets_its_answer(self) -> None:
        talk = Conversation()
        talk.receive(request())
        talk.client.receive_end()
        talk.answer(OK)
        sent = talk.client.sent()
        assert sent.endswith(b"\r\n\r\nok")
        assert b"Connection: close" in sent
        assert talk.client.ending == "end"

    def test_half_closed_client_gets_the_answers_to_all_that_it_has_pipelined(self) -> None:
        talk = Conversation()
        talk.receive(request() * 3)
        talk.client.receive_end()
        server = talk.server.lend()
        for _ in range(3):
            server.receive(OK)
            talk.loop.settle()
        sent = talk.client.sent()
        assert sent.count(b"HTTP/1.1 200 OK") == 3
        assert sent.count(b"Connection: close") == 1
        assert talk.client.ending == "end"

    def test_end_between_two_pipelined_requests_loses_none(self) -> None:
        talk = Conversation()
        talk.receive(request() * 2)
        server = talk.server.lend()
        server.receive(OK)
        talk.client.receive_end()  # in the very turn in which the first was answered
        talk.loop.settle()
        server.receive(OK)
        assert talk.client.sent().count(b"HTTP/1.1 200 OK") == 2
        assert talk.client.ending == "end"

    def test_half_of_a_request_is_not_waited_for_after_the_end(self) -> None:
        talk = Conversation()
        talk.receive(request() + b"GET / HT")
        talk.client.receive_end()
        talk.answer(OK)
        assert status(talk.client.sent()) == 200
        assert talk.client.ending == "end"

    def test_client_that_ends_during_its_response_is_not_waited_for(self) -> None:
        talk = Conversation()
        talk.receive(request())
        server = talk.server.lend()
        server.receive(response(b"Content-Length: 2", body=b"o"))
        talk.client.receive_end()
        server.receive(b"k")
        assert talk.client.ending == "end"

    @pytest.mark.parametrize("part", [b"", b"GET / HT", b"\r"])
    def test_client_that_ends_without_a_request_is_let_go(self, part: bytes) -> None:
        talk = Conversation()
        if part:
            talk.receive(part)
        talk.client.receive_end()
        talk.loop.settle()
        assert (talk.client.ending, talk.client.sent(), talk.records) == ("end", b"", [])

    def test_client_that_ends_within_a_body_gets_no_answer(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9", body=b"abc"))
        server = talk.server.lend()
        talk.client.receive_end()
        assert talk.client.ending == "cut"
        assert server.ending == "abort"
        assert [record.status for record in talk.records] == [499]

    @pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
    def test_client_that_is_gone_frees_its_server(self, error: OSError | None) -> None:
        talk = Conversation()
        talk.receive(request())
        server = talk.server.lend()
        talk.client.lose(error)
        assert server.ending == "abort"
        (record,) = talk.records
        assert record.status == 499
        assert record.error is not None
        assert ("reset" in record.error) is (error is not None)

    def test_client_that_is_gone_while_it_waits_asks_for_no_connection_any_more(self) -> None:
        talk = Conversation()
        talk.receive(request())
        talk.client.lose()
        assert not talk.server.waiting[0].is_waiting

    def test_what_servers_keep_for_its_client_ends_with_it(self) -> None:
        talk = Conversation()
        facts = talk.downstream.facts
        assert facts.keeps_servers
        talk.client.lose()
        assert not facts.keeps_servers

    def test_lost_connection_is_counted_out(self) -> None:
        talk = Conversation()
        talk.client.lose()
        assert talk.service.connections.drain(1.0).is_set()
        assert talk.records == []

    def test_response_that_breaks_off_is_cut(self) -> None:
        talk = Conversation()
        talk.receive(request())
        server = talk.server.lend()
        server.receive(response(b"Content-Length: 9", body=b"some"))
        server.lose()
        assert talk.client.ending == "cut"
        (record,) = talk.records
        assert (record.status, record.response_bytes) == (200, 4)
        assert record.error == "the upstream closed the connection in the middle of its response"


class TestDrain:
    """The process ends: nothing in flight is lost, nothing new is begun."""

    def test_idle_connection_ends_at_once(self) -> None:
        talk = Conversation()
        talk.receive(request())
        talk.answer(OK)
        talk.service.connections.drain(30.0)
        assert talk.client.ending == "end"

    def test_new_connection_is_answered_once(self) -> None:
        """Its client has done all of a handshake for that, and would take an end for a failure."""
        talk = Conversation()
        talk.service.connections.drain(30.0)
        talk.advance(1.0)
        assert talk.client.ending is None
        talk.receive(request())
        talk.answer(OK)
        assert b"Connection: close" in talk.client.sent()
        assert talk.client.ending == "end"

    @pytest.mark.parametrize(("drain", "least", "most"), [(30.0, 1.5, 3.0), (0.5, 0.0, 1.6)])
    def test_new_connection_that_asks_nothing_is_not_waited_for(self, drain: float, least: float, most: float) -> None:
        talk = Conversation()
        talk.service.connections.drain(drain)
        talk.advance(least)
        assert talk.client.ending is None
        talk.advance(most - least)
        assert talk.client.ending == "end"

    @pytest.mark.parametrize(("waited", "left"), [(0.0, 15.0), (70.0, 5.0)])
    def test_each_idle_one_may_ask_once_more_if_gently_within_the_time_that_it_had(
        self, waited: float, left: float
    ) -> None:
        talk = Conversation()
        talk.receive(request())
        talk.answer(OK)
        talk.advance(waited)
        talk.service.connections.drain(30.0, gently=True)
        assert talk.downstream.deadline - talk.loop.now == left
        assert talk.client.ending is None
        talk.advance(left + 2.0)
        assert talk.client.ending == "end"

    def test_request_under_way_is_answered_and_told(self) -> None:
        talk = Conversation()
        talk.receive(request())
        talk.service.connections.drain(30.0)
        talk.answer(OK)
        assert b"Connection: close" in talk.client.sent()
        assert talk.client.ending == "end"

    def test_response_under_way_is_finished_and_then_the_connection_ends(self) -> None:
        talk = Conversation()
        talk.receive(request())
        server = talk.server.lend()
        server.receive(response(b"Content-Length: 2", body=b"o"))
        talk.service.connections.drain(30.0)
        server.receive(b"k")
        assert talk.client.sent().endswith(b"ok")
        assert talk.client.ending == "end"

    def test_head_under_way_is_waited_for(self) -> None:
        talk = Conversation()
        talk.receive(b"GET / HT")
        talk.service.connections.drain(30.0)
        assert talk.client.ending is None
        talk.receive(b"TP/1.1\r\nHost: chat.test\r\n\r\n")
        talk.answer(OK)
        assert b"Connection: close" in talk.client.sent()
        assert talk.client.ending == "end"


class TestSwap:
    """Another configuration takes effect: whoever could connect now continues, by it."""

    servers: Sequence[FakeServer] = ()
    """Of the routes that were made last."""

    def use(self, talk: Conversation, **changes: Any) -> None:
        runtime = talk.service.runtime
        if self.servers:
            runtime = replace(runtime, upstreams={**runtime.upstreams, "new": upstream(*self.servers)})
        talk.service.use(replace(runtime, **changes), 30.0)
        talk.loop.settle()

    def routes(self, host: str = "chat.test", *, requires_pq: bool = False) -> RouteTable[RouteTarget]:
        self.servers = [FakeServer(FakeLoop())]
        return RouteTable([Route(host, "/", RouteTarget(f"{host}/new", "new", requires_pq, 100_000))])

    def switched(self, talk: Conversation) -> FakeStream:
        """Open a WebSocket."""
        talk.receive(WEBSOCKET)
        server = talk.server.lend()
        server.receive(SWITCHED)
        talk.loop.settle()
        assert talk.client.sent().startswith(b"HTTP/1.1 101 ")
        return server

    def test_next_request_is_served_by_the_new_one(self) -> None:
        talk = Conversation()
        talk.receive(request())
        talk.answer(OK)
        self.use(talk, routes=self.routes())
        talk.receive(request())
        assert not talk.server.waiting
        assert len(self.servers[0].waiting) == 1

    def test_request_under_way_is_answered_by_the_old_one(self) -> None:
        talk = Conversation()
        talk.receive(request())
        self.use(talk, routes=RouteTable([]))
        talk.client.sent()
        talk.answer(OK)
        assert talk.client.sent().startswith(b"HTTP/1.1 200 ")
        assert talk.client.ending is None

    @pytest.mark.parametrize("stays", [True, False])
    def test_websocket_that_opens_meanwhile_is_judged_by_the_new_one(self, stays: bool) -> None:  # noqa: FBT001
        talk = Conversation()
        talk.receive(WEBSOCKET)
        self.use(talk, routes=talk.service.runtime.routes if stays else RouteTable([]))
        server = talk.server.lend()
        server.receive(SWITCHED)
        talk.loop.settle()
        talk.advance(30.0)
        assert (b"a reload removed its route" in talk.client.sent()) is not stays

    def test_classical_connection_ends_after_its_response_when_hybrids_are_required(self) -> None:
        talk = Conversation(group=CLASSICAL)
        talk.receive(request())
        self.use(talk, policies={"public": handshake_policy(HYBRID)})
        assert talk.client.ending is None
        talk.answer(OK)
        assert b"Connection: close" in talk.client.sent()
        assert talk.client.ending == "end"

    @pytest.mark.parametrize("asked", [0, 1])
    def test_idle_one_ends_at_once(self, asked: int) -> None:
        talk = Conversation(group=CLASSICAL)
        for _ in range(asked):
            talk.receive(request())
            talk.answer(OK)
        self.use(talk, policies={"public": handshake_policy(HYBRID)})
        assert talk.client.ending == "end"

    def test_hybrid_connection_stays_under_it(self) -> None:
        talk = Conversation()
        self.use(talk, policies={"public": handshake_policy(HYBRID)})
        talk.receive(request())
        talk.answer(OK)
        assert talk.client.sent().startswith(b"HTTP/1.1 200 ")
        assert talk.client.ending is None

    def test_websocket_stays_untouched(self) -> None:
        talk = Conversation()
        server = self.switched(talk)
        server.sent()
        self.use(talk, routes=self.routes())
        talk.advance(60)
        assert (talk.client.sent(), server.sent(), talk.client.ending) == (b"", b"", None)

    @pytest.mark.parametrize(
        "stricter",
        [
            {"routes": "gone"},
            {"routes": "require"},
            {"policies": {"public": handshake_policy(HYBRID)}},
            {"policies": {}},
            {"policies": {"public": handshake_policy(identities=[server_identity("other")])}},
        ],
        ids=["route gone", "route requires pq", "listener requires pq", "listener gone", "name of another identity"],
    )
    def test_websocket_that_is_not_allowed_any_more_is_told_within_half_of_the_drain_time(
        self, stricter: dict[str, Any]
    ) -> None:
        talk = Conversation(group=CLASSICAL)
        server = self.switched(talk)
        server.sent()
        tables = {"gone": self.routes("other.test"), "require": self.routes(requires_pq=True)}
        self.use(
            talk, **{key: tables.get(value, value) if key == "routes" else value for key, value in stricter.items()}
        )
        assert talk.client.ending is None
        talk.advance(15.1)
        first, length, *payload = talk.client.sent()
        assert (first, length) == (0x88, len(payload))
        assert int.from_bytes(payload[:2], "big") == 1012
        assert server.sent()[0] == 0x88
        talk.advance(6)
        (record,) = talk.records
        assert record.error is not None
        assert "a reload" in record.error or "its route is gone or stricter now" in record.error


class TestGivingUp:
    """The drain has taken long enough."""

    def test_request_under_way_is_cut_and_logged(self) -> None:
        talk = Conversation()
        talk.receive(request())
        server = talk.server.lend()
        talk.service.connections.give_up("the proxy has ended")
        assert (talk.client.ending, server.ending) == ("cut", "abort")
        assert [(record.status, record.error) for record in talk.records] == [(499, "the proxy has ended")]

    def test_connection_without_a_request_leaves_no_line(self) -> None:
        talk = Conversation()
        talk.service.connections.give_up("the proxy has ended")
        assert (talk.client.ending, talk.records) == ("cut", [])
        talk.receive(request())
        assert not talk.server.waiting


class TestRefusals:
    """Answers of our own."""

    def test_fault_of_the_upstream_says_nothing_about_it(self) -> None:
        talk = Conversation()
        talk.receive(request())
        talk.server.fail(UpstreamFault.UNREACHABLE)
        sent = talk.client.sent()
        assert status(sent) == 502
        assert json.loads(sent.partition(b"\r\n\r\n")[2])["detail"] == "the upstream could not be reached"
        assert b"tried" not in sent
        assert talk.records[0].error == "the upstream could not be reached: tried"
        assert talk.client.ending is None

    def test_route_that_demands_a_hybrid_names_the_group(self) -> None:
        talk = Conversation(requires_pq=True, group=CLASSICAL)
        talk.receive(request())
        sent = talk.client.sent()
        assert status(sent) == 403
        assert json.loads(sent.partition(b"\r\n\r\n")[2])["group"] == "X25519"

    def test_refusal_within_an_upload_ends_the_connection(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 9", body=b"abc"))
        talk.server.fail()
        assert status(talk.client.sent()) == 502
        assert talk.client.ending == "end"


class TestTunnel:
    """A WebSocket takes the connection over."""

    def test_frames_go_both_ways(self) -> None:
        talk = Conversation()
        talk.receive(WEBSOCKET)
        server = talk.server.lend()
        server.receive(SWITCHED + b"\x81\x02hi")
        sent = talk.client.sent()
        assert status(sent) == 101
        assert sent.endswith(b"\r\n\r\n\x81\x02hi")
        server.sent()
        talk.client.receive(b"\x81\x82\0\0\0\0yo")
        assert server.sent() == b"\x81\x82\0\0\0\0yo"
        server.receive_end()
        (record,) = talk.records
        assert (record.status, record.messages) == (101, (1, 1))
        assert (record.request_bytes, record.response_bytes) == (8, 4)

    def test_its_server_knows_of_it_until_it_ends(self) -> None:
        talk = Conversation()
        talk.receive(WEBSOCKET)
        server = talk.server.lend()
        server.receive(SWITCHED)
        assert len(talk.server.server.tunnels) == 1
        server.receive_end()
        assert talk.server.server.tunnels == set()

    def test_its_server_does_not_keep_one_that_ends_as_it_begins(self) -> None:
        talk = Conversation()
        talk.receive(WEBSOCKET)
        talk.server.lend().receive(SWITCHED + b"\xff\x02no")
        assert talk.server.server.tunnels == set()
        assert talk.records[0].error is not None

    def test_frames_that_were_sent_ahead_wait_for_the_switch(self) -> None:
        talk = Conversation()
        talk.receive(WEBSOCKET + b"\x81\x82\0\0\0\0yo")
        server = talk.server.lend()
        assert b"yo" not in server.sent()
        server.receive(SWITCHED)
        assert server.sent() == b"\x81\x82\0\0\0\0yo"

    def test_client_that_was_paused_for_sending_ahead_is_read_again(self) -> None:
        talk = Conversation()
        talk.receive(WEBSOCKET + b"\x82\xfe\x04\xb0\0\0\0\0" + b"x" * 1_100)
        talk.receive(b"x" * 50)
        assert not talk.client.is_reading
        talk.server.lend().receive(SWITCHED)
        assert talk.client.is_reading

    def test_client_that_does_not_even_take_the_switch_holds_the_server_back(self) -> None:
        talk = Conversation()
        talk.receive(WEBSOCKET)
        server = talk.server.lend()
        talk.client.is_full = True
        server.receive(SWITCHED)
        assert not server.is_reading
        talk.client.take()
        assert server.is_reading

    def test_frames_sent_ahead_of_a_refusal_are_no_request(self) -> None:
        talk = Conversation()
        talk.receive(WEBSOCKET + request(start=b"GET /smuggled HTTP/1.1"))
        talk.answer(response(b"Content-Length: 0", start=b"HTTP/1.1 403 Forbidden"))
        assert status(talk.client.sent()) == 403
        assert talk.client.ending == "end"
        talk.loop.settle()
        assert len(talk.records) == 1


class TestLog:
    """One record per request, with every field."""

    def test_record_has_every_field(self) -> None:
        talk = Conversation()
        talk.receive(upload(b"Content-Length: 3", body=b"abc").replace(b"/upload", b"/a?secret=1"))
        server = talk.server.lend()
        talk.loop.now += 1
        server.receive(response(b"Content-Length: 2", start=b"HTTP/1.1 201 Created", body=b"o"))
        talk.loop.now += 1
        server.receive(b"k")
        (record,) = talk.records
        assert record.time == WALL_CLOCK
        assert record.target == TargetRecord("chat.test", "POST", "/a", None)
        assert (record.status, record.request_bytes, record.response_bytes) == (201, 3, 2)
        assert (record.first_byte, record.duration) == (1, 2)
        assert (record.upstream, record.route) == ("http://127.0.0.1:8000", "chat.test/")
        assert (record.error, record.messages) == (None, None)
        assert record.connection == ClientRecord(
            "192.0.2.7", "public", "chat.test", "X25519MLKEM768", "hybrid", resumed=False, protocol="http/1.1"
        )

    def test_query_is_logged_where_that_is_wanted(self) -> None:
        talk = Conversation(logs_query=True)
        talk.receive(b"".join(request(start=b"GET %b HTTP/1.1" % target) for target in (b"/a?x=1", b"/a?x=2", b"/a")))
        server = talk.server.lend()
        for _ in range(3):
            server.receive(OK)
            talk.loop.settle()
        targets = [record.target for record in talk.records]
        assert [one and (one.path, one.query) for one in targets] == [("/a", "x=1"), ("/a", "x=2"), ("/a", "")]

    def test_request_that_was_not_understood_has_a_record_too(self) -> None:
        talk = Conversation()
        talk.receive(b"GARBAGE\r\n\r\n")
        (record,) = talk.records
        assert (record.status, record.target, record.upstream) == (400, TargetRecord(None, "GARBAGE", "", None), None)
        assert (record.first_byte, record.duration) == (0, 0)
        assert record.response_bytes == len(talk.client.sent().partition(b"\r\n\r\n")[2])

    @pytest.mark.parametrize("logs_query", [True, False])
    @pytest.mark.parametrize(
        ("line", "status"),
        [(b"BREW /pot?a=b HTTP/1.1", 501), (b"GET /pot?a=b HTTP/2.0", 505), (b"GET /pot?a=b\x7f HTTP/1.1", 400)],
    )
    def test_what_a_refused_request_asked_for_is_in_its_record(
        self,
        line: bytes,
        status: int,
        logs_query: bool,  # noqa: FBT001
    ) -> None:
        for pieces in ([line + b"\r\nHost: chat.test\r\n\r\nGET /next"], [line, b"\r\nHost: chat.test", b"\r\n\r\n"]):
            talk = Conversation(logs_query=logs_query)
            talk.receive(*pieces)
            (record,) = talk.records
            assert record.target is not None
            assert (record.status, record.target.host, record.target.path) == (status, "chat.test", "/pot")
            assert record.target.method == line.split()[0].decode()
            assert (record.target.query is not None) is logs_query

    def test_what_came_of_a_head_that_did_not_come_in_time_is_in_its_record(self) -> None:
        talk = Conversation()
        talk.receive(b"GET /slow HTTP/1.1\r\nHost: chat.test\r\nX:")
        talk.advance(LIMITS.head_seconds + 1)
        (record,) = talk.records
        assert (record.status, record.target) == (408, TargetRecord("chat.test", "GET", "/slow", None))

    def test_trusted_peer_names_the_request(self) -> None:
        for is_trusted in (True, False):
            talk = Conversation(is_trusted=is_trusted)
            talk.receive(request(b"X-Request-Id: theirs"))
            assert (b"X-Request-Id: theirs" in talk.answer(OK)) is is_trusted
            assert (talk.records[0].request_id == "theirs") is is_trusted
