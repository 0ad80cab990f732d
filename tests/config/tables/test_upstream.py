"""The shape of an upstream's table."""

from typing import Any

import pytest
from pydantic import ValidationError

from config.tables.upstream import Balance, HashKind, HashSource, ProxyHeaderVersion, SameSite, UpstreamConfig
from config.values.addresses import ServerAddress
from tests.config.test_schema import UPSTREAM, refused


def test_an_upstream_over_tls_may_say_whom_to_trust_and_who_it_is() -> None:
    upstream = UpstreamConfig.model_validate(
        {
            "servers": ["https://chat.internal", "unix:/run/chat.sock"],
            "ca": "ca.pem",
            "server_name": "Chat.Internal",
            "certificate": "proxy.pem",
            "key": "proxy.key",
        }
    )
    assert tuple(server.address for server in upstream.servers) == (
        ServerAddress("https", "chat.internal", 443),
        ServerAddress("unix", path="/run/chat.sock"),
    )
    assert upstream.server_name == "chat.internal"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ca": "ca.pem"}, "https"),
        ({"server_name": "chat"}, "https"),
        ({"certificate": "a", "key": "b"}, "https"),
        ({"servers": ["https://chat"], "certificate": "a"}, 'both "certificate" and "key"'),
        ({"servers": ["https://chat"], "key": "a"}, 'both "certificate" and "key"'),
        ({"servers": ["https://chat"], "server_name": "*.chat"}, "wildcard"),
        ({"servers": []}, "servers"),
        ({"connections": 0}, "connections"),
        ({"waiting": -1}, "waiting"),
        ({"connect_timeout": "0s"}, "connect_timeout"),
        ({"servers": [{"address": "http://a", "weight": 0}]}, "weight"),
        ({"servers": [{"weight": 2}]}, "address"),
        ({"servers": [5]}, "servers"),
        ({"balance": "random"}, "balance"),
        ({"balance": "consistent-hash"}, "hash_on"),
        ({"hash_on": "address"}, 'hash_on only with balance "consistent-hash"'),
        ({"balance": "consistent-hash", "hash_on": "header:"}, '"header:NAME"'),
        ({"balance": "consistent-hash", "hash_on": "header:a b"}, '"header:NAME"'),
        ({"balance": "consistent-hash", "hash_on": "path"}, '"header:NAME"'),
        ({"balance": "consistent-hash", "hash_on": 5}, '"header:NAME"'),
        ({"balance": "sticky-cookie"}, "[upstream.NAME.cookie]"),
        ({"cookie": {"secret": "s"}}, 'cookie only with balance "sticky-cookie"'),
        ({"balance": "sticky-cookie", "cookie": {}}, "secret"),
        ({"balance": "sticky-cookie", "cookie": {"secret": "s", "name": "a=b"}}, "name"),
        ({"balance": "sticky-cookie", "cookie": {"secret": "s", "same_site": "Lax"}}, "same_site"),
        ({"health": {"path": "healthz"}}, "path"),
        ({"health": {"path": "/a b"}}, "path"),
        ({"health": {"path": "/a#b"}}, "path"),
        ({"health": {"path": "/", "statuses": [299, 200]}}, "[200, 299]"),
        ({"health": {"path": "/", "statuses": [200]}}, "[200, 299]"),
        ({"health": {"path": "/", "statuses": 200}}, "[200, 299]"),
        ({"health": {"path": "/", "statuses": [0, 200]}}, "[200, 299]"),
        ({"health": {"path": "/", "jitter": 1.0}}, "jitter"),
        ({"health": {"path": "/", "rise": 0}}, "rise"),
        ({"ejection": {"base_time": "10s", "max_time": "5s"}}, "max_time"),
        ({"ejection": {"most_percent": 100}}, "most_percent"),
        ({"retry_percent": -1.0}, "retry_percent"),
    ],
)
def test_other_upstreams_are_refused(change: dict[str, object], text: str) -> None:
    assert text in refused(UpstreamConfig, {**UPSTREAM, **change})


def upstream(**settings: Any) -> UpstreamConfig:
    """An upstream with these settings."""
    return UpstreamConfig.model_validate({**UPSTREAM, **settings})


def test_a_server_with_a_weight_is_a_table() -> None:
    servers = upstream(servers=["http://a", {"address": "http://b", "weight": 3}, {"address": "unix:/c"}]).servers
    assert [(str(server.address), server.weight) for server in servers] == [
        ("http://a", 1),
        ("http://b", 3),
        ("unix:/c", 1),
    ]
    parsed = ServerAddress("http", "a", 80)
    assert upstream(servers=[parsed]).servers[0].address is parsed


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("address", HashSource(HashKind.ADDRESS)),
        ("header:X-Room", HashSource(HashKind.HEADER, "X-Room")),
        ("cookie:room", HashSource(HashKind.COOKIE, "room")),
    ],
)
def test_what_is_hashed(text: str, source: HashSource) -> None:
    assert upstream(balance="consistent-hash", hash_on=text).hash_on == source
    assert upstream(balance="consistent-hash", hash_on=source).hash_on == source
    assert str(source) == text


def test_sticky_cookie_has_defaults_for_all_but_its_secret() -> None:
    cookie = upstream(balance="sticky-cookie", cookie={"secret": "sticky.key"}).cookie
    assert cookie is not None
    assert (cookie.name, cookie.seconds, cookie.same_site) == (None, 86_400, SameSite.LAX)


def test_statuses_and_path_of_a_check() -> None:
    health = upstream(health={"path": "/a?b=%20&c", "statuses": [200, 204], "host": "Chat.Internal"}).health
    assert health is not None
    assert (health.path, health.statuses, health.host) == ("/a?b=%20&c", (200, 204), "chat.internal")


def test_servers_are_ejected_and_balanced_by_default_and_not_checked() -> None:
    made = upstream()
    assert (made.balance, made.health, made.ejection.connect_failures) == (Balance.LEAST_CONNECTIONS, None, 5)


def test_a_proxy_header_is_of_one_client_so_no_server_of_http_2_gets_one() -> None:
    for version in ProxyHeaderVersion:
        assert upstream(send_proxy_protocol=version.value).send_proxy_protocol is version
        with pytest.raises(ValidationError, match="a connection of HTTP/2 carries requests of many clients"):
            upstream(send_proxy_protocol=version.value, http="h2")
    assert upstream().send_proxy_protocol is None
    with pytest.raises(ValidationError, match="send_proxy_protocol"):
        upstream(send_proxy_protocol="v3")


def test_servers_for_tcp_are_offered_the_protocols_of_the_upstream() -> None:
    assert upstream(servers=["tls://10.0.0.1:1"], alpn=["irc"]).offered_protocols == ("irc",)
    assert upstream(servers=["https://10.0.0.1:1"]).offered_protocols == ("http/1.1",)


@pytest.mark.parametrize(
    ("servers", "alpn", "allowed"),
    [
        (["tcp://10.0.0.1:1", "http://10.0.0.2:1"], [], "servers that speak HTTP, or servers for TCP"),
        (["tcp://10.0.0.1:1"], ["irc"], "alpn only with a tls:// server"),
    ],
)
def test_servers_for_tcp_stand_alone_and_have_alpn_with_tls_only(
    servers: list[str], alpn: list[str], allowed: str
) -> None:
    with pytest.raises(ValidationError, match=allowed):
        upstream(servers=servers, alpn=alpn)
