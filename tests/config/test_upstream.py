"""The shape of an upstream's table."""

import pytest

from config.addresses import ServerAddress
from config.upstream import UpstreamConfig
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
    assert upstream.servers == (
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
        ({"connect_seconds": 0}, "connect_seconds"),
    ],
)
def test_other_upstreams_are_refused(change: dict[str, object], text: str) -> None:
    assert text in refused(UpstreamConfig, {**UPSTREAM, **change})
