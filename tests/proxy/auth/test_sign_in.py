"""The form for a token: who may send it, and what comes back."""

from urllib.parse import quote

import pytest

from proxy.auth.page_tokens import PageTokens
from proxy.auth.rules import TokenRule
from proxy.auth.sign_in import FORM, SignInForm, WrongToken, is_cross_site
from proxy.http.local_answers import LocalAnswer, LocalRequest, WrongMethod
from tests.proxy.auth.test_page_tokens import NOW, ONE, TWO

TOKENS = PageTokens([TWO])
SIGN_IN = SignInForm(TokenRule.of(TOKENS, "ops.test/"), bytes)
OWN = [(b"Origin", b"https://ops.test:8443"), (b"Content-Type", b"application/x-www-form-urlencoded")]


def answer(method: bytes, body: bytes = b"", headers: list[tuple[bytes, bytes]] = OWN) -> LocalAnswer:
    return SIGN_IN.answer(LocalRequest(method, b"ops.test", b"/sign-in", headers, body), NOW)


def form(token: bytes) -> bytes:
    return b"token=" + quote(token, safe="").encode()


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_form_is_shown_under_a_strict_policy(method: bytes) -> None:
    shown = answer(method, headers=[])
    assert (shown.status, shown.body) == (200, FORM)
    assert b"default-src 'none'; style-src 'sha256-" in shown.fields
    assert b"no-store" in shown.fields


def test_right_token_gets_a_session_and_the_page() -> None:
    given = answer(b"POST", form(TWO))
    assert given.status == 303
    fields = dict(line.split(b": ", 1) for line in given.fields.split(b"\r\n") if line)
    assert fields[b"Location"] == b"/"
    cookie, *attributes = fields[b"Set-Cookie"].split(b"; ")
    assert attributes == [b"Path=/", b"Secure", b"HttpOnly", b"SameSite=Strict"]
    name, _, session = cookie.partition(b"=")
    assert name == b"__Host-plexigate-page"
    assert TOKENS.is_open(session, NOW)
    assert TWO not in given.fields


@pytest.mark.parametrize(
    "body",
    [b"", form(ONE), form(TWO) + b"&" + form(TWO), b"token=\xff", b"&".join([b"a=1"] * 9), TWO, b"Token=" + TWO],
)
def test_every_other_token_is_wrong(body: bytes) -> None:
    with pytest.raises(WrongToken) as wrong:
        answer(b"POST", body)
    assert wrong.value.rule.tokens is TOKENS


@pytest.mark.parametrize(
    "headers",
    [
        OWN[1:],
        OWN[:1],
        [*OWN, OWN[0]],
        [(b"Origin", b"null"), OWN[1]],
        [(b"Origin", b"http://ops.test"), OWN[1]],
        [(b"Origin", b"https://evil.test"), OWN[1]],
        [(b"Origin", b"https://chat.ops.test"), OWN[1]],
        [(b"Origin", b"https://[x"), OWN[1]],
        [(b"Origin", b"https://ops.t\xc3\xa4st"), OWN[1]],
        [OWN[0], (b"Content-Type", b"text/plain")],
        [*OWN, (b"Sec-Fetch-Site", b"same-site")],
    ],
)
def test_form_of_another_page_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    refused = answer(b"POST", form(TWO), headers)
    assert refused.status == 403
    assert b"Set-Cookie" not in refused.fields


def test_other_methods_are_refused() -> None:
    with pytest.raises(WrongMethod):
        answer(b"PUT")


@pytest.mark.parametrize(
    ("value", "is_cross"), [(b"same-origin", False), (b"none", False), (b"same-site", True), (b"cross-site", True)]
)
def test_requests_that_other_pages_make(value: bytes, *, is_cross: bool) -> None:
    assert is_cross_site([(b"Sec-Fetch-Site", value)]) is is_cross
    assert not is_cross_site([(b"Host", b"ops.test")])
