"""The shape of a listener's table."""

from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from config.tables.listener import (
    HTTP_BY_DEFAULT,
    REJECT,
    HttpProtocol,
    ListenerConfig,
    PqPolicy,
    ProxyProtocol,
    SecurityLevel,
)
from config.values.addresses import parse_bind


def refused(key: str, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        ListenerConfig.model_validate({"bind": "127.0.0.1:1", key: value})
    return str(caught.value)


def test_the_smallest_table_has_the_defaults_of_the_contract() -> None:
    listener = ListenerConfig.model_validate({"bind": "0.0.0.0:443"})
    assert (listener.pq, listener.level) == (PqPolicy.PREFER, SecurityLevel.STANDARD)
    assert (listener.groups, listener.default, listener.trusted_peers) == (None, REJECT, ())
    assert listener.http == HTTP_BY_DEFAULT


@pytest.mark.parametrize("bind", ["127.0.0.1:1", ["127.0.0.1:1"], parse_bind("127.0.0.1:1")])
def test_bind_may_be_one_address_or_a_list(bind: object) -> None:
    assert [str(one) for one in ListenerConfig.model_validate({"bind": bind}).bind] == ["127.0.0.1:1"]


@pytest.mark.parametrize("bind", [[], 443, {"a": 1}, [443]])
def test_other_binds_are_refused(bind: object) -> None:
    refused("bind", bind)


def test_groups_keep_the_form_of_the_file() -> None:
    def groups(value: object) -> object:
        return ListenerConfig.model_validate({"bind": "127.0.0.1:1", "groups": value}).groups

    assert groups(["A", "B"]) == ("A", "B")
    assert groups([["A", "B"], ["C"]]) == (("A", "B"), ("C",))
    assert groups(None) is None


@pytest.mark.parametrize("groups", ["A", [], [[]], [["A"], []], ["A", ["B"]], [1], [["A", 1]], [["A", ""]], [""], 5])
def test_other_groups_are_refused(groups: object) -> None:
    refused("groups", groups)


@pytest.mark.parametrize("value", ["auto", "v2", True, "", "REQUIRE"])
def test_a_proxy_header_is_required_or_no_header_is_understood(value: object) -> None:
    assert "require" in refused("proxy_protocol", value)
    assert ListenerConfig.model_validate({"bind": "127.0.0.1:1"}).proxy_protocol is None


def test_proxy_headers_need_peers_that_may_send_them() -> None:
    assert "proxy_protocol_from with the addresses of the balancers" in refused("proxy_protocol", "require")
    assert 'proxy_protocol = "require" as well' in refused("proxy_protocol_from", ["10.0.0.5"])
    table = {"bind": "127.0.0.1:1", "proxy_protocol": "require", "trusted_peers": ["10.0.0.5"]}
    listener = ListenerConfig.model_validate(table)
    assert listener.proxy_protocol is ProxyProtocol.REQUIRE
    assert listener.header_senders == listener.trusted_peers
    apart = ListenerConfig.model_validate(table | {"proxy_protocol_from": ["10.0.0.6"]})
    assert apart.header_senders == (ip_network("10.0.0.6"),)


def test_http3_is_off_and_has_a_listener_of_its_own() -> None:
    assert not ListenerConfig.model_validate({"bind": "127.0.0.1:1"}).http3
    assert ListenerConfig.model_validate({"bind": "127.0.0.1:1", "http3": True}).http3
    assert "valid boolean" in refused("http3", "yes")


def test_port_of_http3_is_nothing_without_it() -> None:
    assert "http3 = true as well" in refused("http3_port", 443)
    assert "less than or equal to 65535" in refused("http3_port", 65_536)
    table = {"bind": "127.0.0.1:1", "http3": True, "http3_port": 443}
    assert ListenerConfig.model_validate(table).http3_port == 443


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"proxy_protocol": "require", "trusted_peers": ["10.0.0.5"]}, "a PROXY header has no place in QUIC"),
        ({"passthrough": {"turn.test": "tcp://127.0.0.1:1"}}, "QUIC is not passed through"),
    ],
)
def test_http3_is_refused_where_it_cannot_do_what_tcp_does(other: dict[str, object], reason: str) -> None:
    table = {"bind": "127.0.0.1:1", "http3": True, **other}
    with pytest.raises(ValidationError, match=reason):
        ListenerConfig.model_validate(table)
    assert not ListenerConfig.model_validate(table | {"http3": False}).http3


def test_critical_levels_require_post_quantum_groups() -> None:
    assert [level for level in SecurityLevel if level.requires_pq] == [
        SecurityLevel.CRITICAL,
        SecurityLevel.QUANTUM_SAFE,
    ]


def test_only_the_level_quantum_safe_binds_signatures_and_not_with_its_exception() -> None:
    tables = [
        ListenerConfig.model_validate({"bind": "127.0.0.1:1", "level": level, "weaker_signatures": weaker})
        for level in SecurityLevel
        for weaker in (False, True)
    ]
    assert [one.level for one in tables if one.binds_signatures] == [SecurityLevel.QUANTUM_SAFE]


@pytest.mark.parametrize("http", [["h2"], ["http/1.1"], ["h2", "http/1.1"], ["http/1.1", "h2"], (HttpProtocol.HTTP_2,)])
def test_versions_of_http_keep_the_order_of_the_file(http: list[str]) -> None:
    made = ListenerConfig.model_validate({"bind": "127.0.0.1:1", "http": http}).http
    assert list(made) == list(http)
    assert {type(one) for one in made} == {HttpProtocol}


@pytest.mark.parametrize("http", [[], "h2", ["h3"], ["H2"], ["h2", "h2c"], ["h2", 2], [["h2"]], None, True, {"h2": 1}])
def test_other_versions_of_http_are_refused(http: object) -> None:
    assert 'a list of "h2" and "http/1.1", the preferred one first, or of one of them' in refused("http", http)


def test_a_version_of_http_stands_once() -> None:
    assert "each protocol once" in refused("http", ["h2", "http/1.1", "h2"])
