"""What a worker offers, on its way to the parent."""

import json

from proxy.observe.startup import ListenerOffer, Offers
from proxy.processes.messages.codec import decode, encode

PUBLIC = ListenerOffer(
    name="public",
    pq="prefer",
    groups="X25519MLKEM768 / X25519",
    cipher_suites="TLS_AES_256_GCM_SHA384",
    identities={"chat": ("ecdsa-p256", "mldsa-65"), "files": ("rsa-3072",)},
)
INTERNAL = ListenerOffer("internal", "require", "X25519MLKEM768", "TLS_AES_256_GCM_SHA384", {})
OFFERS = Offers("compiled", "3.5.9", "/usr/lib/libssl.so.3", ["default", "oqsprovider"], [PUBLIC, INTERNAL])


def test_offers_arrive_as_they_were_sent() -> None:
    arrived = decode(Offers, json.loads(json.dumps(encode(OFFERS))))
    assert arrived.listeners == (PUBLIC, INTERNAL)
    assert (arrived.openssl, arrived.libssl, list(arrived.providers)) == (
        "3.5.9",
        "/usr/lib/libssl.so.3",
        ["default", "oqsprovider"],
    )
