"""What is answered without TLS: challenges of CAs, the way to https for names of ours, and a refusal for all else."""

import pytest

from proxy.downstream.listeners.plain_answers import PlainAnswer, PlainRules, judgement
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.http.head import HeadLimits

LIMITS = HeadLimits(target_bytes=8_192, header_count=100, header_bytes=8_192)
RULES = PlainRules(frozenset({"chat.test", "*.files.test", "192.0.2.1", "2001:db8::1"}), 443)
TOKENS = {"token_-1": "token_-1.thumbprint"}
LISTS = {"ca.test/a.crl?1": b"0list"}


def request(target: str, host: str = "chat.test", method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def redirected(raw: bytes, rules: PlainRules = RULES) -> str | None:
    answer = judgement(raw, LIMITS, rules, TOKENS, LISTS).answer
    if not isinstance(answer, PlainAnswer):
        return None
    assert (answer.status, answer.body) == (308, b"")
    return answer.start.partition(b"\r\nLocation: ")[2].removesuffix(b"\r\n").decode()


def refused(raw: bytes) -> tuple[int, str]:
    answer = judgement(raw, LIMITS, RULES, TOKENS, LISTS).answer
    assert isinstance(answer, RequestRefusal)
    return answer.status, answer.reason.partition(":")[0]


@pytest.mark.parametrize("host", ["chat.test", "unknown.test", "192.0.2.99"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_pending_challenge_is_answered_under_any_name(host: str, method: str) -> None:
    """A certificate may be asked for before the identity is there."""
    found = judgement(request("/.well-known/acme-challenge/token_-1", host, method), LIMITS, RULES, TOKENS, LISTS)
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
    assert found.answer == PlainAnswer(200, start, b"token_-1.thumbprint")
    assert found.target is not None
    assert (found.target.host, found.target.method) == (host, method)


@pytest.mark.parametrize(
    "asked",
    [
        request("/.well-known/acme-challenge/other"),
        request("/.well-known/acme-challenge/"),
        request("/.well-known/acme-challenge/token_-1/"),
        request("/.well-known/acme-challenge/token_-1?x"),
        request("/.well-known/acme-challenge/token_-1", method="POST"),
    ],
)
def test_no_other_challenge_is_there(asked: bytes) -> None:
    assert refused(asked) == (404, "no_route")


@pytest.mark.parametrize(
    ("host", "target", "location"),
    [
        ("chat.test", "/", "https://chat.test/"),
        ("CHAT.test.:80", "/a?b=c&d", "https://chat.test/a?b=c&d"),
        ("a.files.test", "/x", "https://a.files.test/x"),
        ("192.0.2.1:8080", "/x", "https://192.0.2.1/x"),
        ("[2001:DB8::1]", "//evil.test/", "https://[2001:db8::1]//evil.test/"),
        ("chat.test", "/.well-known/acme-challengex", "https://chat.test/.well-known/acme-challengex"),
        ("chat.test", "HTTP://chat.test:80/a?b", "https://chat.test/a?b"),
        ("chat.test:8080", "http://CHAT.test:8080", "https://chat.test/"),
        ("chat.test", "http://chat.test?b", "https://chat.test/?b"),
    ],
)
def test_names_of_identities_are_sent_to_https(host: str, target: str, location: str) -> None:
    assert redirected(request(target, host)) == location
    assert redirected(request(target, host, "POST")) == location


def test_port_of_https_is_named_where_it_is_another() -> None:
    assert redirected(request("/"), PlainRules(RULES.names, 8443)) == "https://chat.test:8443/"


@pytest.mark.parametrize(
    "host", ["evil.example", "files.test", "a.b.files.test", "chat.test.evil.example", "192.0.2.2", "[2001:db8::2]"]
)
def test_a_stranger_cannot_choose_where_a_redirect_leads(host: str) -> None:
    assert refused(request("/", host)) == (404, "no_route")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
        (b"GET http://evil.test/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /../x HTTP/1.1\r\nHost: chat.test\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9_000 + b"\r\n\r\n", 431),
    ],
)
def test_what_cannot_be_understood_is_refused(asked: bytes, status: int) -> None:
    assert refused(asked) == (status, "malformed_request")
    known = judgement(asked, LIMITS, RULES, TOKENS, LISTS).target
    assert known is not None, "the log shows what there is"
    assert known.method


def test_query_is_known_for_the_log() -> None:
    for target, query in (("/a?b=c", "b=c"), ("/a?", ""), ("/a", None)):
        found = judgement(request(target), LIMITS, RULES, TOKENS, LISTS).target
        assert found is not None
        assert (found.path, found.query) == ("/a", query)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["/a.crl?1", "http://ca.test/a.crl?1"])
def test_a_revocation_list_is_shown_at_the_address_that_certificates_name(target: str, method: str) -> None:
    found = judgement(request(target, "CA.test:80", method), LIMITS, RULES, TOKENS, LISTS)
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\n"
    assert found.answer == PlainAnswer(200, start, b"0list")


@pytest.mark.parametrize(
    ("host", "target", "method"),
    [
        ("chat.test", "/a.crl?1", "GET"),
        ("ca.test", "/a.crl?2", "GET"),
        ("ca.test", "/a.crl?1", "POST"),
        ("c", "a.test/a.crl?1", "GET"),
    ],
)
def test_no_other_list_is_there(host: str, target: str, method: str) -> None:
    answer = judgement(request(target, host, method), LIMITS, RULES, TOKENS, LISTS).answer
    assert not isinstance(answer, PlainAnswer) or answer.status == 308
