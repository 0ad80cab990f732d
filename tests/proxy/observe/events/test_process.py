"""The events of this subject have the JSON that they always had, and their sentences."""

import json

import pytest

from config.tables.plain import PLAIN_LISTENER
from proxy.observe.events import process
from proxy.observe.events.process import ProxyReady, Stopped
from proxy.observe.startup import ListenerOffer, Offers
from tests.example_events import Example, examples_of

PUBLIC = ListenerOffer(
    name="public",
    pq="prefer",
    groups="X25519MLKEM768 / X25519",
    cipher_suites="TLS_AES_256_GCM_SHA384",
    identities={"chat": ("ecdsa-p256", "mldsa-65"), "files": ("rsa-3072",)},
)
INTERNAL = ListenerOffer("internal", "require", "X25519MLKEM768", "TLS_AES_256_GCM_SHA384", {})
OFFERS = Offers("compiled", "3.5.9", "/usr/lib/libssl.so.3", ["default", "oqsprovider"], [PUBLIC, INTERNAL])
METRICS = ["127.0.0.1:9464"]
ADDRESSES = {"public": ["0.0.0.0:443", "[::]:443"], "internal": ["127.0.0.1:8443"]}


@pytest.mark.parametrize("example", examples_of(process), ids=lambda one: one.facts["event"])
def test_event_has_its_json_and_its_sentence(example: Example) -> None:
    assert json.loads(json.dumps(example.event.as_json())) == example.facts
    assert list(example.event.as_json()) == list(example.facts)
    assert example.event.sentence() == example.sentence


def test_event_says_what_is_really_offered() -> None:
    event = ProxyReady.of(OFFERS, ADDRESSES, METRICS, 4)
    assert json.loads(json.dumps(event.as_json())) == {
        "event": "ready",
        "workers": 4,
        "metrics": ["127.0.0.1:9464"],
        "hot_path": "compiled",
        "openssl": "3.5.9",
        "libssl": "/usr/lib/libssl.so.3",
        "providers": ["default", "oqsprovider"],
        "listeners": {"public": ["0.0.0.0:443", "[::]:443"], "internal": ["127.0.0.1:8443"]},
        "offers": {
            "public": {
                "pq": "prefer",
                "groups": "X25519MLKEM768 / X25519",
                "cipher_suites": "TLS_AES_256_GCM_SHA384",
                "identities": {"chat": ["ecdsa-p256", "mldsa-65"], "files": ["rsa-3072"]},
            },
            "internal": {
                "pq": "require",
                "groups": "X25519MLKEM768",
                "cipher_suites": "TLS_AES_256_GCM_SHA384",
                "identities": {},
            },
        },
    }


def test_lines_say_the_same() -> None:
    assert ProxyReady.of(OFFERS, ADDRESSES, METRICS, 4).lines() == [
        "ready: hot path compiled; OpenSSL 3.5.9 (/usr/lib/libssl.so.3), providers: default, oqsprovider; workers: 4",
        "listener public: 0.0.0.0:443, [::]:443  pq = prefer",
        "  groups  X25519MLKEM768 / X25519",
        "  suites  TLS_AES_256_GCM_SHA384",
        "  chat  ecdsa-p256, mldsa-65",
        "  files  rsa-3072",
        "listener internal: 127.0.0.1:8443  pq = require",
        "  groups  X25519MLKEM768",
        "  suites  TLS_AES_256_GCM_SHA384",
        "metrics: http://127.0.0.1:9464/metrics",
    ]


def test_listener_without_tls_is_told_with_its_addresses() -> None:
    addresses = {**ADDRESSES, PLAIN_LISTENER: ["0.0.0.0:80"]}
    event = ProxyReady.of(OFFERS, addresses, [], 4)
    assert event.lines()[-1] == "without TLS: 0.0.0.0:80"
    assert event.as_json()["listeners"][PLAIN_LISTENER] == ["0.0.0.0:80"]


def test_process_without_clients_stops_with_zeroes() -> None:
    assert Stopped((), (), ()).sentence() == "stopped: 0 requests; handshakes: none; failures: 0"
