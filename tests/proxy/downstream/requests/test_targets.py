"""Which route a request takes, or why it takes none."""

import pytest

from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.request import Request
from proxy.downstream.requests.targets import RouteTarget
from proxy.http.framing import request_framing
from proxy.http.head import parse_request_head
from proxy.http.routing import Route, RouteTable
from proxy.routes.conditions import Alternatives, Conditions
from tests.fakes_http import LIMITS, established, request


def target(label: str) -> RouteTarget:
    """Where a route leads."""
    return RouteTarget(label, "chat", requires_pq=False, body_bytes=1_000)


ROUTES = RouteTable(
    [
        Route("chat.test", "/", target("root")),
        Route("chat.test", "/admin", target("admin")),
    ]
)


def admitted(start: bytes = b"GET / HTTP/1.1", host: bytes = b"chat.test") -> RouteTarget | RequestRefusal:
    """Judge a request on a connection for chat.test or other.test."""
    head = parse_request_head(request(start=start, host=host), LIMITS.head)
    tls = established("other.test" if host == b"other.test" else "chat.test")
    return Request(b"", 0, head, request_framing(head)).routed(tls, ROUTES)


def refusal(start: bytes = b"GET / HTTP/1.1", host: bytes = b"chat.test") -> RequestRefusal:
    """Judge a request that is refused."""
    refused = admitted(start, host)
    assert isinstance(refused, RequestRefusal)
    return refused


@pytest.mark.parametrize(
    ("path", "label"), [(b"/", "root"), (b"/x?next=/admin", "root"), (b"/administer", "root"), (b"/admin/x", "admin")]
)
def test_request_goes_where_its_path_leads(path: bytes, label: str) -> None:
    found = admitted(b"GET %b HTTP/1.1" % path)
    assert isinstance(found, RouteTarget)
    assert found.label == label


@pytest.mark.parametrize("host", [b"CHAT.test", b"chat.test:8443", b"chat.test."])
def test_host_is_compared_as_names_are(host: bytes) -> None:
    assert isinstance(admitted(host=host), RouteTarget)


@pytest.mark.parametrize("host", [b"evil.test", b"sub.chat.test", b"192.0.2.1"])
def test_name_that_the_certificate_was_not_chosen_for_is_misdirected(host: bytes) -> None:
    refused = refusal(host=host)
    assert (refused.status, refused.reason) == (421, "misdirected_host")


def test_absolute_target_for_another_host_is_misdirected_too() -> None:
    refused = refusal(b"GET https://evil.test/ HTTP/1.1", b"evil.test")
    assert refused.status == 421


def test_path_that_readers_might_take_differently_is_refused() -> None:
    refused = refusal(b"GET //x/admin HTTP/1.1")
    assert (refused.status, refused.reason) == (400, "ambiguous_path")


def test_host_without_a_route_has_nothing() -> None:
    refused = refusal(host=b"other.test")
    assert (refused.status, refused.reason) == (404, "no_route")


BY_METHOD = RouteTarget(
    "chat.test/m",
    "",
    requires_pq=False,
    body_bytes=0,
    alternatives=Alternatives(
        [
            (Conditions(frozenset({b"POST"}), ((b"x-version", b"2"),)), target("two")),
            (Conditions(frozenset({b"POST"})), target("one")),
        ]
    ),
)


def by_condition(*lines: bytes, start: bytes = b"POST /m HTTP/1.1") -> RouteTarget | RequestRefusal:
    """Judge a request where only conditions tell routes apart."""
    head = parse_request_head(request(*lines, start=start), LIMITS.head)
    routes = RouteTable([Route("chat.test", "/", target("root")), Route("chat.test", "/m", BY_METHOD)])
    return Request(b"", 0, head, request_framing(head)).routed(established(), routes)


@pytest.mark.parametrize(("lines", "label"), [((), "one"), ((b"X-Version: 2",), "two")])
def test_route_with_most_conditions_takes_the_request(lines: tuple[bytes, ...], label: str) -> None:
    found = by_condition(*lines)
    assert isinstance(found, RouteTarget)
    assert found.label == label


@pytest.mark.parametrize(
    ("start", "lines", "status", "reason"),
    [
        (b"GET /m HTTP/1.1", (), 405, "method_not_allowed"),
        (b"POST /m HTTP/1.1", (b"X-Version: 2", b"X-Version: 1"), 400, "ambiguous_condition"),
        (b"POST /m HTTP/1.1", (b"X_Version: 2",), 400, "ambiguous_condition"),
    ],
)
def test_path_with_conditions_is_not_passed_by(
    start: bytes, lines: tuple[bytes, ...], status: int, reason: str
) -> None:
    """The route above, which takes every request, does not step in."""
    refused = by_condition(*lines, start=start)
    assert isinstance(refused, RequestRefusal)
    assert (refused.status, refused.reason) == (status, reason)
    assert refused.allow == (b"POST" if status == 405 else None)


def test_field_of_a_condition_cannot_be_named_away() -> None:
    """A proxy in front may have written it."""
    for lines in ((b"X-Version: 2", b"Connection: x-version"), (b"Connection: x_version",)):
        found = by_condition(*lines)
        assert isinstance(found, RequestRefusal)
        assert (found.status, found.reason) == (400, "ambiguous_condition")
    assert isinstance(by_condition(b"Connection: x-other"), RouteTarget)


def test_conditions_that_fail_leave_nothing() -> None:
    only = RouteTarget(
        "x",
        "",
        requires_pq=False,
        body_bytes=0,
        alternatives=Alternatives([(Conditions(query=((b"v", None),)), target("v"))]),
    )
    head = parse_request_head(request(), LIMITS.head)
    routes = RouteTable([Route("chat.test", "/", only)])
    refused = Request(b"", 0, head, request_framing(head)).routed(established(), routes)
    assert isinstance(refused, RequestRefusal)
    assert refused.status == 404
