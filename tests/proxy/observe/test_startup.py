"""What a start reports, for machines and for people."""

import json

from proxy.observe.startup import ListenerReport, ready_event, ready_lines
from proxy.tls.capabilities import Capabilities

CAPABILITIES = Capabilities("3.5.9", "/usr/lib/libssl.so.3", ("default", "oqsprovider"), (), {})
PUBLIC = ListenerReport(
    name="public",
    addresses=["0.0.0.0:443", "[::]:443"],
    pq="prefer",
    groups="X25519MLKEM768 / X25519",
    cipher_suites="TLS_AES_256_GCM_SHA384",
    identities={"chat": ("ecdsa-p256", "mldsa-65"), "files": ("rsa-3072",)},
)
INTERNAL = ListenerReport("internal", ["127.0.0.1:8443"], "require", "X25519MLKEM768", "TLS_AES_256_GCM_SHA384", {})


def test_event_says_what_is_really_offered() -> None:
    event = ready_event(CAPABILITIES, [PUBLIC, INTERNAL])
    assert json.loads(json.dumps(event)) == {
        "event": "ready",
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
    assert ready_lines(CAPABILITIES, [PUBLIC, INTERNAL]) == [
        "OpenSSL 3.5.9 (/usr/lib/libssl.so.3), providers: default, oqsprovider",
        "listener public: 0.0.0.0:443, [::]:443  pq = prefer",
        "  groups  X25519MLKEM768 / X25519",
        "  suites  TLS_AES_256_GCM_SHA384",
        "  chat  ecdsa-p256, mldsa-65",
        "  files  rsa-3072",
        "listener internal: 127.0.0.1:8443  pq = require",
        "  groups  X25519MLKEM768",
        "  suites  TLS_AES_256_GCM_SHA384",
    ]
