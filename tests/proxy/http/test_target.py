"""A target and a Host that two readers could take for different places are refused."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.head import MalformedMessage
from proxy.http.target import Authority, origin_form, parse_authority

HERE = b"example.org"


def refused_authority(value: bytes) -> int:
    with pytest.raises(MalformedMessage) as caught:
        parse_authority(value)
    return caught.value.status


def refused_target(target: bytes, method: bytes = b"GET", host_field: bytes = HERE) -> int:
    with pytest.raises(MalformedMessage) as caught:
        origin_form(method, target, host_field)
    return caught.value.status


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        (b"example.org", b"example.org", None),
        (b"Chat.EXAMPLE.org:8443", b"chat.example.org", 8443),
        (b"example.org.", b"example.org", None),
        (b"example.org.:443", b"example.org", 443),
        (b"my_host", b"my_host", None),
        (b"_a.b-c.d", b"_a.b-c.d", None),
        (b"xn--bcher-kva.example", b"xn--bcher-kva.example", None),
        (b"a" * 63 + b".b", b"a" * 63 + b".b", None),
        (b"192.0.2.1", b"192.0.2.1", None),
        (b"192.0.2.1:80", b"192.0.2.1", 80),
        (b"1.example", b"1.example", None),
        (b"0x7f.example", b"0x7f.example", None),
        (b"[::1]", b"::1", None),
        (b"[2001:DB8:0::1]:443", b"2001:db8::1", 443),
        (b"h:1", b"h", 1),
        (b"h:65535", b"h", 65535),
    ],
)
def test_authority_is_taken_apart(value: bytes, host: bytes, port: int | None) -> None:
    assert parse_authority(value) == Authority(host, port)


def test_mapped_address_is_written_as_this_python_writes_it() -> None:
    expected = str(IPv6Address("::ffff:192.0.2.1")).encode()
    assert parse_authority(b"[::FFFF:192.0.2.1]") == Authority(expected, None)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b".",
        b":443",
        b"h:",
        b"h:0",
        b"h:00443",
        b"h:+443",
        b"h:65536",
        b"h:99999",
        b"h:443:443",
        b"h:\xd9\xa1",
        b"a b",
        b"a, b",
        b"a@b",
        b"user:pass@b",
        b"a/b",
        b"a?b",
        b"a#b",
        b"a\\b",
        b"a%2eb",
        b"a..b",
        b".a",
        b"a..",
        b"-a",
        b"a-",
        b"a-.b",
        b"a" * 64,
        b"a." * 130 + b"a",
        b"\xc3\xa9.example",
        b"a\x00b",
        b"a\tb",
        b"http://a",
        b"256.1.1.1",
        b"1.2.3",
        b"127.1",
        b"010.0.0.1",
        b"2130706433",
        b"0x7f000001",
        b"1.2.3.0X4",
        b"example.1",
        b"[]",
        b"[::1",
        b"::1",
        b"[::1]x",
        b"[:::1]",
        b"[12345::]",
        b"[1.2.3.4]",
        b"[fe80::1%25eth0]",
        b"[v1.a]",
    ],
)
def test_authority_is_refused(value: bytes) -> None:
    assert refused_authority(value) == 400
    assert refused_authority(value) == 400, "a refusal is not remembered as an answer"


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/?",
        b"/a/b.c/d..e/..f/.g/h..?x=/../..",
        b"/a;b=c/~d/!$&'()*+,=:@",
        b"/a|b/[c]",
        b"/%20%C3%a9/%2F/%5C",
        b"//a",
        b"/a%2ehtml",
        b"/a%252e%252e/b",
        b"/...",
        b"/.well-known/x",
        b'/a?%zz%%00|{}^`\\"<>[]?/..',
        b"/a%3b..",
    ],
)
def test_origin_form_is_kept_byte_for_byte(target: bytes) -> None:
    assert origin_form(b"GET", target, HERE) == target


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"a",
        b"?a",
        b"*",
        b"/a#frag",
        b"/a?b#frag",
        b"/a?b\x7f",
        b"/a?b\xff",
        b"/a?b c",
        b"/\xc3\xa9",
        b"/a\xff",
        b"/a b",
        b"/a\tb",
        b"/a\x0bb",
        b'/a"b',
        b"/a<b",
        b"/a>b",
        b"/a\\b",
        b"/a^b",
        b"/a`b",
        b"/a{b",
        b"/a}b",
        b"/%",
        b"/%2",
        b"/%zz",
        b"/%2x",
        b"/a%%2e",
        b"/a%00b",
        b"/%u002e",
        b"example.org:443",
        b"example.org",
        b"https:/example.org/",
        b"https://",
        b"https:///a",
        b"ftp://example.org/",
        b"ws://example.org/",
        b"1https://example.org/",
    ],
)
def test_target_is_refused(target: bytes) -> None:
    assert refused_target(target) == 400


@pytest.mark.parametrize("before", [b"/", b"/a/", b"/a%2f", b"/a%2F", b"/a%5c", b"/a%5C"])
@pytest.mark.parametrize("dots", [b".", b"..", b"%2e", b"%2E", b".%2e", b"%2E.", b"%2e%2E"])
@pytest.mark.parametrize(
    "after", [b"", b"/", b"/admin", b"%2fadmin", b"%2Fadmin", b"%5cadmin", b"%5C", b";x", b"%3bx", b"?q"]
)
def test_dot_segment_is_refused(before: bytes, dots: bytes, after: bytes) -> None:
    assert refused_target(before + dots + after) == 400


@pytest.mark.parametrize(
    ("target", "host_field", "expected"),
    [
        (b"https://example.org/a?b", HERE, b"/a?b"),
        (b"HTTPS://EXAMPLE.org/", HERE, b"/"),
        (b"https://example.org", HERE, b"/"),
        (b"https://example.org?b", HERE, b"/?b"),
        (b"https://example.org:443/", HERE, b"/"),
        (b"https://example.org/", b"example.org:443", b"/"),
        (b"https://example.org:8443/", b"example.org:8443", b"/"),
        (b"https://[2001:db8:0::1]/", b"[2001:db8::1]", b"/"),
        (b"https://example.org//x", HERE, b"//x"),
    ],
)
def test_absolute_form_becomes_origin_form(target: bytes, host_field: bytes, expected: bytes) -> None:
    assert origin_form(b"GET", target, host_field) == expected


@pytest.mark.parametrize(
    "target",
    [
        b"https://evil.example/",
        b"https://example.org:8443/",
        b"https://user@example.org/",
        b"https://example.org@evil.example/",
        b"https://example.org#x",
        b"https://example.org/a#x",
        b"https://example.org/../a",
        b"https://example.org\\@evil.example/",
    ],
)
def test_absolute_form_is_refused(target: bytes) -> None:
    assert refused_target(target) == 400


def test_http_uri_is_misdirected() -> None:
    assert refused_target(b"http://example.org/") == 421
    assert refused_target(b"HTTP://example.org/") == 421


@pytest.mark.parametrize("target", [b"*", b"https://example.org", b"https://example.org:443"])
def test_options_of_the_whole_server_are_not_served(target: bytes) -> None:
    assert refused_target(target, b"OPTIONS") == 501


def test_options_of_a_resource_are_served() -> None:
    assert origin_form(b"OPTIONS", b"https://example.org/", HERE) == b"/"
    assert origin_form(b"OPTIONS", b"/a", HERE) == b"/a"


alphabet = st.sampled_from([b"/", b".", b"%2e", b"%2F", b"%", b"a", b"?", b"#", b"\\", b";", b"{", b"\xff", b":", b"@"])
targets = st.lists(alphabet, max_size=12).map(b"".join)


@given(targets)
def test_accepted_target_is_unchanged_and_resolves_to_itself(target: bytes) -> None:
    try:
        accepted = origin_form(b"GET", target, HERE)
    except MalformedMessage:
        assert refused_target(target) == 400
        return
    assert accepted == target
    path = target.partition(b"?")[0].lower().replace(b"%2e", b".").replace(b"%2f", b"/").replace(b"%5c", b"/")
    segments = [segment.partition(b";")[0] for segment in path.split(b"/")]
    assert path.startswith(b"/")
    assert not {b".", b".."} & set(segments)


@given(st.binary(max_size=20))
def test_accepted_host_has_one_reading(value: bytes) -> None:
    try:
        authority = parse_authority(value)
    except MalformedMessage:
        assert refused_authority(value) == 400
        return
    again = b"[%b]" % authority.host if b":" in authority.host else authority.host
    assert parse_authority(again) == Authority(authority.host, None)
