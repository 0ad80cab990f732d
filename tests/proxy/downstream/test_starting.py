"""What has to let a request pass before its responder starts, and in which order."""

from proxy.auth.grant import Grant
from proxy.auth.rules import AuthRule
from proxy.limits.requests import ClientRates, RequestRate
from tests.fakes_http import Conversation, request, response

ONE = RequestRate.of("chat.test/", 0.1, 1, is_per_client=True)
AUTH = AuthRule("sso", b"/", frozenset(), 5.0)


def test_open_route_starts_at_once() -> None:
    of = Conversation()
    of.receive(request())
    assert (len(of.server.waiting), of.sso.waiting) == (1, [])


def test_open_route_withholds_fields_in_which_others_tell_who_the_client_is() -> None:
    of = Conversation(withheld=Grant(frozenset({b"x-user"})))
    forged, plain = request(b"x_User: root", b"A: 1"), request(b"A: 1")
    of.receive(forged)
    server = of.server.lend()
    for sent in (forged, plain, plain, forged, b""):
        got = server.sent()
        assert b"root" not in got
        assert b"\r\nA: 1\r\n" in got
        server.receive(response(b"Content-Length: 0"))
        of.receive(sent)


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
