"""A request that waits for a decision: its body waits with it."""

from dataclasses import replace

from proxy.auth.grant import Grant
from proxy.auth.rules import AuthRule
from tests.fakes_http import Conversation, request, response

YES = response(b"Content-Length: 0", b"X-User: ada")


def waiting(*lines: bytes, start: bytes = b"GET / HTTP/1.1", withheld: Grant | None = None) -> Conversation:
    """A request that an authorization server decides about."""
    of = Conversation(auth=AuthRule("sso", b"/", frozenset({b"x-user"}), 5.0), withheld=withheld)
    of.receive(request(*lines, start=start))
    return of


def decide(of: Conversation) -> None:
    of.sso.lend().receive(YES)
    of.loop.settle()


def test_request_that_is_complete_keeps_its_client_as_it_is() -> None:
    of = waiting()
    assert of.client.is_reading
    decide(of)
    assert b"\r\nx-user: ada\r\n" in of.server.lend().sent()


def test_body_waits_until_the_request_passes() -> None:
    of = waiting(b"Content-Length: 3", start=b"POST / HTTP/1.1")
    assert not of.client.is_reading
    decide(of)
    assert len(of.server.waiting) == 1
    assert of.client.is_reading


def test_what_is_decided_at_once_never_waits() -> None:
    of = Conversation(auth=AuthRule("sso", b"/", frozenset(), 5.0))
    of.sso.server.check_told(is_up=False)
    of.receive(request(b"Content-Length: 3", start=b"POST / HTTP/1.1", body=b"abc"))
    assert of.client.sent().startswith(b"HTTP/1.1 503 ")
    assert of.sso.waiting == []


def test_request_that_waits_keeps_its_upstream_if_a_reload_removes_it() -> None:
    of = waiting()
    runtime = of.service.runtime
    of.service.runtime = replace(runtime, upstreams={"other": runtime.upstreams["chat"]})
    decide(of)
    assert b"\r\nx-user: ada\r\n" in of.answer(response(b"Content-Length: 2", body=b"hi"))
    assert of.client.sent().endswith(b"\r\n\r\nhi")


def test_fields_of_other_routes_to_the_server_are_withheld_beside_those_of_the_verdict() -> None:
    of = waiting(b"X-Mail: root", withheld=Grant(frozenset({b"x-mail"})))
    decide(of)
    got = of.server.lend().sent()
    assert b"root" not in got
    assert b"\r\nx-user: ada\r\n" in got
