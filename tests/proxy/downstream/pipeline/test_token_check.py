"""Requests for the admin page: who is let in, and what the page learns of them."""

import pytest

from proxy.auth.page_tokens import COOKIE, PageTokens, session_of
from proxy.auth.rules import TokenRule
from proxy.auth.sign_in import SignInForm
from proxy.downstream.pipeline.token_check import PAGE_GRANT
from proxy.downstream.requests.endpoint import Endpoint
from proxy.limits.request_rates import ClientRates
from proxy.observe.events.clients import PageTokenWrong
from proxy.observe.events.event import Event
from tests.fakes_http import WALL_CLOCK, Conversation, request, response
from tests.proxy.auth.test_page_tokens import NONCE, ONE, TWO

HTML = b"Accept: text/html,application/xhtml+xml;q=0.9"


class Site:
    """A conversation with the page."""

    def __init__(self) -> None:
        rule = TokenRule.of(PageTokens([ONE]), "chat.test/")
        self.of = Conversation(auth=rule, rates=ClientRates(b"network"), withheld=PAGE_GRANT)
        self.told = self.of.log_events

    def ask(self, *lines: bytes, method: bytes = b"GET") -> bytes:
        """The answer of the proxy itself; empty if the page was asked."""
        self.of.receive(request(*lines, start=method + b" / HTTP/1.1"))
        return self.of.client.sent()


def cookie(token: bytes = ONE, now: float = WALL_CLOCK) -> bytes:
    return b"Cookie: theme=dark; %b=%b" % (COOKIE, session_of(token, NONCE, now))


@pytest.mark.parametrize("shown", [b"Authorization: Bearer " + ONE, cookie()])
def test_right_token_or_session_lets_in_and_stays_with_the_proxy(shown: bytes) -> None:
    site = Site()
    assert site.ask(shown) == b""
    got = site.of.answer(response(b"Content-Length: 2", body=b"hi"))
    assert b"uthorization" not in got
    assert b"ookie" not in got
    assert site.of.client.sent().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "shown",
    [
        (b"X: y",),
        (cookie(TWO),),
        (cookie(now=WALL_CLOCK - 43_201),),
        (b"Cookie: __Host-plexigate-page=1.2.3",),
        (cookie(), b"Sec-Fetch-Site: same-site"),
        (b"Authorization: Basic " + ONE,),
    ],
)
def test_others_are_asked_for_a_token(shown: tuple[bytes, ...]) -> None:
    site = Site()
    answer = site.ask(*shown)
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b'WWW-Authenticate: Bearer realm="Plexigate admin page"\r\n' in answer
    assert b"problem+json" in answer
    assert site.of.records[0].error == "auth: no token"
    assert site.told == []


def test_browser_gets_the_form() -> None:
    answer = Site().ask(HTML)
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b'<form method="post" action="/sign-in">' in answer
    assert b"WWW-Authenticate" in answer


def test_wrong_tokens_are_counted_told_once_a_minute_and_slowed_down() -> None:
    site, wrong = Site(), b"Authorization: Bearer " + TWO
    for _ in range(10):
        assert site.ask(wrong).startswith(b"HTTP/1.1 401 ")
    assert site.ask(wrong).startswith(b"HTTP/1.1 429 ")
    assert {record.error for record in site.of.records} == {"page_token", "request_rate"}
    assert site.told == [PageTokenWrong("192.0.2.7", 1)]
    site.of.loop.advance(60.0)
    site.ask(wrong)
    assert site.told[1:] == [PageTokenWrong("192.0.2.7", 11)]
    assert TWO.decode() not in repr(site.told)


def test_right_token_is_let_in_from_a_network_that_guesses() -> None:
    site = Site()
    for _ in range(12):
        site.ask(b"Authorization: Bearer " + TWO)
    assert site.ask(b"Authorization: Bearer " + ONE) == b""
    assert site.of.answer(response(b"Content-Length: 0")).startswith(b"GET / ")


@pytest.mark.parametrize("method", [b"POST", b"DELETE", b"OPTIONS"])
def test_page_can_only_be_read(method: bytes) -> None:
    answer = Site().ask(b"Authorization: Bearer " + ONE, b"Content-Length: 0", method=method)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"Allow: GET, HEAD\r\n" in answer


FORM = (b"Origin: https://chat.test", b"Content-Type: application/x-www-form-urlencoded")


def form(token: bytes) -> bytes:
    body = b"token=" + token.replace(b"=", b"%3D").replace(b"+", b"%2B").replace(b"/", b"%2F")
    return request(b"Content-Length: %d" % len(body), *FORM, start=b"POST / HTTP/1.1", body=body)


def conversation(rates: ClientRates | None = None) -> tuple[Conversation, list[Event]]:
    rule = TokenRule.of(PageTokens([ONE]), "chat.test/")
    of = Conversation(endpoint=Endpoint(SignInForm(rule, bytes).answer, takes_body=True), rates=rates)
    return of, of.log_events


def test_form_comes_back_and_soon_a_pause_but_a_right_token_is_let_in() -> None:
    of, told = conversation(ClientRates(b"network"))
    statuses = []
    for _ in range(11):
        of.receive(form(TWO))
        answer = of.client.sent()
        statuses.append(answer[9:12])
        assert TWO not in answer
    assert statuses == [b"403"] * 10 + [b"429"]
    assert told == [PageTokenWrong("192.0.2.7", 1)]
    assert {record.error for record in of.records} == {"page_token", "request_rate"}
    of.receive(form(ONE))
    assert of.client.sent().startswith(b"HTTP/1.1 303 ")


def test_form_that_comes_back_says_so() -> None:
    of, _ = conversation()
    of.receive(form(TWO))
    answer = of.client.sent()
    assert b'<p role="alert">This token is wrong.</p>' in answer
    assert b"Content-Security-Policy: default-src 'none'" in answer


def test_client_that_is_exempt_has_no_rate() -> None:
    of, _ = conversation()
    for _ in range(12):
        of.receive(form(TWO))
        assert of.client.sent().startswith(b"HTTP/1.1 403 ")
