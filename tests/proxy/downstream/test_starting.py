"""What has to let a request pass before its responder starts, and in which order."""

from proxy.auth.rules import AuthRule
from proxy.limits.requests import ClientRates, RequestRate
from tests.fakes_http import Conversation, request

ONE = RequestRate.of("chat.test/", 0.1, 1, is_per_client=True)
AUTH = AuthRule("sso", b"/", frozenset(), 5.0)


def test_open_route_starts_at_once() -> None:
    of = Conversation()
    of.receive(request())
    assert (len(of.server.waiting), of.sso.waiting) == (1, [])


def test_rate_counts_before_anybody_is_asked() -> None:
    of = Conversation(rate=ONE, rates=ClientRates(b"network"), auth=AUTH)
    of.receive(request())
    assert len(of.sso.waiting) == 1
    stream = of.sso.lend()
    stream.receive(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    of.loop.settle()
    of.client.sent()
    of.receive(request())
    assert of.client.sent().startswith(b"HTTP/1.1 429 ")
    assert stream.sent().count(b"GET / ") == 1
