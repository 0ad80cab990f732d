"""Where clients are sent. Whatever the request is, a client cannot choose the host, and the field has one line."""

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.routes.replies import RedirectConfig
from proxy.http.head import MalformedMessage
from proxy.http.local_answers import LocalRequest
from proxy.http.target import origin_form
from proxy.routes.redirects import Redirect

HOST = b"chat.test"


def sent(to: str, target: bytes, host: bytes = HOST) -> str:
    RedirectConfig.model_validate({"to": to})
    return Redirect(to, 308).location(LocalRequest(b"GET", host, target, [], b""))


@pytest.mark.parametrize(
    ("to", "target", "location"),
    [
        ("https://new.example{path}{query}", b"/a/b?c=d", "https://new.example/a/b?c=d"),
        ("https://new.example{path}{query}", b"/a/b", "https://new.example/a/b"),
        ("https://new.example{path}{query}", b"/a?", "https://new.example/a"),
        ("https://new.example{path}", b"/a?b", "https://new.example/a"),
        ("https://new.example/fixed", b"/a?b", "https://new.example/fixed"),
        ("https://www.{host}:8443{path}", b"/a", "https://www.chat.test:8443/a"),
        ("/new{path}{query}", b"/a?b", "/new/a?b"),
        ("https://new.example{query}", b"/a?b=c?d", "https://new.example?b=c?d"),
        ("https://new.example/?from={path}{query}", b"/a&b=c?d=e", "https://new.example/?from=/a%26b%3Dc&d=e"),
        ("https://new.example/?x=1{query}", b"/", "https://new.example/?x=1"),
        ("https://new.example{query}{query}", b"/?a", "https://new.example?a&a"),
        ("https://new.example{path}", b"/%2e%2E/%0d%0aX:%20y", "https://new.example/%2e%2E/%0d%0aX:%20y"),
        ("https://new.example{path}", b"/[a]|b", "https://new.example/%5Ba%5D%7Cb"),
    ],
)
def test_the_parts_of_the_request_stand_where_the_template_says(to: str, target: bytes, location: str) -> None:
    assert sent(to, target) == location


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert sent("https://{host}/x{path}", b"/a", b"2001:db8::1") == "https://[2001:db8::1]/x/a"


def test_the_answer_has_one_field_and_no_body() -> None:
    answer = Redirect("https://new.example{path}", 302).answer(LocalRequest(b"POST", HOST, b"/a", [], b"x"), 0.0)
    assert (answer.status, answer.body, answer.fields) == (302, b"", b"Location: https://new.example/a\r\n")


TEMPLATES = st.sampled_from(
    [
        "https://new.example{path}{query}",
        "https://new.example{query}",
        "https://new.example{path}",
        "https://new.example/?{path}{query}",
        "https://{host}/fixed{path}{query}",
        "/fixed{path}{query}",
        "/{query}",
    ]
)
OCTETS = st.binary(max_size=40) | st.text("/\\@:?#.%&=[]a0d\t\r\n ", max_size=40).map(lambda text: text.encode())


@given(TEMPLATES, OCTETS)
@example("https://new.example{path}{query}", b"//evil.example/")
@example("https://new.example{path}{query}", b"/\\evil.example/")
@example("https://new.example{path}{query}", b"@evil.example/")
@example("https://new.example{query}", b"?@evil.example/")
@example("https://new.example{query}", b"?\\@evil.example/")
@example("/fixed{path}{query}", b"//evil.example")
@example("/{query}", b"?/evil.example")
def test_no_request_chooses_the_host(to: str, rest: bytes) -> None:
    target = b"/" + rest
    for one in (target, rest if rest.startswith(b"/") else target):
        location = sent(to, one)
        # as browsers read it: WHATWG URL takes "\\" for "/" and drops tabs and line ends
        assert re.fullmatch(r"[!-~]+", location)
        assert "\\" not in location
        host = urlsplit(f"https://here.example{location}" if to.startswith("/") else location).hostname
        assert host == ("here.example" if to.startswith("/") else "chat.test" if "{host}" in to else "new.example")
        assert not location.startswith("//")


@pytest.mark.parametrize("target", [b"/\\evil", b"/a\r\nX: y", b"/a b", b"/\x00", b"/\xc3\xa4", b"/..", b'/"', b"/<"])
def test_worse_targets_are_refused_before(target: bytes) -> None:
    with pytest.raises(MalformedMessage):
        origin_form(b"GET", target, HOST)
