"""What listeners for TCP and passthrough say about other tables: every contradiction is told, and nothing else."""

from typing import Any

import pytest

from config.crosschecks.crosschecks import cross_check
from config.schema import Config
from config.values.omissions import Omissions

IDENTITY = {"names": ["irc.test", "*.rooms.test"], "certificate": "a.pem", "key": "a.key"}
TCP = {"servers": ["tcp://127.0.0.1:6667"]}
HTTP = {"servers": ["http://127.0.0.1:1"]}
LISTENER = {"bind": "127.0.0.1:1", "protocol": "tcp", "upstream": "irc"}
PUBLIC = {"bind": "127.0.0.1:2"}
ROUTE = {"host": "irc.test", "upstream": "chat"}


def document(**tables: Any) -> dict[str, Any]:
    return {"listener": {"irc": LISTENER}, "identity": {"irc": IDENTITY}, "upstream": {"irc": TCP}, **tables}


def problems(omissions: Omissions | None = None, /, **tables: Any) -> list[str]:
    found = cross_check(Config.model_validate(document(**tables)), "f", omissions)
    return [f"{problem.key}: {problem.found}" for problem in found]


def listener(**keys: Any) -> dict[str, Any]:
    return {"listener": {"irc": {**LISTENER, **keys}}}


@pytest.mark.parametrize(
    "tables",
    [
        {},
        listener(alpn=["irc"], alpn_required=True, default="irc"),
        listener(upstream=None, upstream_by_name={"irc.test": "irc", "a.rooms.test": "irc"}),
        {"upstream": {"irc": {"servers": ["unix:/run/ircd.sock", "tls://irc.test:6697"], "health": {}}}},
        {"upstream": {"irc": {**TCP, "balance": "consistent-hash", "hash_on": "address"}}},
        listener(passthrough={"turn.test": "tcp://127.0.0.1:1", "x.rooms.test": "tcp://127.0.0.1:1"}),
        {
            "listener": {"irc": {"bind": "127.0.0.1:1", "protocol": "tcp", "passthrough": {"a.test": "tcp://b:1"}}},
            "identity": {},
            "upstream": {},
        },
        {"listener": {"irc": LISTENER, "public": PUBLIC}, "upstream": {"irc": TCP, "chat": HTTP}, "route": [ROUTE]},
    ],
)
def test_what_fits_is_no_problem(tables: dict[str, Any]) -> None:
    assert problems(**tables) == []


@pytest.mark.parametrize(
    ("tables", "found"),
    [
        (listener(upstream=None), ["listener.irc.upstream: nothing", "upstream.irc: an upstream that no route uses"]),
        (listener(http=["h2"]), ['listener.irc.http: http together with protocol = "tcp"']),
        (
            listener(client_address_from="forwarded", trusted_peers=["10.0.0.5"], proxy_protocol="require"),
            ['listener.irc.client_address_from: client_address_from together with protocol = "tcp"'],
        ),
        (
            {
                "listener": {"irc": LISTENER, "public": {**PUBLIC, "passthrough": {"a.rooms.test": "tcp://b:1"}}},
                "upstream": {"irc": TCP, "chat": HTTP},
                "route": [{**ROUTE, "host": "a.rooms.test"}, ROUTE],
            },
            ['route[0].host: "a.rooms.test"'],
        ),
        (
            listener(trusted_peers=["10.0.0.0/8"]),
            ["listener.irc.trusted_peers: trusted_peers without proxy_protocol"],
        ),
        (
            listener(trusted_peers=["10.0.0.1"], proxy_protocol_from=["10.0.0.1"], proxy_protocol="require"),
            ["listener.irc.trusted_peers: trusted_peers together with proxy_protocol_from"],
        ),
        (
            listener(passthrough={"192.0.2.1": "tcp://127.0.0.1:1", "::1": "tcp://127.0.0.1:1"}),
            [
                'listener.irc.passthrough."192.0.2.1": "192.0.2.1"',
                'listener.irc.passthrough."::1": "::1"',
            ],
        ),
        (
            listener(http3=True, http3_port=1),
            [f'listener.irc.{key}: {key} together with protocol = "tcp"' for key in ("http3", "http3_port")],
        ),
        (listener(alpn_required=True), ["listener.irc.alpn_required: alpn_required without alpn"]),
        (listener(upstream="other"), ['listener.irc.upstream: "other"']),
        (
            listener(upstream=None, upstream_by_name={"irc.test": "irc"}, default="irc"),
            ['listener.irc.default: "irc" without upstream'],
        ),
        (
            listener(upstream_by_name={"other.test": "irc"}),
            ['listener.irc.upstream_by_name."other.test": "other.test"'],
        ),
        (listener(upstream_by_name={"irc.test": "no"}), ['listener.irc.upstream_by_name."irc.test": "no"']),
        ({"upstream": {"irc": HTTP}}, ['listener.irc.upstream: "irc", whose servers speak HTTP']),
        (
            listener(passthrough={"irc.test": "tcp://127.0.0.1:1"}),
            ['listener.irc.passthrough."irc.test": "irc.test" of an identity'],
        ),
        (
            {"upstream": {"irc": {**TCP, "http": "h2", "first_byte_timeout": "1s"}}},
            [
                "upstream.irc.http: http of servers for TCP",
                "upstream.irc.first_byte_timeout: first_byte_timeout of servers for TCP",
            ],
        ),
        (
            {"upstream": {"irc": {**TCP, "balance": "sticky-cookie", "cookie": {"secret": "s"}}}},
            [
                "upstream.irc.cookie: cookie of servers for TCP",
                'upstream.irc.balance: "sticky-cookie" of servers for TCP',
            ],
        ),
        (
            {"upstream": {"irc": {**TCP, "balance": "consistent-hash", "hash_on": "header:A"}}},
            ['upstream.irc.hash_on: "header:A" of servers for TCP'],
        ),
        (
            {"upstream": {"irc": {**TCP, "health": {"path": "/", "host": "a", "statuses": [200, 200]}}}},
            [f"upstream.irc.health.{key}: {key} of servers for TCP" for key in ("path", "host", "statuses")],
        ),
    ],
)
def test_what_does_not_fit_is_told(tables: dict[str, Any], found: list[str]) -> None:
    assert sorted(problems(**tables)) == sorted(found)


@pytest.mark.parametrize("key", ["upstream", "upstream_by_name", "alpn", "alpn_required"])
def test_keys_of_tcp_mean_nothing_for_http(key: str) -> None:
    values = {"upstream": "chat", "upstream_by_name": {"irc.test": "chat"}, "alpn": ["irc"], "alpn_required": True}
    tables: dict[str, Any] = {
        "listener": {"public": {**PUBLIC, key: values[key]}},
        "upstream": {"chat": HTTP},
        "route": [ROUTE],
    }
    assert problems(**tables) == [f"listener.public.{key}: {key} on a listener for HTTP"]


def test_health_check_of_http_needs_a_path() -> None:
    tables: dict[str, Any] = {
        "listener": {"public": PUBLIC},
        "upstream": {"chat": {**HTTP, "health": {}}},
        "route": [ROUTE],
    }
    assert problems(**tables) == ["upstream.chat.health.path: nothing"]
    assert problems(Omissions(frozenset({("upstream", "chat", "health", "path")})), **tables) == []
    assert problems(Omissions(frozenset({("listener", "x")})), **tables) == []


def test_routes_and_tcp_share_nothing() -> None:
    both = {"irc": LISTENER, "public": PUBLIC}
    route = {"host": "irc.test", "upstream": "irc"}
    assert problems(listener=both, route=[route]) == ['route[0].upstream: "irc", whose servers are for TCP']
    unix = {"irc": {"servers": ["unix:/run/a.sock"]}}
    found = problems(listener=both, upstream=unix, route=[route])
    assert found == ['route[0].upstream: "irc", which a listener with protocol = "tcp" uses']
    asking = {**ROUTE, "auth": {"upstream": "irc"}}
    found = problems(listener=both, upstream={"irc": TCP, "chat": HTTP}, route=[asking])
    assert found == ['route[0].auth.upstream: "irc", whose servers are for TCP']
    found = problems(listener=both, upstream={**unix, "chat": HTTP}, route=[asking])
    assert found == ['route[0].auth.upstream: "irc", which a listener with protocol = "tcp" uses']
    found = problems(upstream={"irc": TCP, "chat": HTTP}, route=[ROUTE])
    assert found == ['route[0]: a route for "irc.test"']
    found = problems(Omissions(frozenset({("listener", "x")})), upstream={"irc": TCP, "chat": HTTP}, route=[ROUTE])
    assert found == []
    assert problems(listener=both, route=[{"host": "irc.test", "upstream": "no"}]) == ['route[0].upstream: "no"']


def test_names_of_identities_that_were_left_out_are_not_missed() -> None:
    omissions = Omissions(frozenset({("identity", "other")}))
    assert problems(omissions, **listener(upstream_by_name={"other.test": "irc"})) == []
    omissions = Omissions(frozenset({("upstream", "other")}))
    found = problems(omissions, **listener(upstream="other"))
    assert found == ["upstream.irc: an upstream that no route uses"]
