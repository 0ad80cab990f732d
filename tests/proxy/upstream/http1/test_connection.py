"""One connection to a server: where responses end, when it may be used again, and what a loss means."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from proxy.http.fields import sort_request_fields
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.responses import ResponseReader
from proxy.http.websocket.upgrade import WebSocketOffer, accept_value
from proxy.net.deadlines import NEVER
from proxy.upstream.http1.connection import UpstreamConnection
from proxy.upstream.pooling.failures import UpstreamFault
from proxy.upstream.pooling.pools import ResponseLimits
from tests.fakes import FakeLoop
from tests.fakes_http import RESPONSES, FakeStream, RecordingExchange, octets, request_head, response

BODY = RequestFraming(BodyKind.LENGTH, 100, True, False, False, None, b"", b"", b"", sort_request_fields([]))  # noqa: FBT003
OFFER = WebSocketOffer(b"dGhlIHNhbXBsZSBub25jZQ==", (b"chat",), b"")


@dataclass
class RecordingKeeper:
    """The pool, as a connection sees it."""

    events: list[str] = field(default_factory=list)
    next_borrower: Any = None

    def returned(self, connection: UpstreamConnection) -> None:
        """Note it, or lend the connection at once."""
        self.events.append("returned")
        if self.next_borrower is not None:
            exchange, self.next_borrower = self.next_borrower, None
            connection.begin(exchange, request_head(), None, b"GET /next HTTP/1.1\r\n\r\n")
            connection.is_request_complete = True

    def closed(self, connection: UpstreamConnection) -> None:
        """Note it."""
        del connection
        self.events.append("closed")


class Line:
    """A connection with one exchange on it."""

    def __init__(self, method: bytes = b"GET", *, limits: ResponseLimits = RESPONSES, offer: Any = None) -> None:
        self.loop = FakeLoop()
        self.keeper = RecordingKeeper()
        self.connection = UpstreamConnection(self.keeper, limits, ResponseReader(), self.loop.time)
        self.server = FakeStream(self.loop)
        self.server.owner = self.connection
        self.connection.stream = self.server
        self.exchange = self.borrow(method, offer)

    def borrow(self, method: bytes = b"GET", offer: Any = None, *, complete: bool = True) -> RecordingExchange:
        """Begin another exchange."""
        exchange = RecordingExchange()
        self.connection.begin(exchange, request_head(method), offer, method + b" / HTTP/1.1\r\n\r\n")
        self.connection.is_request_complete = complete
        return exchange

    def receive(self, data: bytes | memoryview) -> list[tuple[str, Any]]:
        """Have the server send; answers what the exchange was told."""
        self.server.receive(data)
        return self.exchange.told()

    def lose(self, error: OSError | None = None) -> list[tuple[str, Any]]:
        """Close the socket; answers what the exchange was told."""
        self.server.lose(error)
        return self.exchange.told()


class TestEndOfResponse:
    """RFC 9112 section 6.3: each kind of body, and what becomes of the connection."""

    @pytest.mark.parametrize(
        ("method", "answer", "body"),
        [
            (b"GET", response(b"Content-Length: 5", body=b"hello"), b"hello"),
            (b"GET", response(b"Content-Length: 0"), b""),
            (b"GET", response(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"), b"hello"),
            (b"HEAD", response(b"Content-Length: 5"), b""),
            (b"HEAD", response(b"Transfer-Encoding: chunked"), b""),
            (b"GET", response(start=b"HTTP/1.1 204 No Content"), b""),
            (b"GET", response(b"Content-Length: 5", start=b"HTTP/1.1 304 Not Modified"), b""),
        ],
    )
    def test_complete_response_gives_the_connection_back(self, method: bytes, answer: bytes, body: bytes) -> None:
        for pieces in ([answer], octets(answer)):
            line = Line(method)
            for piece in pieces:
                line.server.receive(piece)
            (_, status), *data, (end, trailers) = line.exchange.told()
            assert (status, end, trailers) == (int(answer[9:12]), "ended", [])
            assert b"".join(piece for _, piece in data) == body
            assert line.connection.is_idle
            assert line.keeper.events == ["returned"]
            assert line.server.ending is None

    def test_close_delimited_response_ends_with_the_stream(self) -> None:
        line = Line()
        assert line.receive(response(body=b"hel")) == [("started", 200), ("data", b"hel")]
        assert line.receive(b"lo") == [("data", b"lo")]
        line.server.receive_end()
        assert line.exchange.told() == [("ended", [])]
        assert line.server.ending == "abort"
        assert line.keeper.events == []

    def test_trailers_are_handed_over(self) -> None:
        line = Line()
        told = line.receive(response(b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n0\r\nDigest: abc\r\n\r\n"))
        assert told[-1] == ("ended", [(b"Digest", b"abc")])

    @pytest.mark.parametrize("answer", [b"Connection: close", b"Connection: Close"])
    def test_server_that_closes_is_not_reused(self, answer: bytes) -> None:
        line = Line()
        line.receive(response(answer, b"Content-Length: 2", body=b"ok"))
        assert (line.server.ending, line.keeper.events) == ("abort", [])
        line.loop.settle()
        assert line.keeper.events == ["closed"]

    @pytest.mark.parametrize(
        "answer",
        [
            response(b"Content-Length: 2", body=b"okHTTP/1.1 200 OK\r\n\r\n"),
            response(b"Transfer-Encoding: chunked", body=b"0\r\n\r\nx"),
            response(b"Content-Length: 0", body=b"\r\n"),
            response(start=b"HTTP/1.1 204 No Content", body=b"x"),
        ],
    )
    def test_bytes_behind_the_response_make_the_connection_useless(self, answer: bytes) -> None:
        line = Line()
        assert line.receive(answer)[-1] == ("ended", [])
        assert (line.server.ending, line.keeper.events) == ("abort", [])

    def test_response_to_an_unfinished_request_makes_the_connection_useless(self) -> None:
        line = Line()
        line.connection.is_request_complete = False
        assert line.receive(response(b"Content-Length: 0"))[-1] == ("ended", [])
        assert (line.server.ending, line.keeper.events) == ("abort", [])

    def test_next_exchange_gets_the_next_response(self) -> None:
        line = Line()
        second = RecordingExchange()
        line.keeper.next_borrower = second
        assert line.receive(response(b"Content-Length: 2", body=b"ok"))[-1] == ("ended", [])
        assert not second.events
        line.server.receive(response(b"Content-Length: 3", body=b"two"))
        assert second.told() == [("started", 200), ("data", b"two"), ("ended", [])]
        assert line.exchange.told() == []
        assert line.connection.exchanges == 2

    def test_everything_that_one_read_brought_is_flushed_once(self) -> None:
        line = Line()
        line.receive(response(b"Transfer-Encoding: chunked", body=b"1\r\na\r\n1\r\nb\r\n"))
        assert line.exchange.flushes == 1


class TestUnaskedBytes:
    """Bytes that no request asked for would be taken for the answer to the next one."""

    @pytest.mark.parametrize("further", [b"", b"more"])
    def test_large_reads_are_judged_as_small_ones(self, further: bytes) -> None:
        line = Line()
        body = bytes(range(250)) * 400
        told = line.receive(memoryview(response(b"Content-Length: 100000") + body + further))
        assert told == [("started", 200), ("data", body), ("ended", [])]
        assert line.keeper.events == (["returned"] if not further else [])
        assert line.server.ending == ("abort" if further else None)

    def test_long_head_of_a_large_read_is_found(self) -> None:
        head = replace(RESPONSES.head, header_bytes=8_000)
        line = Line(limits=replace(RESPONSES, head_bytes=8_000, head=head))
        long = [b"X-Long-%d: %b" % (number, b"x" * 1_000) for number in range(5)]
        told = line.receive(memoryview(response(b"Content-Length: 9000", *long) + b"y" * 9_000))
        assert told == [("started", 200), ("data", b"y" * 9_000), ("ended", [])]

    def test_bytes_on_an_idle_connection_close_it(self) -> None:
        line = Line()
        line.receive(response(b"Content-Length: 0"))
        assert line.receive(b"HTTP/1.1 408 Request Timeout\r\n\r\n") == []
        assert line.server.ending == "abort"
        assert not line.connection.is_idle

    def test_bytes_behind_a_close_are_ignored(self) -> None:
        line = Line()
        line.connection.abandon()
        assert line.receive(response(b"Content-Length: 0")) == []

    def test_end_of_an_idle_connection_closes_it(self) -> None:
        line = Line()
        line.receive(response(b"Content-Length: 0"))
        line.server.receive_end()
        line.loop.settle()
        assert line.keeper.events == ["returned", "closed"]


class TestInformational:
    """RFC 9110 section 15.2."""

    def test_interim_responses_come_before_the_final_one(self) -> None:
        line = Line()
        told = line.receive(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
            + response(b"Content-Length: 0")
        )
        assert told == [("informational", 100), ("informational", 103), ("started", 200), ("ended", [])]

    def test_progress_may_be_told_for_as_long_as_the_work_lasts(self) -> None:
        line = Line()
        for _ in range(20):
            assert line.receive(b"HTTP/1.1 102 Processing\r\n\r\n") == [("informational", 102)]
            line.loop.now += 2.0

    def test_flood_of_them_is_a_fault(self) -> None:
        line = Line()
        told = line.receive(b"HTTP/1.1 102 Processing\r\n\r\n" * 4)
        assert told == [("informational", 102)] * 3 + [("failed", (UpstreamFault.INFORMATIONAL_FLOOD, False))]
        assert line.server.ending == "abort"


class TestSwitching:
    """RFC 6455 section 4.1: the stream goes over to the exchange once the handshake is verified."""

    ANSWER = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept_value(OFFER.key)
        + b"\r\n\r\n"
    )

    @pytest.mark.parametrize("rest", [b"", b"\x81\x02hi"])
    def test_verified_switch_hands_over_the_stream(self, rest: bytes) -> None:
        line = Line(offer=OFFER)
        assert line.receive(self.ANSWER + rest) == [("switched", (line.server, rest))]
        assert line.keeper.events == ["closed"]
        assert line.server.ending is None
        assert line.connection.deadline == NEVER

    def test_wrong_accept_is_a_fault(self) -> None:
        line = Line(offer=OFFER)
        told = line.receive(self.ANSWER.replace(accept_value(OFFER.key), b"AAAA"))
        assert told == [("failed", (UpstreamFault.MALFORMED, False))]
        assert line.server.ending == "abort"

    def test_switch_that_nobody_asked_for_is_a_fault(self) -> None:
        assert Line().receive(self.ANSWER) == [("failed", (UpstreamFault.MALFORMED, False))]


class TestMalformed:
    """Whatever the server sends wrong ends the exchange and the connection."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
            response(b"Content-Length: 1", b"Content-Length: 2"),
            response(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
            response(b"X: " + b"a" * 4_000),
        ],
    )
    def test_malformed_head(self, answer: bytes) -> None:
        for pieces in ([answer], octets(answer)):
            line = Line()
            for piece in pieces:
                line.server.receive(piece)
            assert line.exchange.told() == [("failed", (UpstreamFault.MALFORMED, False))]
            assert line.server.ending == "abort"

    @pytest.mark.parametrize("size", [1, 3, 1_000])
    def test_head_with_bare_line_feeds_is_not_waited_for(self, size: int) -> None:
        line = Line()
        data = b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"
        told = [
            event
            for at in range(0, len(data), size)
            if line.server.ending is None
            for event in line.receive(data[at : at + size])
        ]
        assert told == [("failed", (UpstreamFault.MALFORMED, False))]

    def test_head_without_an_end_is_bounded(self) -> None:
        line = Line()
        told: list[tuple[str, Any]] = []
        for _ in range(5):
            told += line.receive(b"X: " + b"a" * 997)
        assert told == [("failed", (UpstreamFault.MALFORMED, False))]

    def test_malformed_chunk_ends_a_response_that_has_begun(self) -> None:
        line = Line()
        assert line.receive(response(b"Transfer-Encoding: chunked", body=b"1\r\na\r\n")) == [
            ("started", 200),
            ("data", b"a"),
        ]
        assert line.receive(b"zz\r\n") == [("failed", (UpstreamFault.MALFORMED, False))]


class TestLoss:
    """What a lost connection means, and when a request may be sent again."""

    def test_death_of_a_fresh_connection_is_the_fault_of_its_server(self) -> None:
        assert Line().lose() == [("failed", (UpstreamFault.CLOSED, False))]

    @pytest.mark.parametrize("how", ["reset", "end"])
    def test_reused_connection_that_dies_unanswered_is_excused(self, how: str) -> None:
        line = Line()
        line.receive(response(b"Content-Length: 0"))
        line.exchange = line.borrow()
        if how == "reset":
            told = line.lose(ConnectionResetError())
        else:
            line.server.receive_end()
            told = line.exchange.told()
        assert told == [("failed", (UpstreamFault.CLOSED, True))]
        line.loop.settle()
        assert line.keeper.events == ["returned", "closed"]

    @pytest.mark.parametrize("part", [b"HTTP/1.1 200", b"HTTP/1.1 100 Continue\r\n\r\n"])
    def test_reused_connection_that_began_to_answer_has_cut_it(self, part: bytes) -> None:
        line = Line()
        line.receive(response(b"Content-Length: 0"))
        line.exchange = line.borrow()
        line.receive(part)
        assert line.lose() == [("failed", (UpstreamFault.CUT, False))]

    @pytest.mark.parametrize(
        "part", [response(b"Content-Length: 5", body=b"he"), response(b"Transfer-Encoding: chunked", body=b"5\r\nhe")]
    )
    def test_end_within_a_body_is_a_cut(self, part: bytes) -> None:
        line = Line()
        assert line.receive(part) == [("started", 200), ("data", b"he")]
        line.server.receive_end()
        assert line.exchange.told() == [("failed", (UpstreamFault.CUT, False))]

    def test_reset_within_a_close_delimited_body_is_a_cut(self) -> None:
        line = Line()
        line.receive(response(body=b"he"))
        assert line.lose(ConnectionResetError()) == [("failed", (UpstreamFault.CUT, False))]

    @pytest.mark.parametrize(
        ("truncated", "told"), [(True, ("failed", (UpstreamFault.CUT, False))), (False, ("ended", []))]
    )
    def test_encrypted_close_delimited_body_needs_close_notify(self, told: tuple[str, Any], *, truncated: bool) -> None:
        line = Line()
        line.receive(response(body=b"he"))
        line.server.receive_end(truncated=truncated)
        assert line.exchange.told() == [told]

    def test_loss_is_told_to_the_keeper_once(self) -> None:
        line = Line()
        line.lose()
        line.loop.settle()
        assert line.keeper.events == ["closed"]


class TestDeadlines:
    """How long a server may take; every deadline is a moment of the loop's clock."""

    def test_server_has_its_time_for_the_first_byte_from_the_last_piece_on(self) -> None:
        line = Line()
        assert line.connection.deadline == line.loop.now + 60
        line.loop.advance(10)
        line.connection.write_body(BODY, b"more")
        assert line.connection.deadline == line.loop.now + 60

    def test_server_owes_nothing_while_the_request_is_awaited_unless_it_takes_nothing(self) -> None:
        line = Line()
        line.connection.await_request()
        assert line.connection.deadline == NEVER
        line.server.is_full = True
        line.connection.write_body(BODY, b"more")
        line.connection.await_request()
        assert line.connection.deadline == line.loop.now + 60
        line.server.take()
        line.connection.await_request()
        assert line.connection.deadline == NEVER

    def test_no_first_byte_in_time(self) -> None:
        line = Line()
        line.connection.deadline_passed(line.loop.now)
        assert line.exchange.told() == [("failed", (UpstreamFault.FIRST_BYTE_TIMEOUT, False))]
        assert line.server.ending == "abort"

    def test_response_that_stalls(self) -> None:
        line = Line()
        line.receive(b"HTTP/1.1 200 OK\r\n")
        assert line.connection.deadline == line.loop.now + 50
        line.connection.deadline_passed(line.loop.now)
        assert line.exchange.told() == [("failed", (UpstreamFault.RESPONSE_STALLED, False))]

    def test_server_is_not_blamed_while_the_client_takes_nothing(self) -> None:
        line = Line()
        line.receive(response(b"Content-Length: 5", body=b"he"))
        line.connection.pause_reading()
        assert (line.connection.deadline, line.server.is_reading) == (NEVER, False)
        line.connection.resume_reading()
        assert (line.connection.deadline, line.server.is_reading) == (line.loop.now + 50, True)

    def test_server_that_was_not_held_back_has_no_more_time(self) -> None:
        """The client was slow, and there was room for what came: its server owes the first byte as before."""
        line = Line()
        deadline = line.connection.deadline
        line.loop.now += 1
        line.connection.resume_reading()
        assert line.connection.deadline == deadline

    def test_unused_connection_is_closed_after_a_while(self) -> None:
        line = Line()
        line.receive(response(b"Content-Length: 0"))
        assert line.connection.deadline == line.loop.now + 20
        line.connection.deadline_passed(line.loop.now)
        assert line.server.ending == "abort"
        assert line.connection.deadline == NEVER
        assert line.exchange.told() == []

    def test_unused_connection_can_be_closed_at_once(self) -> None:
        line = Line()
        line.receive(response(b"Content-Length: 0"))
        line.connection.close_idle()
        assert line.server.ending == "abort"

    def test_server_that_takes_no_more_has_its_time_though_the_client_owes_the_next_piece(self) -> None:
        line = Line()
        line.connection.await_request()
        line.connection.pause_writing()  # it shows at the end of the turn, when what was written is sent
        assert line.connection.deadline == line.loop.now + 60


class TestBackPressure:
    """What the server takes is the exchange's business; on an idle connection it is nobody's."""

    def test_server_that_takes_no_more_pauses_the_exchange(self) -> None:
        line = Line()
        line.server.is_full = True
        line.connection.write_body(BODY, b"body")
        assert line.exchange.told() == [("pause", None)]
        line.server.take()
        assert line.exchange.told() == [("resume", None)]

    def test_nobody_is_paused_on_an_idle_connection(self) -> None:
        line = Line()
        line.receive(response(b"Content-Length: 0"))
        line.connection.pause_writing()
        line.connection.resume_writing()
        assert line.exchange.told() == []


def test_abandoned_exchange_hears_nothing_more() -> None:
    line = Line()
    line.connection.abandon()
    assert line.server.ending == "abort"
    assert line.lose() == []
    assert line.keeper.events == ["closed"]


def test_head_at_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    padding = b"X: " + b"a" * 100
    answer = response(b"Content-Length: 0", padding)
    at_limit = replace(RESPONSES, head_bytes=len(answer) - 4)
    below = replace(RESPONSES, head_bytes=len(answer) - 5)
    for pieces in ([answer], octets(answer)):
        taken, refused = Line(limits=at_limit), Line(limits=below)
        for piece in pieces:
            taken.server.receive(piece)
            refused.server.receive(piece)
        assert taken.exchange.told() == [("started", 200), ("ended", [])]
        assert refused.exchange.told() == [("failed", (UpstreamFault.MALFORMED, False))]
