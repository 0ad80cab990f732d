"""What a wrong token of the form costs its client."""

from proxy.auth.page_tokens import PageTokens
from proxy.auth.rules import TokenRule
from proxy.auth.sign_in import SignInForm
from proxy.downstream.endpoint import Endpoint
from proxy.limits.requests import ClientRates
from proxy.observe.events.clients import PageTokenWrong
from tests.fakes_http import Conversation, request
from tests.proxy.auth.test_page_tokens import ONE, TWO

FORM = (b"Origin: https://chat.test", b"Content-Type: application/x-www-form-urlencoded")


def form(token: bytes) -> bytes:
    body = b"token=" + token.replace(b"=", b"%3D").replace(b"+", b"%2B").replace(b"/", b"%2F")
    return request(b"Content-Length: %d" % len(body), *FORM, start=b"POST / HTTP/1.1", body=body)


def conversation(rates: ClientRates | None = None) -> tuple[Conversation, list[PageTokenWrong]]:
    rule, told = TokenRule.of(PageTokens([ONE]), "chat.test/"), list[PageTokenWrong]()
    of = Conversation(endpoint=Endpoint(SignInForm(rule, bytes).answer, takes_body=True), rates=rates)
    of.service.log_guesses = told.append
    return of, told


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
