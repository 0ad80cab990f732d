"""One request and its response: streamed both ways, retried where that is safe, cut where the
client must see it."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from config.tables.upstream import Balance, HashKind, HashSource, SameSite
from proxy.downstream.pipeline.exchange import Exchange
from proxy.downstream.requests.body import BodyLimits
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.refusals import RequestRefusal, body_too_long, too_many_websockets
from proxy.downstream.requests.request import RequestReader
from proxy.downstream.requests.targets import RouteTarget
from proxy.downstream.service.response_buffer import BufferLimits
from proxy.http.chunked import ChunkedDecoder
from proxy.http.delivery import Persistence
from proxy.http.head import MalformedMessage
from proxy.http.websocket.frames import Extensions
from proxy.http.websocket.upgrade import accept_value
from proxy.net.deadlines import NEVER
from proxy.upstream.pooling.failures import UpstreamFault
from proxy.upstream.servers.sticky import CookieSettings
from proxy.upstream.servers.upstream import RequestFacts, Upstream
from tests.fakes_http import (
    CHUNKS,
    DATE,
    LIMITS,
    TRUST,
    WALL_CLOCK,
    Conversation,
    FakeClient,
    FakeServer,
    FakeStream,
    changed,
    established,
    octets,
    request,
    response,
    upstream,
)
from tests.waiting import until_found

if TYPE_CHECKING:
    from proxy.downstream.requests.requester import PeerTrust

CHUNKED = b"Transfer-Encoding: chunked"
EMPTY = response(b"Content-Length: 0")
WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


STICKY: Any = {
    "balance": Balance.STICKY_COOKIE,
    "cookie": CookieSettings("__Host-chat", bytes(32), 1_000, SameSite.LAX),
}


class Case:
    """One exchange between a client that is a record and servers that the test plays."""

    def __init__(
        self,
        *lines: bytes,
        start: bytes = b"GET / HTTP/1.1",
        servers: int = 1,
        body_limit: int = 1_000,
        gathered: int = 0,
        streams: bool = False,
        **rules: Any,
    ) -> None:
        shared = Conversation(
            limits=changed(LIMITS, bodies=BodyLimits(CHUNKS, gathered))
        )  # for its loop and its service
        self.loop = shared.loop
        self.service = shared.service
        self.servers = [FakeServer(self.loop, str(number)) for number in range(servers)]
        self.service.runtime = replace(self.service.runtime, upstreams={"chat": upstream(*self.servers, **rules)})
        self.target = RouteTarget(
            "chat.test/",
            "chat",
            requires_pq=False,
            body_bytes=body_limit,
            streams_requests=streams,
        )
        self.request = RequestReader().read(request(*lines, start=start), LIMITS.head)
        self.client = FakeClient()
        self.trust: PeerTrust | None = None
        writer = self.client.writer_for(self.request)
        self.exchange = Exchange(self.client, writer, self.service, self.request, b"f00-1")
        self.exchange.target = self.target
        self.client.exchange = self.exchange
        self.exchange.refused_by(body_limit)

    @property
    def upstream(self) -> Upstream:
        """What the exchange asks."""
        return self.service.runtime.upstreams["chat"]

    def share(self, other: "Case") -> None:
        """Ask the servers of another case."""
        self.servers, self.service.runtime = other.servers, other.service.runtime

    def start(self) -> "Case":
        """Ask for a connection."""
        facts = ClientFacts("192.0.2.7", "public", established(), self.trust)
        self.request.requester = facts.client_of(self.request.framing.fields)
        self.exchange.start(self.request.upstream_fields())
        return self

    def feed(self, data: bytes) -> None:
        """Have a piece of the body come."""
        assert self.exchange.receive(data) == b""
        self.exchange.proceed()

    @property
    def is_asked(self) -> bool:
        """Whether a connection is waited for."""
        return any(server.waiting for server in self.servers)

    def asked(self) -> FakeServer:
        """The server whose connection is waited for."""
        (server,) = [server for server in self.servers if server.waiting]
        return server

    def lend(self) -> FakeStream:
        """Give the connection that is waited for; the head has been sent on it."""
        return self.asked().lend()

    def begun(self) -> FakeStream:
        """Start, lend, and forget the head."""
        server = self.start().lend()
        server.sent()
        self.client.told()
        return server

    def told(self) -> list[tuple[str, Any]]:
        """What the client was told since the last look."""
        return self.client.told()


def head_and_body(data: bytes) -> tuple[list[bytes], bytes]:
    """A response's lines, and what stands behind its head."""
    head, _, body = data.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def refusal(told: list[tuple[str, Any]]) -> tuple[int, str]:
    """The only thing that a client was told, a refusal."""
    ((kind, refused),) = told
    assert kind == "refuse"
    assert isinstance(refused, RequestRefusal)
    return refused.status, refused.detail


class TestRequestBody:
    """What came of the body continues, and nothing that does not belong to it."""

    def test_request_without_a_body_is_complete_at_once(self) -> None:
        for start in (b"GET / HTTP/1.1", b"POST / HTTP/1.1"):
            assert Case(start=start).exchange.is_request_complete
        assert Case(b"Content-Length: 0", start=b"POST / HTTP/1.1").exchange.is_request_complete

    @pytest.mark.parametrize("feed", [lambda data: [data], octets])
    def test_body_of_a_length_is_forwarded_and_no_more(self, feed: Any) -> None:
        case = Case(b"Content-Length: 5", start=b"POST / HTTP/1.1")
        server = case.begun()
        excess = b"".join(case.exchange.receive(piece) for piece in feed(b"hello"))
        assert excess == b""
        assert case.exchange.is_request_complete
        assert server.sent() == b"hello"
        assert case.exchange.tally.request_bytes == 5

    def test_what_stands_behind_the_body_is_given_back(self) -> None:
        case = Case(b"Content-Length: 5", start=b"POST / HTTP/1.1")
        server = case.begun()
        assert case.exchange.receive(b"helloGET /") == b"GET /"
        assert server.sent() == b"hello"

    @pytest.mark.parametrize("feed", [lambda data: [data], octets])
    def test_chunks_are_written_anew_without_extensions_and_trailers(self, feed: Any) -> None:
        case = Case(CHUNKED, start=b"POST / HTTP/1.1")
        server = case.begun()
        excess = b"".join(case.exchange.receive(piece) for piece in feed(b"5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n"))
        assert excess == b""
        sent = server.sent()
        assert sent.endswith(b"0\r\n\r\n")
        assert b"x=y" not in sent
        assert b"A: b" not in sent
        assert b"".join(sent.split(b"\r\n")[1:-3:2]) == b"hello"

    def test_what_stands_behind_the_last_chunk_is_given_back(self) -> None:
        case = Case(CHUNKED, start=b"POST / HTTP/1.1")
        case.begun()
        assert case.exchange.receive(b"0\r\n\r\nGET /") == b"GET /"

    def test_malformed_chunk_goes_no_further(self) -> None:
        case = Case(CHUNKED, start=b"POST / HTTP/1.1")
        server = case.begun()
        with pytest.raises(MalformedMessage):
            case.exchange.receive(b"2\r\nabX\r\n")
        assert server.sent() == b""

    def test_declared_length_over_the_limit_is_known_at_once(self) -> None:
        case = Case(b"Content-Length: 1001", start=b"POST / HTTP/1.1")
        assert case.exchange.refused_by(1_000) == body_too_long(1_000)
        assert case.exchange.refused_by(1_001) is None

    def test_chunks_over_the_limit_are_refused(self) -> None:
        case = Case(CHUNKED, start=b"POST / HTTP/1.1", body_limit=5)
        server = case.begun()
        case.exchange.receive(b"5\r\nhello\r\n")
        with pytest.raises(MalformedMessage) as caught:
            case.exchange.receive(b"1\r\n!\r\n")
        assert caught.value.status == 413
        assert server.sent() == b"5\r\nhello\r\n"

    def test_body_that_comes_before_the_connection_waits_with_it(self) -> None:
        case = Case(b"Content-Length: 6", start=b"POST / HTTP/1.1").start()
        case.exchange.receive(b"he")
        case.exchange.proceed()
        assert case.told() == [("pause", None)]
        case.exchange.receive(b"ll")
        server = case.lend()
        assert server.sent().endswith(b"\r\n\r\nhell")
        assert case.told()[-1] == ("resume", None)
        case.exchange.receive(b"o!")
        assert server.sent() == b"o!"

    def test_body_that_came_whole_before_the_connection_pauses_nobody(self) -> None:
        case = Case(b"Content-Length: 2", start=b"POST / HTTP/1.1").start()
        case.exchange.receive(b"ok")
        server = case.lend()
        assert case.told() == []
        server.receive(EMPTY)
        assert case.servers[0].idle, "the connection can be used again"

    def test_server_that_takes_no_more_pauses_the_client(self) -> None:
        case = Case(b"Content-Length: 6", start=b"POST / HTTP/1.1")
        server = case.begun()
        server.is_full = True
        case.exchange.receive(b"abc")
        assert case.told() == [("pause", None)]
        server.take()
        assert case.told() == [("resume", None)]

    def test_server_that_takes_nothing_of_what_was_held_pauses_the_client_too(self) -> None:
        case = Case(b"Content-Length: 6", start=b"POST / HTTP/1.1").start()
        case.exchange.receive(b"abc")
        server = FakeServer(case.loop)
        server.waiting, case.servers[0].waiting = case.servers[0].waiting, []
        stream = lend_full(server)
        assert case.told()[-1] == ("pause", None)
        stream.take()
        assert case.told()[-1] == ("resume", None)

    def test_server_owes_nothing_while_the_client_owes_a_piece(self) -> None:
        case = Case(b"Content-Length: 6", start=b"POST / HTTP/1.1").start()
        server = case.lend()
        assert server.owner.deadline == NEVER
        server.is_full = True
        case.exchange.receive(b"abc")
        assert server.owner.deadline == case.loop.now + 60, "it does not take what there is"
        server.take()
        assert server.owner.deadline == NEVER
        server.receive(TestInformational.HINTS)
        assert server.owner.deadline == NEVER
        case.exchange.receive(b"def")
        assert server.owner.deadline == case.loop.now + 60

    def test_server_owes_its_word_to_a_client_that_waits_for_it(self) -> None:
        case = Case(b"Content-Length: 2", b"Expect: 100-continue", start=b"POST / HTTP/1.1").start()
        server = case.lend()
        assert server.owner.deadline == case.loop.now + 60
        server.receive(TestInformational.CONTINUE)
        assert server.owner.deadline == NEVER

    def test_client_that_does_not_wait_for_the_word_owes_the_rest(self) -> None:
        case = Case(b"Content-Length: 2", b"Expect: 100-continue", start=b"POST / HTTP/1.1").start()
        server = case.lend()
        case.exchange.receive(b"o")
        assert server.owner.deadline == NEVER

    def test_complete_request_pauses_and_resumes_nobody(self) -> None:
        case = Case()
        case.begun()
        case.exchange.pause_writing()
        case.exchange.resume_writing()
        assert case.told() == []


class TestGathering:
    """No server is asked before there is enough of the body."""

    def case(self, *lines: bytes, start: bytes = b"POST / HTTP/1.1", streams: bool = False) -> Case:
        """Eight bytes are gathered."""
        return Case(*lines, start=start, gathered=8, streams=streams)

    def test_short_body_is_complete_before_a_server_is_asked(self) -> None:
        case = self.case(b"Content-Length: 8").start()
        case.feed(b"1234")
        case.feed(b"567")
        assert not case.is_asked
        case.feed(b"8")
        server = case.lend()
        assert server.sent().endswith(b"\r\nContent-Length: 8\r\nX-Request-Id: f00-1\r\n\r\n12345678")
        assert case.told() == [], "a client is not held back while its body is gathered"
        server.receive(EMPTY)
        assert case.servers[0].idle, "the connection can be used again"

    def test_body_that_came_with_its_head_waits_for_nothing(self) -> None:
        case = self.case(b"Content-Length: 8")
        assert case.exchange.receive(b"12345678GET /") == b"GET /"
        assert case.start().lend().sent().endswith(b"12345678")

    @pytest.mark.parametrize("line", [b"Content-Length: 20", CHUNKED])
    def test_longer_body_pays_for_a_server_with_what_is_gathered(self, line: bytes) -> None:
        case = self.case(line).start()
        pieces = [b"1234", b"5678", b"90"]
        first, second, third = [b"4\r\n1234\r\n", b"4\r\n5678\r\n", b"2\r\n90\r\n"] if line == CHUNKED else pieces
        case.feed(first)
        assert not case.is_asked
        assert case.told() == []
        case.feed(second)
        assert case.is_asked
        assert case.told() == [("pause", None)], "what comes behind it waits in the kernel"
        server = case.lend()
        body = server.sent().partition(b"\r\n\r\n")[2]
        assert body == (b"8\r\n12345678\r\n" if line == CHUNKED else b"12345678")
        assert case.told() == [("resume", None)]
        case.feed(third)
        assert server.sent() == third

    def test_chunked_body_that_ends_early_is_complete_before_a_server_is_asked(self) -> None:
        case = self.case(CHUNKED).start()
        case.feed(b"3\r\nabc\r\n")
        case.feed(b"0\r\n\r\n")
        assert case.lend().sent().endswith(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")

    def test_request_without_a_body_asks_at_once(self) -> None:
        assert self.case(start=b"GET / HTTP/1.1").start().is_asked

    def test_client_that_waits_is_told_to_go_on_by_us(self) -> None:
        case = self.case(b"Content-Length: 2", b"Expect: 100-continue").start()
        assert case.told() == [("send", TestInformational.CONTINUE)]
        assert not case.exchange.holds_client_back
        assert not case.is_asked
        case.feed(b"ok")
        server = case.lend()
        assert b"Expect" not in server.sent(), "it is met"
        server.receive(TestInformational.CONTINUE + EMPTY)
        ((kind, data), _) = case.told()
        assert kind == "send"
        assert data.startswith(b"HTTP/1.1 200 "), "and is not told twice"

    @pytest.mark.parametrize("came", [b"o", b"ok"])
    def test_client_that_does_not_wait_is_not(self, came: bytes) -> None:
        case = self.case(b"Content-Length: 2", b"Expect: 100-continue")
        case.exchange.receive(came)
        case.start()
        assert case.told() == []
        if came != b"ok":
            case.feed(b"k")
        assert b"Expect" not in case.lend().sent()

    def test_old_client_is_not_told_either(self) -> None:
        case = self.case(b"Content-Length: 2", b"Expect: 100-continue", start=b"POST / HTTP/1.0").start()
        assert case.told() == []

    @pytest.mark.parametrize("lines", [(CHUNKED,), (b"Content-Length: 2", b"Expect: 100-continue")])
    def test_route_that_streams_asks_with_the_head(self, lines: tuple[bytes, ...]) -> None:
        case = self.case(*lines, streams=True).start()
        assert case.told() == []
        assert (b"Expect" in case.lend().sent()) is (len(lines) > 1)

    def test_route_that_streams_gathers_what_has_a_length(self) -> None:
        assert not self.case(b"Content-Length: 2", streams=True).start().is_asked

    def test_met_expectation_is_not_told_on_a_route_that_streams(self) -> None:
        case = self.case(b"Content-Length: 2", b"Expect: 100-continue", streams=True)
        case.exchange.receive(b"ok")
        assert b"Expect" not in case.start().lend().sent()

    def test_upstream_that_is_down_is_found_out_when_it_is_asked(self) -> None:
        case = self.case(b"Content-Length: 2").start()
        case.upstream.apply_health(case.servers[0].name, is_up=False)
        assert case.told() == []
        case.feed(b"ok")
        assert refusal(case.told())[0] == 503

    def test_next_server_gets_the_same_body(self) -> None:
        case = Case(b"Content-Length: 2", start=b"POST / HTTP/1.1", servers=2, gathered=8).start()
        case.feed(b"ok")
        case.asked().fail()
        assert case.lend().sent().endswith(b"\r\n\r\nok")

    def test_client_that_leaves_meanwhile_has_asked_nobody(self) -> None:
        case = self.case(b"Content-Length: 9").start()
        case.feed(b"1234")
        case.exchange.abandon()
        assert not case.is_asked
        assert case.exchange.receive(b"5678") == b""
        case.exchange.proceed()
        assert not case.is_asked


def lend_full(server: FakeServer) -> FakeStream:
    """Lend a connection whose peer takes nothing from the start."""
    made: list[FakeStream] = []

    class FullStream(FakeStream):
        def __init__(self, loop: Any) -> None:
            super().__init__(loop)
            self.is_full = True
            made.append(self)

    return server.lend(FullStream)


class TestResponse:
    """What the server answers continues in the client's framing."""

    @pytest.mark.parametrize("feed", [lambda data: [data], octets])
    def test_response_of_a_length(self, feed: Any) -> None:
        case = Case()
        server = case.begun()
        for piece in feed(response(b"Content-Length: 5", b"X-App: 1", body=b"hello")):
            server.receive(piece)
        (sent, data), finished = case.told()
        lines, body = head_and_body(data)
        assert (sent, body) == ("send", b"hello")
        assert lines == [
            b"HTTP/1.1 200 OK",
            b"X-App: 1",
            b"Date: " + DATE,
            b"X-Request-Id: f00-1",
            b"Via: 1.1 plexigate",
            b"Content-Length: 5",
        ]
        assert finished == ("finished", Persistence.IMPLICIT)
        assert (case.exchange.tally.status, case.exchange.tally.response_bytes) == (200, 5)

    def test_response_has_begun_once_its_head_has_come(self) -> None:
        case = Case()
        server = case.begun()
        assert not case.exchange.has_responded
        server.receive(response(b"Content-Length: 5"))
        assert case.exchange.has_responded

    def test_one_read_of_the_server_is_one_write_to_the_client(self) -> None:
        case = Case()
        case.begun().receive(response(CHUNKED, body=b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"))
        assert len(case.client.writes) == 1
        assert case.client.writes[0].endswith(b"\r\n\r\n2\r\nab\r\n0\r\n\r\n")

    def test_close_delimited_response_becomes_chunks(self) -> None:
        case = Case()
        server = case.begun()
        server.receive(response(body=b"he"))
        server.receive(b"llo")
        server.receive_end()
        (_, data), finished = case.told()
        lines, body = head_and_body(data)
        assert CHUNKED in lines
        assert body == b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
        assert finished == ("finished", Persistence.IMPLICIT)

    @pytest.mark.parametrize("answer", [response(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"), response(body=b"hello")])
    def test_old_client_gets_no_chunks_but_the_end_of_its_connection(self, answer: bytes) -> None:
        case = Case(b"Connection: keep-alive", start=b"GET / HTTP/1.0")
        server = case.begun()
        server.receive(answer)
        if CHUNKED not in answer:
            server.receive_end()
        (_, data), finished = case.told()
        lines, body = head_and_body(data)
        assert body == b"hello"
        assert b"Connection: close" in lines
        assert finished == ("finished", Persistence.CLOSE)

    def test_trailers_go_to_who_takes_them(self) -> None:
        answer = response(CHUNKED, b"Trailer: X-Sum", body=b"1\r\na\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n")
        for lines, tail in (
            ((b"TE: trailers", b"Connection: TE"), b"0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"),
            ((), b"0\r\n\r\n"),
        ):
            case = Case(*lines)
            case.begun().receive(answer)
            assert case.told()[0][1].endswith(b"1\r\na\r\n" + tail)

    @pytest.mark.parametrize("start", [b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified"])
    def test_status_without_a_body(self, start: bytes) -> None:
        case = Case()
        case.begun().receive(response(start=start))
        (_, data), finished = case.told()
        assert data.startswith(start)
        assert data.endswith(b"\r\n\r\n")
        assert b"Content-Length" not in data
        assert finished == ("finished", Persistence.IMPLICIT)

    def test_response_to_head_has_no_body(self) -> None:
        case = Case(start=b"HEAD / HTTP/1.1")
        case.begun().receive(response(b"Content-Length: 5"))
        (_, data), _ = case.told()
        assert data.endswith(b"Content-Length: 5\r\n\r\n")

    def test_client_whose_connection_is_to_end_is_told(self) -> None:
        case = Case()
        server = case.begun()
        case.client.may_stay = False
        server.receive(EMPTY)
        (_, data), finished = case.told()
        assert b"Connection: close" in head_and_body(data)[0]
        assert finished == ("finished", Persistence.CLOSE)

    def test_early_response_to_an_unfinished_upload_ends_the_connection(self) -> None:
        case = Case(b"Content-Length: 6", start=b"POST / HTTP/1.1")
        server = case.begun()
        server.receive(response(b"Content-Length: 0", start=b"HTTP/1.1 413 Content Too Large"))
        (_, data), finished = case.told()
        assert data.startswith(b"HTTP/1.1 413 ")
        assert finished == ("finished", Persistence.CLOSE)
        assert server.ending == "abort"

    def test_client_that_takes_no_more_pauses_the_server(self) -> None:
        case = Case()
        server = case.begun()
        case.client.is_full = True
        server.receive(response(b"Content-Length: 5", body=b"he"))
        assert not server.is_reading
        case.exchange.resume_response()
        assert server.is_reading

    def test_client_that_takes_no_more_leaves_the_server_alone_while_there_is_room(self) -> None:
        case = Case()
        server = case.begun()
        case.client.is_full, case.client.room = True, 1_000
        server.receive(response(b"Content-Length: 1000", body=bytes(100)))
        assert server.is_reading
        server.receive(bytes(800))
        assert not server.is_reading, "head and body were written"
        case.exchange.resume_response()
        assert server.is_reading

    def test_client_that_takes_nothing_while_it_waits_pauses_the_connection_that_it_gets(self) -> None:
        case = Case().start()
        case.exchange.pause_response()
        server = case.lend()
        assert not server.is_reading
        case.exchange.resume_response()
        assert server.is_reading

    def test_client_that_takes_no_more_before_a_response_pauses_the_server(self) -> None:
        """It may be full of informational responses: what comes behind them must not pile up."""
        case = Case()
        server = case.begun()
        case.exchange.pause_response()
        assert not server.is_reading
        case.exchange.resume_response()
        assert server.is_reading
        server.receive(EMPTY)
        case.exchange.pause_response()
        case.exchange.resume_response()
        assert server.is_reading


BODY = bytes(range(256)) * 1_000
"""More than three pieces of the spool."""
BODIES = {
    "length": (b"Content-Length: %d" % len(BODY), BODY),
    "chunked": (CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "to the end": (b"X: y", BODY),
}


class TestSpooling:
    """A client that takes nothing for long: its server is free, and it gets all of the answer."""

    @pytest.fixture
    def case(self, tmp_path: Path) -> Case:
        """A case with a spool."""
        case = Case()
        case.service.spool.open_in([str(tmp_path)])
        case.service.unread_answers.limits = BufferLimits(0, 1_000, 1_000_000)
        return case

    def held(self, case: Case, line: bytes = BODIES["length"][0]) -> FakeStream:
        """Its client took the head only, and the time for which a server waits has passed."""
        server = case.begun()
        case.client.is_full = True
        server.receive(response(line))
        assert not server.is_reading
        case.loop.advance(6.0)
        assert server.is_reading
        return server

    def got(self, case: Case) -> bytes:
        """The body that the client got so far, of an answer of known length."""
        return b"".join(case.client.writes).partition(b"\r\n\r\n")[2]

    @pytest.mark.parametrize("kind", BODIES)
    def test_server_is_free_and_the_client_gets_all_of_it(self, case: Case, kind: str) -> None:
        line, body = BODIES[kind]
        server = self.held(case, line)
        case.told()
        server.receive(body[:1_000])
        server.receive(body[1_000:])
        if kind == "to the end":
            server.receive_end()
        assert len(case.servers[0].idle) == (kind != "to the end")
        assert case.told() == []
        assert (case.exchange.has_responded, case.exchange.keeps_body) == (True, False)
        case.exchange.resume_response()
        case.loop.settle()
        *_, (_, sent), finished = case.told()
        assert finished[0] == "finished"
        assert (sent if kind == "length" else ChunkedDecoder(CHUNKS, case.loop.time).receive_data(sent)) == BODY
        assert case.service.unread_answers.budget.held == 0

    def test_client_that_reads_again_before_anything_was_spooled_gets_it_all(self, case: Case) -> None:
        line, body = BODIES["chunked"]
        server = self.held(case, line)
        case.told()
        case.exchange.resume_response()
        assert case.told() == []
        server.receive(body)
        assert case.told()[-1][0] == "finished"

    def test_client_that_is_blocked_again_gets_the_rest_later(self, case: Case) -> None:
        server = self.held(case)
        server.receive(BODY[:-1])
        for _ in range(3):
            case.client.is_full = True
            case.exchange.resume_response()
            case.loop.settle()
        assert 0 < len(self.got(case)) < len(BODY)
        server.receive(BODY[-1:])
        case.exchange.resume_response()
        case.loop.settle()
        assert self.got(case) == BODY
        assert case.told()[-1][0] == "finished"

    def test_answer_goes_on_without_the_spool_once_the_client_has_caught_up(self, case: Case) -> None:
        server = self.held(case)
        server.receive(BODY[:1_000])
        case.exchange.resume_response()
        assert self.got(case) == BODY[:1_000]
        case.loop.settle()
        server.receive(BODY[1_000:])
        assert self.got(case) == BODY
        assert case.told()[-1][0] == "finished"

    def test_server_waits_for_room_in_the_spool(self, case: Case) -> None:
        case.service.unread_answers.limits = BufferLimits(0, 1_000, 60_000)
        server = self.held(case)
        server.receive(BODY[:60_000])
        assert not server.is_reading
        case.exchange.resume_response()
        case.loop.settle()
        assert server.is_reading
        server.receive(BODY[60_000:])
        assert self.got(case) == BODY

    def test_failure_of_the_server_cuts_it(self, case: Case) -> None:
        server = self.held(case)
        server.receive(BODY[:1_000])
        server.lose()
        assert case.told()[-1] == ("cut", UpstreamFault.CUT.sentence)
        assert case.service.unread_answers.budget.held == 0

    def test_nothing_is_left_when_the_client_leaves(self, case: Case) -> None:
        server = self.held(case)
        server.receive(BODY)
        case.exchange.abandon()
        assert case.service.unread_answers.budget.held == 0
        case.exchange.resume_response()
        case.loop.settle()
        assert self.got(case) == b""

    def test_spool_that_cannot_be_read_cuts_it(self, case: Case) -> None:
        server = self.held(case)
        server.receive(BODY)
        thread = case.service.spool._writing
        assert thread is not None
        until_found(lambda: len(case.loop.ready) == 4)  # all pieces are written
        case.loop.settle()
        os.ftruncate(thread._descriptor, 0)
        case.exchange.resume_response()
        assert case.told()[-1] == ("cut", "the spool cannot be read: the spool does not have what was written")

    def test_it_may_have_to_give_way(self, case: Case) -> None:
        server = self.held(case)
        server.receive(BODY)
        case.exchange.displaced("reader_displaced: why")
        assert case.told()[-1] == ("late", "reader_displaced: why")

    def test_rest_of_a_request_means_nothing_once_its_answer_is_complete(self, tmp_path: Path) -> None:
        case = Case(b"Content-Length: 6", start=b"POST / HTTP/1.1", streams=True)
        case.service.spool.open_in([str(tmp_path)])
        case.service.unread_answers.limits = BufferLimits(0, 1_000, 1_000_000)
        self.held(case).receive(BODY)
        assert case.exchange.receive(b"rest") == b""
        case.exchange.end_request()

    def test_server_that_has_not_answered_goes_on_waiting(self, case: Case) -> None:
        server = case.begun()
        case.exchange.pause_response()
        case.loop.advance(60.0)
        assert not server.is_reading
        case.exchange.resume_response()
        assert server.is_reading


class TestInformational:
    """RFC 9110 section 15.2."""

    CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
    HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"

    def test_continue_goes_to_who_waits_for_it_once(self) -> None:
        case = Case(b"Content-Length: 2", b"Expect: 100-continue", start=b"POST / HTTP/1.1")
        server = case.begun()
        server.receive(self.CONTINUE * 2)
        assert case.told() == [("send", self.CONTINUE), ("resume", None)], "it owes its body from now on"

    @pytest.mark.parametrize("lines", [(), (b"Content-Length: 2",)])
    def test_continue_does_not_go_to_who_never_asked(self, lines: tuple[bytes, ...]) -> None:
        case = Case(*lines, start=b"POST / HTTP/1.1")
        case.begun().receive(self.CONTINUE)
        assert case.told() == []

    def test_continue_does_not_go_to_who_waits_no_longer(self) -> None:
        case = Case(b"Content-Length: 2", b"Expect: 100-continue", start=b"POST / HTTP/1.1")
        server = case.begun()
        case.exchange.receive(b"ok")
        server.receive(self.CONTINUE)
        assert case.told() == []

    def test_early_hints_go_on_before_the_response(self) -> None:
        case = Case()
        server = case.begun()
        server.receive(self.HINTS)
        assert case.told() == [("send", self.HINTS)]
        server.receive(EMPTY)
        assert case.told()[-1] == ("finished", Persistence.IMPLICIT)

    def test_old_client_gets_none(self) -> None:
        case = Case(start=b"GET / HTTP/1.0")
        case.begun().receive(self.HINTS)
        assert case.told() == []


class TestFailure:
    """The upstream's faults, as the client sees them."""

    @pytest.mark.parametrize(
        ("fault", "status"),
        [(UpstreamFault.UNREACHABLE, 502), (UpstreamFault.CONNECT_TIMEOUT, 504), (UpstreamFault.BUSY, 503)],
    )
    def test_no_connection_is_answered_by_kind(self, fault: UpstreamFault, status: int) -> None:
        case = Case().start()
        case.servers[0].fail(fault)
        assert refusal(case.told()) == (status, fault.sentence)

    def test_next_server_is_tried_for_every_method(self) -> None:
        case = Case(b"Content-Length: 2", start=b"POST / HTTP/1.1", servers=2).start()
        first = case.asked()
        first.fail()
        second = case.asked()
        assert second is not first
        assert case.exchange.tally.server == second.name
        second.fail()
        assert refusal(case.told())[0] == 502

    def test_upstream_without_a_usable_server_is_refused_at_once(self) -> None:
        case = Case(servers=2, recovery_seconds=7.0)
        for server in case.servers:
            case.upstream.apply_health(server.name, is_up=False)
        ((kind, refused),) = case.start().told()
        assert (kind, refused.status, refused.retry_after) == ("refuse", 503, 7)
        assert refused.detail == UpstreamFault.ALL_DOWN.sentence
        assert not any(server.waiting for server in case.servers)
        assert not case.exchange.is_waiting

    def test_budget_that_is_spent_ends_the_search_for_another_server(self) -> None:
        case = Case(servers=2, retries_per_second=0.0).start()
        first = case.asked()
        first.fail()
        ((_, refused),) = case.told()
        assert (refused.status, refused.reason.endswith("tried; the retry budget is spent")) == (502, True)
        assert not any(server.waiting for server in case.servers)

    def test_next_server_is_not_one_that_went_down_meanwhile(self) -> None:
        case = Case(servers=2).start()
        first = case.asked()
        (other,) = [server for server in case.servers if server is not first]
        case.upstream.apply_health(other.name, is_up=False)
        first.fail()
        assert refusal(case.told())[0] == 502

    @pytest.mark.parametrize(("status", "ejects"), [(b"500 Oh", True), (b"503 No", True), (b"499 You", False)])
    def test_bad_answers_are_told_of_their_server(self, status: bytes, *, ejects: bool) -> None:
        first = Case()
        for _ in range(4):  # as many as the rules take
            case = Case()
            case.share(first)
            answer = response(b"Content-Length: 0", b"Connection: close", start=b"HTTP/1.1 " + status)
            case.begun().receive(answer)
        assert first.servers[0].server.is_ejected is ejects

    def test_answers_that_never_come_are_told_of_their_server(self) -> None:
        servers = Case()
        for _ in range(4):
            case = Case()
            case.share(servers)
            case.begun().lose()
        assert servers.servers[0].server.is_ejected
        assert servers.servers[0].server.failures == 4

    def test_connection_that_died_while_idle_is_not(self) -> None:
        case = Case()
        self.die_after_reuse(case)
        assert case.servers[0].server.failures == 0

    def test_busy_server_is_not_left_for_another(self) -> None:
        case = Case(servers=2).start()
        case.asked().fail(UpstreamFault.BUSY)
        assert refusal(case.told())[0] == 503

    @pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
    def test_idempotent_request_is_sent_again_once(self, method: bytes) -> None:
        case = Case(start=method + b" / HTTP/1.1")
        self.die_after_reuse(case)
        assert case.told() == []
        again = case.lend()
        assert again.sent().startswith(method)
        again.receive(EMPTY)
        assert case.told()[-1][0] == "finished"

    @pytest.mark.parametrize(
        ("start", "lines"),
        [
            (b"POST / HTTP/1.1", ()),
            (b"PATCH / HTTP/1.1", ()),
            (b"POST / HTTP/1.1", (b"Content-Length: 0",)),
            (b"GET / HTTP/1.1", (b"Content-Length: 2",)),
        ],
    )
    def test_other_requests_never_are(self, start: bytes, lines: tuple[bytes, ...]) -> None:
        case = Case(*lines, start=start)
        self.die_after_reuse(case)
        assert refusal(case.told())[0] == 502
        assert not case.servers[0].waiting

    @pytest.mark.parametrize("line", [b"Content-Length: 4", CHUNKED])
    def test_idempotent_request_whose_body_was_complete_is_sent_again_with_it(self, line: bytes) -> None:
        """RFC 9110 section 9.2.2: its effect is the same twice, and we have all of it still."""
        case = Case(line, start=b"PUT / HTTP/1.1")
        case.exchange.receive(b"4\r\nbody\r\n0\r\n\r\n" if line == CHUNKED else b"body")
        self.die_after_reuse(case)
        assert case.told() == []
        again = case.lend()
        assert again.sent().partition(b"\r\n\r\n")[2].replace(b"4\r\n", b"").startswith(b"body")
        again.receive(EMPTY)
        assert case.told()[-1][0] == "finished"

    def test_request_whose_body_was_under_way_is_not_sent_again(self) -> None:
        case = Case(b"Content-Length: 4", start=b"PUT / HTTP/1.1")
        case.exchange.receive(b"bo")
        self.die_after_reuse(case)
        assert refusal(case.told())[0] == 502
        assert not case.servers[0].waiting

    def test_fresh_connection_that_dies_unanswered_is_replaced_at_each_other_server(self) -> None:
        case = Case(servers=3)
        case.start()
        for _ in case.servers[1:]:
            case.lend().lose()
            assert case.told() == []
        server = case.lend()
        server.receive(EMPTY)
        assert case.told()[-1][0] == "finished"
        assert [one.server.failures for one in case.servers].count(1) == 2, "each failure counts against its server"

    def test_the_only_server_is_asked_once_more(self) -> None:
        case = Case()
        case.start()
        case.lend().lose()
        case.lend().lose()
        assert refusal(case.told()) == (502, UpstreamFault.CLOSED.sentence)

    def test_answer_that_had_begun_is_never_asked_for_again(self) -> None:
        case = Case(servers=2)
        server = case.begun()
        server.receive(b"HTTP/1.1 2")
        server.lose()
        assert refusal(case.told()) == (502, UpstreamFault.CUT.sentence)

    def test_death_of_the_fresh_one_behind_a_dead_one_has_an_attempt_of_its_own(self) -> None:
        case = Case()
        self.die_after_reuse(case)
        case.lend().lose()
        assert case.told() == []
        case.lend().lose()
        assert refusal(case.told())[0] == 502

    def test_second_death_is_the_last_on_a_reused_connection_too(self) -> None:
        case = Case()
        self.die_after_reuse(case)
        busy = Case()
        busy.share(case)
        waiting = case.servers[0].waiting
        retried = waiting.pop()
        returned = busy.begun()
        waiting.append(retried)
        returned.receive(EMPTY)
        waiting.pop().upstream_acquired(case.servers[0].idle.pop())
        returned.receive_end()
        assert refusal(case.told())[0] == 502

    def test_second_attempt_is_not_made_on_another_connection_that_may_be_dead_too(self) -> None:
        """A server that was restarted has closed all of them, and they hear of it one after the
        other."""
        case = Case()
        others = [Case(), Case()]
        for other in others:
            other.share(case)
            other.start()
        first, second = (case.servers[0].lend() for _ in others)
        for stream in (first, second):
            stream.receive(EMPTY)
        case.start()
        (reused,) = [stream for stream in (first, second) if b"GET / " in stream.sent().partition(b"\r\n\r\n")[2]]
        reused.receive_end()
        assert (first.ending, second.ending) == ("abort", "abort")
        fresh = case.lend()
        fresh.receive(EMPTY)
        assert case.told()[-1][0] == "finished"

    def die_after_reuse(self, case: Case) -> None:
        """Have the exchange get a connection that was used before, and lose it."""
        earlier = Case()
        earlier.share(case)
        server = earlier.begun()
        server.receive(EMPTY)
        case.start()
        server.sent()
        case.told()
        server.receive_end()

    @pytest.mark.parametrize("body", [b"Content-Length: 5", CHUNKED, b"X-Until: close"])
    def test_response_that_breaks_off_is_cut(self, body: bytes) -> None:
        case = Case()
        server = case.begun()
        server.receive(response(body, body=b"2\r\nhe\r\n" if body == CHUNKED else b"he"))
        server.lose(ConnectionResetError())
        (_, data), (kind, reason) = case.told()
        assert kind == "cut"
        assert "middle of its response" in reason
        assert not data.endswith(b"0\r\n\r\n")

    def test_malformed_response_is_a_bad_gateway(self) -> None:
        case = Case()
        case.begun().receive(b"SSH-2.0\r\n\r\n")
        assert refusal(case.told()) == (502, UpstreamFault.MALFORMED.sentence)


class TestBinding:
    """What a choice needs to know of a request, and the cookie that it leads to."""

    def line(self, case: Case) -> list[bytes]:
        """The Set-Cookie lines of the answer."""
        (_, data), _ = case.told()
        return [line for line in head_and_body(data)[0] if line.startswith(b"Set-Cookie: __Host-chat=")]

    def test_client_is_bound_to_the_server_that_answered_and_is_not_bound_anew(self) -> None:
        case = Case(servers=3, **STICKY).start()
        first = case.asked()
        first.lend().receive(EMPTY)
        (line,) = self.line(case)
        cookie = line.partition(b": ")[2].partition(b";")[0]
        for _ in range(5):
            again = Case(b"Cookie: theme=dark; " + cookie, servers=3, **STICKY).start()
            assert again.asked().name == first.name
            again.lend().receive(EMPTY)
            assert self.line(again) == []

    def test_client_is_bound_anew_when_its_server_cannot_be_reached(self) -> None:
        case = Case(servers=2, **STICKY).start()
        failed = case.asked()
        failed.fail()
        used = case.asked()
        assert used is not failed
        case.lend().receive(EMPTY)
        (line,) = self.line(case)
        facts = RequestFacts(b"", [(b"Cookie", line.partition(b": ")[2].partition(b";")[0])], WALL_CLOCK)
        assert case.upstream.choose(facts) is used.server

    def test_websocket_is_bound_too(self) -> None:
        case = Case(*WEBSOCKET, **STICKY)
        case.begun().receive(TestSwitching().answer())
        assert b"\r\nSet-Cookie: __Host-chat=" in case.told()[0][1]

    @pytest.mark.parametrize(
        ("is_trusted", "lines", "address"),
        [
            (False, (b"X-Forwarded-For: 198.51.100.1",), b"192.0.2.7"),
            (True, (b"X-Forwarded-For: 203.0.113.9, 198.51.100.1",), b"198.51.100.1"),
            (True, (), b"192.0.2.7"),
        ],
    )
    def test_hash_is_that_of_the_client(self, lines: tuple[bytes, ...], address: bytes, *, is_trusted: bool) -> None:
        rules: Any = {"balance": Balance.CONSISTENT_HASH, "hash_on": HashSource(HashKind.ADDRESS)}
        case = Case(*lines, servers=9, **rules)
        case.trust = TRUST if is_trusted else None
        expected = case.upstream.choose(RequestFacts(address, [], 0.0))
        assert case.start().asked().server is expected


class TestSwitching:
    """RFC 6455: the exchange becomes a tunnel."""

    def answer(self, *lines: bytes) -> bytes:
        """A 101 that is right."""
        accept = b"Sec-WebSocket-Accept: " + accept_value(b"dGhlIHNhbXBsZSBub25jZQ==")
        return response(
            b"Upgrade: websocket", b"Connection: Upgrade", accept, *lines, start=b"HTTP/1.1 101 Switching Protocols"
        )

    def test_verified_switch_hands_over_the_stream(self) -> None:
        case = Case(*WEBSOCKET)
        server = case.begun()
        server.receive(self.answer() + b"\x81\x02hi")
        (_, data), (kind, switched) = case.told()
        assert data.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"X-Request-Id: f00-1\r\n" in data
        assert (kind, switched.stream, switched.rest) == ("tunnel", server, b"\x81\x02hi")
        assert (switched.server, switched.messages) == (case.servers[0].server, None)
        assert switched.extensions is Extensions.NONE
        assert case.exchange.tally.status == 101

    def test_without_room_the_server_is_let_go_and_the_client_told_when_to_come_again(self) -> None:
        case = Case(*WEBSOCKET)
        refusal = case.client.place = too_many_websockets("connections_per_address")
        server = case.begun()
        server.receive(self.answer())
        assert server.ending == "abort"
        assert case.told() == [("refuse", refusal)]
        assert (refusal.status, refusal.retry_after) == (503, 5)
        assert case.servers[0].server.places.in_use == 0

    def test_who_found_no_room_a_moment_ago_asks_no_server(self) -> None:
        case = Case(*WEBSOCKET)
        case.service.bound_tunnels(0)
        assert case.service.tunnel_places.take(case.exchange.holder, case.servers[0].server) == "out_of_descriptors"
        case.start()
        ((kind, refusal),) = case.told()
        assert (kind, refusal.reason) == ("refuse", "too_many_websockets: out_of_descriptors")
        assert case.servers[0].waiting == []
        assert not case.exchange.is_waiting

    def test_extensions_are_known(self) -> None:
        case = Case(*WEBSOCKET, b"Sec-WebSocket-Extensions: permessage-deflate")
        case.begun().receive(self.answer(b"Sec-WebSocket-Extensions: permessage-deflate"))
        assert case.told()[1][1].extensions is Extensions.NEGOTIATED

    def test_refused_handshake_is_an_ordinary_response_after_which_nothing_is_read(self) -> None:
        case = Case(*WEBSOCKET)
        case.begun().receive(response(b"Content-Length: 2", start=b"HTTP/1.1 403 Forbidden", body=b"no"))
        (_, data), finished = case.told()
        assert data.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert finished == ("finished", Persistence.CLOSE)


class TestAbandon:
    """The client is gone, or its request turned out to be malformed."""

    def test_connection_is_closed(self) -> None:
        case = Case(b"Content-Length: 6", start=b"POST / HTTP/1.1")
        server = case.begun()
        case.exchange.abandon()
        assert server.ending == "abort"
        case.loop.settle()
        assert case.told() == []

    def test_connection_that_comes_too_late_is_left_to_others(self) -> None:
        case = Case().start()
        case.exchange.abandon()
        assert not case.exchange.is_waiting
        server = case.lend()
        assert server.sent() == b""
        assert case.servers[0].idle


def test_times_are_those_of_the_stopwatch() -> None:
    case = Case()
    began = case.loop.now
    case.loop.now += 1
    server = case.begun()
    case.loop.now += 1
    server.receive(response(b"Content-Length: 2"))
    case.loop.now += 1
    server.receive(b"ok")
    exchange = case.exchange
    assert (exchange.tally.started, exchange.tally.first_byte) == (began, began + 2)
    assert exchange.tally.server == "0"
