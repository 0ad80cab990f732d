"""What can be told of a request that was not understood: what it seems to say, cleaned and cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.downstream.requests.glimpse import glimpse
from proxy.observe.logs.access_log import TargetRecord


@pytest.mark.parametrize(
    ("data", "target"),
    [
        (b"BREW /pot?size=2 HTTP/1.1\r\nHost: chat.test\r\n\r\n", TargetRecord("chat.test", "BREW", "/pot", "size=2")),
        (b"GET /a HTTP/3.0\r\nX: y\r\nhOsT:chat.test:443 \r\n\r\n", TargetRecord("chat.test:443", "GET", "/a", None)),
        (b"GET /a HTTP/1.1\nHost: lf.test\n", TargetRecord("lf.test", "GET", "/a", None)),
        (b"\r\n\r\nGET", TargetRecord(None, "GET", "", None)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", TargetRecord(None, "PRI", "*", None)),
        (b"GET /\x1b[2J\xff\0 HTTP/1.1\r\nHost: a\tb\r\n", TargetRecord("a?b", "GET", "/?[2J??", None)),
        (b"GET /? HTTP/1.1\r\n", TargetRecord(None, "GET", "/", "")),
        (b"\r\n", None),
        (b"", None),
    ],
)
def test_what_is_known_is_told(data: bytes, target: TargetRecord | None) -> None:
    assert glimpse(data) == target


def test_what_is_long_is_cut() -> None:
    target = glimpse(b"%b /%b?%b HTTP/1.1\r\nHost: %b\r\n" % (b"M" * 40, b"p" * 2_000, b"q" * 2_000, b"h" * 300))
    assert target is not None
    assert target.method == "M" * 32 + "..."
    assert target.host == "h" * 255 + "..."
    assert (len(target.path), len(target.query or "")) == (1_027, 1_027)


@given(st.binary(max_size=200))
def test_nothing_in_it_steers_what_shows_it(data: bytes) -> None:
    target = glimpse(data)
    if target is not None:
        text = (target.host or "") + target.method + target.path + (target.query or "")
        assert text.isascii()
        assert text == "" or text.isprintable()
