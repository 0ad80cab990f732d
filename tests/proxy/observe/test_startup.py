"""What a start reports, for machines and for people."""

import json

from config.issuers import PLAIN_LISTENER
from proxy.observe.startup import ListenerOffer, Offers, ready_event, ready_lines

PUBLIC = ListenerOffer(
    name="public",
    pq="prefer",
    groups="X25519MLKEM768 / X25519",
    cipher_suites="TLS_AES_256_GCM_SHA384",
    identities={"chat": ("ecdsa-p256", "mldsa-65"), "files": ("rsa-3072",)},
)
INTERNAL = ListenerOffer("internal", "require", "X25519MLKEM768", "TLS_AES_256_GCM_SHA384", {})
OFFERS = Offers("3.5.9", "/usr/lib/libssl.so.3", ["default", "oqsprovider"], [PUBLIC, INTERNAL])
METRICS = ["127.0.0.1:9464"]
ADDRESSES = {"public": ["0.0.0.0:443", "[::]:443"], "internal": ["127.0.0.1:8443"]}


def test_event_says_what_is_really_offered() -> None:
    event = ready_event(OFFERS, ADDRESSES, METRICS, 4)
    assert json.loads(json.dumps(event)) == {
        "event": "ready",
        "workers": 4,
        "metrics": ["127.0.0.1:9464"],
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
    assert ready_lines(OFFERS, ADDRESSES, METRICS, 4) == [
        "OpenSSL 3.5.9 (/usr/lib/libssl.so.3), providers: default, oqsprovider; workers: 4",
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
    assert ready_lines(OFFERS, addresses, [], 4)[-1] == "without TLS: 0.0.0.0:80"
    assert ready_event(OFFERS, addresses, [], 4)["listeners"][PLAIN_LISTENER] == ["0.0.0.0:80"]


def test_offers_travel_as_json() -> None:
    there = Offers.from_json(json.loads(json.dumps(OFFERS.as_json())))
    assert ready_event(there, ADDRESSES, METRICS, 4) == ready_event(OFFERS, ADDRESSES, METRICS, 4)
    assert ready_lines(there, ADDRESSES, METRICS, 4) == ready_lines(OFFERS, ADDRESSES, METRICS, 4)
