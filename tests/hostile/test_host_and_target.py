"""Where a request goes: the server name, Host, and the request target must not be read differently by two (RFC 9112 section 3)."""

import pytest

from tests.hostile.client import Cut, End
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request


def get(target: bytes = b"/", *hosts: bytes) -> bytes:
    """A request with this target and these Host fields."""
    return b"GET " + target + b" HTTP/1.1\r\n" + b"".join(b"Host: %b\r\n" % host for host in hosts) + b"\r\n"


HOSTS = {
    "none": get(b"/"),
    "empty": get(b"/", b""),
    "two_equal": get(b"/", b"chat.test", b"chat.test"),
    "two_different": get(b"/", b"chat.test", b"other.test"),
    "two_with_empty": get(b"/", b"", b"chat.test"),
    "second_in_capitals": get(b"/", b"chat.test").replace(b"\r\n\r\n", b"\r\nHOST: other.test\r\n\r\n"),
    "none_in_absolute_form": get(b"https://chat.test/"),
    "user": get(b"/", b"a@chat.test"),
    "user_and_password": get(b"/", b"a:b@chat.test"),
    "user_is_the_host": get(b"/", b"chat.test@evil.test"),
    "user_empty": get(b"/", b"@chat.test"),
    "list": get(b"/", b"chat.test, other.test"),
    "list_without_space": get(b"/", b"chat.test,other.test"),
    "space_within": get(b"/", b"chat.test other.test"),
    "space_before_port": get(b"/", b"chat.test :443"),
    "tab_within": get(b"/", b"chat.test\tx"),
    "path": get(b"/", b"chat.test/"),
    "path_to_vault": get(b"/", b"chat.test/vault"),
    "query": get(b"/", b"chat.test?x"),
    "fragment": get(b"/", b"chat.test#x"),
    "backslash": get(b"/", b"chat.test\\x"),
    "scheme": get(b"/", b"https://chat.test"),
    "scheme_relative": get(b"/", b"//chat.test"),
    "semicolon": get(b"/", b"chat.test;x"),
    "percent": get(b"/", b"chat%2etest"),
    "percent_nul": get(b"/", b"chat.test%00"),
    "asterisk": get(b"/", b"*.chat.test"),
    "asterisk_alone": get(b"/", b"*"),
    "quotes": get(b"/", b'"chat.test"'),
    "angle_brackets": get(b"/", b"<chat.test>"),
    "empty_label": get(b"/", b"chat..test"),
    "leading_dot": get(b"/", b".chat.test"),
    "two_final_dots": get(b"/", b"chat.test.."),
    "dot_alone": get(b"/", b"."),
    "leading_hyphen": get(b"/", b"-chat.test"),
    "trailing_hyphen": get(b"/", b"chat-.test"),
    "label_of_64": get(b"/", b"a" * 64 + b".chat.test"),
    "name_of_300": get(b"/", b"a." * 150 + b"chat.test"),
    "utf_8": get(b"/", "ch\u00e4t.test".encode()),
    "fullwidth": get(b"/", "\uff43hat.test".encode()),
    "ideographic_full_stop": get(b"/", "chat\u3002test".encode()),
    "latin_1": get(b"/", b"ch\xe4t.test"),
    "port_empty": get(b"/", b"chat.test:"),
    "port_word": get(b"/", b"chat.test:https"),
    "port_zero": get(b"/", b"chat.test:0"),
    "port_leading_zero": get(b"/", b"chat.test:0443"),
    "port_plus": get(b"/", b"chat.test:+443"),
    "port_minus": get(b"/", b"chat.test:-443"),
    "port_65536": get(b"/", b"chat.test:65536"),
    "port_six_digits": get(b"/", b"chat.test:100000"),
    "port_superscript": get(b"/", b"chat.test:44\xb3"),
    "port_underscore": get(b"/", b"chat.test:4_43"),
    "two_ports": get(b"/", b"chat.test:443:443"),
    "port_alone": get(b"/", b":443"),
    "ipv6_without_brackets": get(b"/", b"::1"),
    "ipv6_open": get(b"/", b"[::1"),
    "ipv6_closed": get(b"/", b"::1]"),
    "ipv6_zone": get(b"/", b"[fe80::1%25eth0]"),
    "ipv6_invalid": get(b"/", b"[:::1]"),
    "ipv6_too_long": get(b"/", b"[1:2:3:4:5:6:7:8:9]"),
    "ipvfuture": get(b"/", b"[v1.a]"),
    "name_in_brackets": get(b"/", b"[chat.test]"),
    "ipv4_short": get(b"/", b"127.1"),
    "ipv4_number": get(b"/", b"2130706433"),
    "ipv4_hexadecimal": get(b"/", b"0x7f000001"),
    "ipv4_octal": get(b"/", b"0177.0.0.1"),
    "ipv4_of_five": get(b"/", b"1.2.3.4.5"),
    "ends_in_a_number": get(b"/", b"chat.test.1"),
    "nul": get(b"/", b"chat.test\x00"),
    "nul_then_more": get(b"/", b"chat.test\x00.evil.test"),
    "request": get(b"/", b"chat.test GET /smuggled HTTP/1.1"),
}


@CUTS
@cases(HOSTS)
def test_a_host_that_is_not_plainly_one_host_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.refused(case + SMUGGLED, 400, cut=cut)


FOREIGN = {
    "other_identity": b"other.test",
    "unknown": b"evil.test",
    "suffix": b"evilchat.test",
    "longer": b"chat.test.evil.test",
    "two_labels_below_the_wildcard": b"a.b.chat.test",
    "localhost": b"localhost",
    "address": b"127.0.0.1",
    "address_v6": b"[::1]",
    "other_with_port": b"other.test:443",
    "other_with_dot": b"other.test.",
    "single_label": b"test",
}


@CUTS
@cases(FOREIGN)
def test_a_host_of_another_identity_is_misdirected(scene: Scene, case: bytes, cut: Cut) -> None:
    """The connection stays: RFC 9110 section 15.5.20 has the client try on another one."""
    with scene.connect() as client:
        client.send(get(b"/outer", case), cut)
        assert client.read_response().status == 421
    scene.settle()
    assert scene.begun == []


@pytest.mark.parametrize(
    ("server_name", "host"), [("chat.test", "other.test"), ("other.test", "chat.test"), ("a.chat.test", "other.test")]
)
@pytest.mark.parametrize("listener", ["public", "lenient", "trusting"])
def test_server_name_and_host_of_different_identities_never_meet(
    scene: Scene, server_name: str, host: str, listener: str
) -> None:
    with scene.connect(server_name, listener) as client:
        client.send(request("GET", "/outer", "X-Forwarded-Host: " + server_name, host=host))
        assert client.read_response().status == 421
    scene.settle()
    assert scene.begun == []


@pytest.mark.parametrize("server_name", [None, "unknown.test"])
def test_a_connection_without_a_known_server_name_has_the_hosts_of_the_default(
    scene: Scene, server_name: str | None
) -> None:
    with scene.connect_unverified(server_name, "lenient") as client:
        client.send(get(b"/outer", b"other.test") + get(b"/outer", b"unknown.test") + get(b"/inner", b"chat.test"))
        assert [client.read_response().status for _ in range(3)] == [421, 421, 200]
    scene.settle()
    assert scene.targets == ["/inner"]


OWN = {
    "as_named": b"chat.test",
    "capitals": b"CHAT.Test",
    "port": b"chat.test:443",
    "other_port": b"chat.test:8443",
    "final_dot": b"chat.test.",
    "final_dot_and_port": b"chat.test.:443",
    "below_the_wildcard": b"room.chat.test",
    "underscore_below_the_wildcard": b"a_b.chat.test",
}


@CUTS
@cases(OWN)
def test_a_host_of_the_same_identity_arrives_as_it_was_sent(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.served(get(b"/outer", case), 200, cut=cut)
    seen = scene.only_request()
    assert seen.values("Host") == seen.values("X-Forwarded-Host") == [case.decode()]


ABSOLUTE = {
    "host_differs": (get(b"https://other.test/", b"chat.test"), 400),
    "host_differs_and_is_ours": (get(b"https://room.chat.test/", b"chat.test"), 400),
    "host_is_longer": (get(b"https://chat.test.evil.test/", b"chat.test"), 400),
    "user": (get(b"https://a@chat.test/", b"chat.test"), 400),
    "user_is_the_host": (get(b"https://chat.test@evil.test/", b"chat.test"), 400),
    "port_differs": (get(b"https://chat.test:8443/", b"chat.test"), 400),
    "no_host": (get(b"https:///", b"chat.test"), 400),
    "no_slashes": (get(b"https:chat.test/", b"chat.test"), 400),
    "one_slash": (get(b"https:/chat.test/", b"chat.test"), 400),
    "backslashes": (get(b"https:\\\\chat.test/", b"chat.test"), 400),
    "http": (get(b"http://chat.test/", b"chat.test"), 421),
    "ftp": (get(b"ftp://chat.test/", b"chat.test"), 400),
    "file": (get(b"file:///etc/passwd", b"chat.test"), 400),
    "wss": (get(b"wss://chat.test/", b"chat.test"), 400),
    "javascript": (get(b"javascript:alert(1)", b"chat.test"), 400),
    "fragment": (get(b"https://chat.test/#a", b"chat.test"), 400),
    "dot_segment": (get(b"https://chat.test/../vault", b"chat.test"), 400),
    "twice": (get(b"https://chat.test/https://other.test/", b"other.test"), 400),
    "authority_only": (get(b"chat.test", b"chat.test"), 400),
    "authority_and_port": (get(b"chat.test:443", b"chat.test"), 400),
    "asterisk": (get(b"*", b"chat.test"), 400),
    "relative": (get(b"index.html", b"chat.test"), 400),
    "query_only": (get(b"?x", b"chat.test"), 400),
    "fragment_only": (get(b"#x", b"chat.test"), 400),
    "dot": (get(b".", b"chat.test"), 400),
    "empty_escape": (get(b"%2f", b"chat.test"), 400),
    "backslash": (get(b"\\", b"chat.test"), 400),
}


@CUTS
@cases(ABSOLUTE)
def test_another_form_that_says_something_else_than_host_is_refused(
    scene: Scene, case: tuple[bytes, int], cut: Cut
) -> None:
    raw, status = case
    with scene.connect() as client:
        client.send(raw, cut)
        assert client.read_response().status == status
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.begun == []


@CUTS
@cases(
    {
        "plain": (b"https://chat.test/a?b", b"chat.test", "/a?b"),
        "capitals": (b"HTTPS://CHAT.test/a", b"chat.TEST", "/a"),
        "default_port": (b"https://chat.test:443/a", b"chat.test", "/a"),
        "no_path": (b"https://chat.test", b"chat.test", "/"),
        "query_without_path": (b"https://chat.test?b", b"chat.test", "/?b"),
        "url_in_query": (b"https://chat.test/a?https://other.test/", b"chat.test", "/a?https://other.test/"),
    }
)
def test_absolute_form_that_agrees_with_host_becomes_origin_form(
    scene: Scene, case: tuple[bytes, bytes, str], cut: Cut
) -> None:
    target, host, seen = case
    scene.served(get(target, host), 200, cut=cut)
    assert scene.targets == [seen]


TARGETS = {
    "fragment": b"/a#frag",
    "fragment_empty": b"/a#",
    "fragment_in_query": b"/a?b#c",
    "dot": b"/./vault",
    "dot_dot": b"/../vault",
    "dot_dot_within": b"/a/../vault",
    "dot_dot_at_the_end": b"/a/..",
    "dot_at_the_end": b"/a/.",
    "encoded_dots": b"/a/%2e%2e/vault",
    "encoded_dots_in_capitals": b"/a/%2E%2E/vault",
    "half_encoded_dots": b"/a/.%2e/vault",
    "encoded_slash_before_dots": b"/a%2f..%2fvault",
    "encoded_backslash_before_dots": b"/a%5c..%5cvault",
    "dots_with_parameters": b"/a/..;x/vault",
    "encoded_parameters": b"/a/..%3bx/vault",
    "backslash": b"/a\\..\\vault",
    "raw_high": b"/\xff",
    "raw_utf_8": "/\u2603".encode(),
    "raw_high_in_query": b"/?\xff",
    "quote": b'/a"b',
    "angle": b"/<script>",
    "caret": b"/^",
    "backtick": b"/`",
    "braces": b"/{a}",
    "escape_cut": b"/a%2",
    "escape_alone": b"/a%",
    "escape_not_hexadecimal": b"/a%zz",
    "escape_unicode": b"/a%u002e",
    "nul_escaped": b"/a%00",
    "nul_escaped_before_extension": b"/a%00.html",
}


@CUTS
@cases(TARGETS)
def test_a_target_that_servers_read_differently_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.refused(get(case, b"chat.test") + SMUGGLED, 400, cut=cut)


AMBIGUOUS = {
    "encoded_slash": b"/%2fvault",
    "encoded_slash_behind": b"/vault%2fx",
    "encoded_backslash": b"/vault%5cx",
    "two_slashes": b"//vault/x",
    "three_slashes": b"///vault",
    "twice_encoded": b"/vault%252fx",
    "parameters": b"/vault;x/y",
    "encoded_query": b"/vault%3fx",
    "encoded_fragment": b"/vault%23x",
    "encoded_backslash_first": b"/%5cvault",
    "twice_encoded_dots": b"/a/%252e%252e/vault",
}


@CUTS
@cases(AMBIGUOUS)
def test_a_path_that_some_would_route_elsewhere_is_refused(scene: Scene, case: bytes, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(get(case, b"chat.test"), cut)
        assert client.read_response().status == 400
    scene.settle()
    assert scene.begun == []


ROUTED = {
    "vault": (b"/vault", "vault"),
    "below": (b"/vault/x", "vault"),
    "query": (b"/vault?x", "vault"),
    "escaped_letter": (b"/%76ault", "vault"),
    "not_on_a_border": (b"/vaultx", "chat"),
    "other_case": (b"/Vault", "chat"),
    "in_query": (b"/?/vault", "chat"),
    "behind": (b"/x/vault", "chat"),
    "dots_in_query": (b"/?../vault", "chat"),
    "dots_in_names": (b"/a..b/.c/...", "chat"),
}


@CUTS
@cases(ROUTED)
def test_a_clear_target_is_routed_and_arrives_byte_for_byte(scene: Scene, case: tuple[bytes, str], cut: Cut) -> None:
    target, door = case
    scene.served(get(target, b"chat.test"), 200, cut=cut)
    assert [(seen.door, seen.target) for seen in scene.recorder.complete] == [(door, target.decode())]


VERBATIM = {
    "escapes": b"/%41%2a%c3%a9?%zz%",
    "small_and_capital_escapes": b"/%e2%98%83%E2%98%83",
    "reserved": b"/:@!$&'()*+,=",
    "odd_query": b"/?a=b&c[]=d|e\\f^g`{h}\"i'<j>?k/l",
    "plus": b"/a+b?c+d",
    "empty_query": b"/?",
    "brackets": b"/a[0]|b",
    "two_question_marks": b"/??",
    "of_8000": b"/" + b"x" * 8_000,
    "traversal_in_query": b"/?f=../../etc/passwd",
    "log4j": b"/$%7Bjndi:ldap://x%7D",
}


@ALL_CUTS
@cases(VERBATIM)
def test_a_harmless_target_arrives_byte_for_byte(scene: Scene, case: bytes, cut: Cut) -> None:
    scene.served(get(case, b"chat.test"), 200, cut=cut)
    assert scene.targets == [case.decode()]


def test_a_host_that_nothing_is_served_at_is_not_found(scene: Scene) -> None:
    with scene.connect() as client:
        client.send(get(b"/", b"empty.test") + get(b"/next", b"chat.test"))
        assert [client.read_response().status for _ in range(2)] == [404, 200]
    scene.settle()
    assert scene.targets == ["/next"]
