"""The memory of a connection's requests: it never changes what a request means."""

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.routes.fields import Variable
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.request import RequestReader
from proxy.downstream.requests.targets import LOOP, RouteTarget
from proxy.http.forwarded_head import upstream_fields
from proxy.http.framing import request_framing
from proxy.http.head import HeadLimits, MalformedMessage, parse_request_head
from proxy.http.routing import Route, RouteTable
from proxy.http.via import OwnVia
from proxy.routes.conditions import Alternatives, Conditions
from proxy.routes.field_edits import FieldEdits
from proxy.routes.paths import PrefixChange, Rewrite
from proxy.routes.templates import RequestValues, Template
from tests.facts import facts
from tests.fakes_http import established, request
from tests.mutated_heads import IN_REQUEST_LINES, ODD_IN_REQUESTS, USUAL_IN_REQUESTS, heads

LIMITS = HeadLimits(target_bytes=200, header_count=10, header_bytes=8_192)
NARROW = HeadLimits(target_bytes=100, header_count=12, header_bytes=300)
REQUESTER = ClientFacts("192.0.2.1", "public", established()).requester

LINES = st.sampled_from(
    [
        b"GET /a HTTP/1.1",
        b"GET /b?x=1 HTTP/1.1",
        b"HEAD /a HTTP/1.1",
        b"GET /a HTTP/1.0",
        b"GET https://chat.example.org/a HTTP/1.1",
        b"GET https://other.example.org/a HTTP/1.1",
        b"GET /a\nb HTTP/1.1",
        b"GET /a\rb HTTP/1.1",
        b"GET  /a HTTP/1.1",
        b"GET /" + b"a" * 200 + b" HTTP/1.1",
        b"BREW /a HTTP/1.1",
        b"POST /a HTTP/1.1",
    ]
)
SECTIONS = st.sampled_from(
    [
        b"\r\nHost: chat.example.org\r\n\r\n",
        b"\r\nHost: chat.example.org\r\nCookie: a=b\r\n\r\n",
        b"\r\nHost: chat.example.org\r\nContent-Length: 3\r\n\r\n",
        b"\r\nHost: chat.example.org\r\nContent-Length: 40\r\n\r\n",
        b"\r\nHost: chat.example.org\r\nContent-Length: 0\r\n\r\n",
        b"\r\nHost: chat.example.org\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\r\nHost: chat.example.org\r\nX: " + b"y" * 5_000 + b"\r\n\r\n",
        b"\r\nHost: chat.example.org\r\nConnection: close, x-secret\r\nX-Secret: 1\r\n\r\n",
        b"\r\n\r\n",
    ]
)


def understood(read: object) -> object:
    """What a head comes to, a refusal included: its status, whatever the sentence."""
    try:
        return facts(read())  # type: ignore[operator]
    except MalformedMessage as error:
        return error.status


@given(st.lists(st.tuples(LINES, SECTIONS), max_size=12))
def test_a_request_means_the_same_whatever_came_before_it(heads: list[tuple[bytes, bytes]]) -> None:
    reader = RequestReader()
    for line, section in heads:
        raw = line + section

        def with_memory(raw: bytes = raw) -> object:
            request = reader.read(raw, LIMITS)
            request.requester = REQUESTER
            return request.head, request.framing, request.upstream_fields()

        def without(raw: bytes = raw) -> object:
            head = parse_request_head(raw, LIMITS)
            framing = request_framing(head)
            return head, framing, upstream_fields(head, framing, REQUESTER.peer)

        assert understood(with_memory) == understood(without)


def judged(reader: RequestReader, raw: bytes) -> object:
    """All that a head comes to, or the status and the sentence of its refusal."""
    try:
        read = reader.read(raw, NARROW)
    except MalformedMessage as error:
        return error.status, error.reason
    read.requester = REQUESTER
    return facts((read.head, read.framing)), read.upstream_fields()


def judged_by_llhttp(raw: bytes) -> object:
    try:
        head = parse_request_head(raw, NARROW)
        framing = request_framing(head)
    except MalformedMessage as error:
        return error.status, error.reason
    return facts((head, framing)), upstream_fields(head, framing, REQUESTER.peer)


@pytest.mark.at_length
def test_heads_with_faults_mean_what_llhttp_says_whatever_came_before() -> None:
    accepted = 0
    for seed in range(24):
        reader = RequestReader()
        for raw in heads(seed, 500, IN_REQUEST_LINES, USUAL_IN_REQUESTS, ODD_IN_REQUESTS):
            expected = judged_by_llhttp(raw)
            assert judged(reader, raw) == expected, raw
            accepted += isinstance(expected, tuple) and isinstance(expected[1], bytes)
    assert 5_000 < accepted < 7_000, "else it tries one side alone"


def test_the_same_bytes_are_the_same_request() -> None:
    reader = RequestReader()
    raw = b"GET /a HTTP/1.1\r\nHost: chat.example.org\r\n\r\n"
    assert reader.read(raw, LIMITS) is reader.read(raw, LIMITS)


def test_another_target_shares_the_fields_that_were_written_already() -> None:
    reader = RequestReader()
    first = reader.read(b"GET /a HTTP/1.1\r\nHost: chat.example.org\r\n\r\n", LIMITS)
    first.requester = REQUESTER
    written = first.upstream_fields()
    second = reader.read(b"GET /b HTTP/1.1\r\nHost: chat.example.org\r\n\r\n", LIMITS)
    assert (second.requester, second.upstream_fields()) == (REQUESTER, written)
    assert second.upstream_fields() is written
    assert second.framing.target == b"/b"


def test_another_query_leads_to_the_same_place_without_a_search() -> None:
    tls = established()
    targets = {path: RouteTarget(path, "chat", requires_pq=False, body_bytes=0) for path in ("/", "/a", "/a/b")}
    routes = RouteTable([Route("chat.test", path, target) for path, target in targets.items()])
    reader = RequestReader()
    found = []
    for asked in (b"/a?x", b"/a?y=/a/b", b"/a", b"/a/b?z", b"/ab", b"/a/b", b"/a?x"):
        read = reader.read(request(start=b"GET %b HTTP/1.1" % asked), LIMITS)
        is_known = read.destination._routes is routes
        place = read.routed(tls, routes)
        assert isinstance(place, RouteTarget)
        found.append((place.label, is_known))
    assert found == [
        *(("/a", False), ("/a", True), ("/a", True), ("/a/b", False), ("/", False), ("/a/b", False), ("/a", False))
    ]


def test_a_long_section_is_not_remembered() -> None:
    reader = RequestReader()
    raw = b"GET /a HTTP/1.1\r\nHost: chat.example.org\r\nX: " + b"y" * 5_000 + b"\r\n\r\n"
    assert reader.read(raw, LIMITS) is not reader.read(raw, LIMITS)


@pytest.mark.parametrize(("with_query", "query"), [(True, "x=%22"), (False, None)])
def test_the_log_gets_the_query_only_if_asked(with_query: bool, query: str | None) -> None:  # noqa: FBT001 - a parameter
    request = RequestReader().read(b"GET /a?x=%22 HTTP/1.1\r\nHost: Chat.example.org\r\n\r\n", LIMITS)
    record = request.record(with_query=with_query)
    assert (record.host, record.method, record.path, record.query) == ("chat.example.org", "GET", "/a", query)
    assert request.record(with_query=with_query) is record
    fields = ("referer",)
    told = request.record(with_query=with_query, fields=fields)
    assert (told.fields, told.headers) == (fields, request.head.headers)
    other = request.record(with_query=not with_query)
    assert other.query == (None if with_query else "x=%22"), "a reload of the log's settings holds at once"


def test_request_that_the_proxy_had_before_is_refused_on_every_route() -> None:
    """RFC 9110 section 7.6.3: the name in Via shows it."""
    facts = ClientFacts("192.0.2.1", "public", established())
    facts.via = OwnVia(b"0123456789abcdef")
    target = RouteTarget("chat.test/", "chat", requires_pq=False, body_bytes=0)
    routes = RouteTable([Route("chat.test", "/", target)])
    for name, judged in ((b"0123456789abcdef", LOOP), (b"fedcba9876543210", target)):
        read = RequestReader().read(request(b"Via: 1.1 plexigate-" + name), LIMITS)
        read.requester = facts.requester
        assert read.routed(established(), routes) is judged


class TestChangedPaths:
    """A remembered request keeps what became of its path, and another target gets its own."""

    TARGET = RouteTarget(
        "chat.test/", "chat", requires_pq=False, body_bytes=0, path_change=Rewrite([b"a", 1], [b"b", 1], has_rest=True)
    )
    ROUTES = RouteTable([Route("chat.test", "/", TARGET)])

    def test_each_target_is_changed_by_itself(self) -> None:
        reader = RequestReader()
        for path, changed in ((b"/a/1", b"/b/1"), (b"/a/1", b"/b/1"), (b"/a/2?x", b"/b/2?x"), (b"/a/1", b"/b/1")):
            read = reader.read(request(start=b"GET %b HTTP/1.1" % path), LIMITS)
            assert read.routed(established(), self.ROUTES) is self.TARGET
            assert (read.changed_target, read.framing.target) == (changed, path)

    def test_other_routes_judge_it_anew(self) -> None:
        read = RequestReader().read(request(start=b"GET /a/1 HTTP/1.1"), LIMITS)
        read.routed(established(), self.ROUTES)
        other = replace(self.TARGET, path_change=PrefixChange(b"/a", b""))
        assert read.routed(established(), RouteTable([Route("chat.test", "/", other)])) is other
        assert read.changed_target == b"/1"

    @pytest.mark.parametrize(("path", "status"), [(b"/x/1", 404), (b"/a/%252e%252e", 400)])
    def test_path_without_a_meaning_is_refused(self, path: bytes, status: int) -> None:
        read = RequestReader().read(request(start=b"GET %b HTTP/1.1" % path), LIMITS)
        refused = read.routed(established(), self.ROUTES)
        assert isinstance(refused, RequestRefusal)
        assert refused.status == status

    def test_conditions_are_judged_for_each_target(self) -> None:
        """The same fields with another query are another request."""
        place = RouteTarget(
            "x",
            "",
            requires_pq=False,
            body_bytes=0,
            alternatives=Alternatives([(Conditions(query=((b"v", b"1"),)), self.TARGET)]),
        )
        routes, reader = RouteTable([Route("chat.test", "/", place)]), RequestReader()
        found = [
            reader.read(request(start=b"GET /a/1?v=%b HTTP/1.1" % version), LIMITS).routed(established(), routes)
            for version in (b"1", b"2", b"1")
        ]
        assert [one is self.TARGET for one in found] == [True, False, True]


class TestEditedFields:
    """Field lines that a route changed are kept for the requests with the same section, by that route alone."""

    def test_they_are_those_of_the_route_and_of_the_section(self) -> None:
        reader, facts = RequestReader(), ClientFacts("192.0.2.1", "public", established())
        tagged, other = (FieldEdits(put=[(b"X-Tag", Template([tag]))]) for tag in ("a", "b"))
        told = []
        for path, edits in ((b"/1", tagged), (b"/1", tagged), (b"/2", tagged), (b"/2", other), (b"/3", tagged)):
            read = reader.read(request(start=b"GET %b HTTP/1.1" % path), LIMITS)
            read.requester = facts.requester
            fields = read.upstream_fields()
            told.append(read.edited_fields(edits, fields, lambda: pytest.fail("no value depends on the request")))
        assert [lines[-10:] for lines in told] == [b"X-Tag: a\r\n"] * 3 + [b"X-Tag: b\r\n", b"X-Tag: a\r\n"]
        assert told[0] is told[1] is told[2]

    def test_another_section_gets_its_own(self) -> None:
        reader, facts = RequestReader(), ClientFacts("192.0.2.1", "public", established())
        edits = FieldEdits(removed=[b"x-debug"])
        for line in (b"A: 1", b"A: 2"):
            read = reader.read(request(line), LIMITS)
            read.requester = facts.requester
            assert line in read.edited_fields(edits, read.upstream_fields(), lambda: pytest.fail("none"))

    def test_lines_of_the_response_are_made_once_for_a_section(self) -> None:
        reader = RequestReader()
        hosted, other = (FieldEdits(put=[(name, Template([Variable.HOST]))]) for name in (b"X-Host", b"X-Other"))
        told = []
        for path, edits in ((b"/1", hosted), (b"/2", hosted), (b"/2", other)):
            read = reader.read(request(start=b"GET %b HTTP/1.1" % path), LIMITS)
            told.append(read.response_lines(edits, partial(RequestValues, b"", path, b"", b"")))
        assert told == [[b"X-Host: /1\r\n"], [b"X-Host: /1\r\n"], [b"X-Other: /2\r\n"]]

    def test_id_is_another_one_each_time(self) -> None:
        named = FieldEdits(put=[(b"X-Id", Template([Variable.REQUEST_ID]))])
        asked = RequestReader().read(request(), LIMITS)
        for one in (b"1", b"2"):
            assert asked.response_lines(named, partial(RequestValues, b"", b"", one, b"")) == [b"X-Id: %b\r\n" % one]
        read = RequestReader().read(request(), LIMITS)
        edits = FieldEdits(put=[(b"X-Id", Template([Variable.REQUEST_ID]))])
        told = [
            read.edited_fields(edits, b"Host: a\r\n", partial(RequestValues, b"", b"", one, b""))
            for one in (b"1", b"2")
        ]
        assert told == [b"Host: a\r\nX-Id: 1\r\n", b"Host: a\r\nX-Id: 2\r\n"]
