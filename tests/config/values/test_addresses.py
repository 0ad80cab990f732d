"""Names and addresses as an operator writes them."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.values.addresses import (
    Bind,
    Refused,
    ServerAddress,
    is_covered,
    name_matches,
    parse_bind,
    parse_exact_name,
    parse_ip,
    parse_network,
    parse_server,
    parse_server_name,
    parse_web_address,
)


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("0.0.0.0:443", Bind(IPv4Address(0), 443)),
        ("127.0.0.1:0", Bind(IPv4Address("127.0.0.1"), 0)),
        ("[::]:443", Bind(IPv6Address("::"), 443)),
        ("[2001:db8::1]:65535", Bind(IPv6Address("2001:db8::1"), 65_535)),
    ],
)
def test_bind_is_address_and_port(text: str, bind: Bind) -> None:
    assert parse_bind(text) == bind
    assert str(bind) == text
    assert parse_bind(bind) is bind


@pytest.mark.parametrize(
    "text",
    [
        "443",
        "192.0.2.1",
        ":443",
        "*:443",
        "localhost:443",
        "::1:443",
        "[::1]",
        "[127.0.0.1]:443",
        "[fe80::1%eth0]:443",
        "0.0.0.0:65536",
        "0.0.0.0:",
        "0.0.0.0:https",
        "0.0.0.0:-1",
        "0.0.0.0:+1",
        "0.0.0.0:٤",
        "0.0.0.0:000443",
        443,
    ],
)
def test_other_binds_are_refused(text: object) -> None:
    with pytest.raises(Refused):
        parse_bind(text)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("http://127.0.0.1:8000", ServerAddress("http", "127.0.0.1", 8_000)),
        ("http://chat", ServerAddress("http", "chat", 80)),
        ("https://my_service", ServerAddress("https", "my_service", 443)),
        ("https://[::1]:8443", ServerAddress("https", "::1", 8_443)),
        ("unix:/run/chat.sock", ServerAddress("unix", path="/run/chat.sock")),
    ],
)
def test_server_is_a_url_without_a_path_or_a_socket(text: str, server: ServerAddress) -> None:
    assert parse_server(text) == server
    assert str(server) == text
    assert parse_server(server) is server


@pytest.mark.parametrize(
    "text", ["http://a.test", "https://a.test:65535/b?c#d", "http://[::1]:80/", "http://127.0.0.1/", "http://a_b/%20"]
)
def test_addresses_of_documents(text: str) -> None:
    assert parse_web_address(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.test",
        "ftp://a.test/",
        "http://",
        "http:///a",
        "http://:80/",
        "http://u:p@a.test/",
        "http://a.test/@",
        "http://a.test/a b",
        "http://\u00e4.test/",
        "http://[x/a",
        "http://a[b/",
        "http://[::::]/",
        "http://a.test:b/",
        "http://a.test:0/",
        "http://a.test:65536/",
    ],
)
def test_other_addresses_of_documents_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="an address in ASCII that begins with https:// or http://"):
        parse_web_address(text)


def test_server_is_normalised() -> None:
    assert str(parse_server("HTTP://Chat.Example:80")) == "http://chat.example"


@pytest.mark.parametrize(
    "text",
    [
        "chat:8000",
        "127.0.0.1:8000",
        "ftp://chat",
        "http://",
        "http://chat:0",
        "http://chat:",
        "http://chat:65536",
        "http://chat:x",
        "http://chat/",
        "http://chat/api",
        "http://chat?x",
        "http://chat?",
        "http://chat#x",
        "http://user@chat",
        "http://user:word@chat",
        "http://a b",
        "http://a\tb",
        "http://1.2.3",
        "http://[::1",
        "http://[::1%25eth0]",
        f"http://{'a.' * 126}aa",
        "unix:chat.sock",
        "unix:",
        "unix://run/chat.sock",
        "unix:/" + "x" * 107,
        "unix:/a\0b",
        8_000,
    ],
)
def test_other_servers_are_refused(text: object) -> None:
    with pytest.raises(Refused):
        parse_server(text)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", IPv4Network("10.0.0.0/8")),
        ("192.0.2.1", IPv4Network("192.0.2.1/32")),
        ("2001:db8::/32", IPv6Network("2001:db8::/32")),
        (IPv6Network("::1/128"), IPv6Network("::1/128")),
    ],
)
def test_network_is_a_prefix_or_an_address(text: object, network: object) -> None:
    assert parse_network(text) == network


@pytest.mark.parametrize("text", ["10.0.0.0/33", "chat", "", "fe80::%eth0/64", 10])
def test_other_networks_are_refused(text: object) -> None:
    with pytest.raises(Refused):
        parse_network(text)


def test_a_network_with_host_bits_is_refused_with_both_meanings() -> None:
    with pytest.raises(Refused, match=r'"10\.0\.0\.0/8", or the one address "10\.0\.0\.1"'):
        parse_network("10.0.0.1/8")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ],
)
def test_network_of_mapped_addresses_would_never_have_a_client(text: str, same: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_network(text)
    assert caught.value.allowed == f'the same network as IPv4: "{same}"'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("chat.example.org", "chat.example.org"),
        ("Chat.EXAMPLE.org", "chat.example.org"),
        ("*.example.org", "*.example.org"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_server_name_is_in_the_form_that_is_compared(text: str, name: str) -> None:
    assert parse_server_name(text) == name


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("bücher.example", '"xn--bcher-kva.example"'),
        ("Straße.Example", '"xn--strae-oqa.example"'),
        ("chat.example.org.", '"chat.example.org"'),
        ("*", 'one "\\*\\."'),
        ("a.*.example", 'one "\\*\\."'),
        ("*.*.example", 'one "\\*\\."'),
        ("[2001:db8::1]", "no scheme, port, path or brackets"),
        ("chat.example:443", "no scheme, port, path or brackets"),
        ("https://chat.example", "no scheme, port, path or brackets"),
        ("chat..example", "a DNS name"),
        ("", "a DNS name"),
        ("-chat.example", "a DNS name"),
        ("chat-.example", "a DNS name"),
        ("my_chat.example", "a DNS name"),
        ("a" * 64 + ".example", "a DNS name"),
        ("a." * 126 + "aa", "a DNS name"),
        ("1.2.3.400", "not a number"),
        ("chat.example\n", "a DNS name"),
        ("fe80::1%eth0", "no scheme"),
        (443, "a DNS name such as"),
    ],
)
def test_other_server_names_are_refused_with_the_remedy(text: object, allowed: str) -> None:
    with pytest.raises(Refused, match=allowed):
        parse_server_name(text)


def test_exact_name_takes_no_wildcard() -> None:
    assert parse_exact_name("Chat.example") == "chat.example"
    with pytest.raises(Refused, match="without a wildcard"):
        parse_exact_name("*.example")


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("chat.example", "chat.example", True),
        ("*.example", "chat.example", True),
        ("*.example", "*.example", True),
        ("*.example", "example", False),
        ("*.example", "a.b.example", False),
        ("*.org", "*.example.org", False),
        ("*.example.org", "*.sub.example.org", False),
        ("*.*.org", "*.*.org", True),
        ("*.org", "*.org.org", False),
        ("chat.example", "files.example", False),
    ],
)
def test_a_wildcard_stands_for_one_label(pattern: str, name: str, matches: bool) -> None:  # noqa: FBT001
    assert name_matches(pattern, name) is matches
    assert is_covered(name, {pattern, "other.test"}) is matches


def test_parse_ip_knows_addresses_from_names() -> None:
    assert parse_ip("::1") == IPv6Address("::1")
    assert parse_ip("chat") is None
    assert parse_ip("fe80::1%1") is None


@given(st.sampled_from([parse_bind, parse_server, parse_network, parse_server_name, parse_exact_name]), st.text())
def test_any_text_is_parsed_or_refused(parse: Callable[[object], object], text: str) -> None:
    try:
        value = parse(text)
    except Refused:
        return
    assert parse(str(value)) == value


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("http://a", "a"),
        ("http://a:443", "a:443"),
        ("https://a:443", "a"),
        ("https://[::1]:8443", "[::1]:8443"),
        ("unix:/run/a.sock", "localhost"),
    ],
)
def test_authority_of_a_server(text: str, authority: str) -> None:
    assert parse_server(text).authority == authority


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("127.0.0.1:1", "0.0.0.0:1", True),
        ("0.0.0.0:1", "127.0.0.1:1", True),
        ("[::]:1", "[::1]:1", True),
        ("127.0.0.1:1", "127.0.0.2:1", False),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("0.0.0.0:1", "[::]:1", False),
        ("0.0.0.0:0", "0.0.0.0:0", False),
    ],
)
def test_addresses_overlap_where_a_connection_could_be_meant_for_both(one: str, other: str, overlaps: bool) -> None:  # noqa: FBT001
    assert parse_bind(one).overlaps(parse_bind(other)) is overlaps
