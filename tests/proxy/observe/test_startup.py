"""What a worker offers, on its way to the parent."""

import json

from proxy.observe.startup import ListenerOffer, Offers

PUBLIC = ListenerOffer(
    name="public",
    pq="prefer",
    groups="X25519MLKEM768 / X25519",
    cipher_suites="TLS_AES_256_GCM_SHA384",
    identities={"chat": ("ecdsa-p256", "mldsa-65"), "files": ("rsa-3072",)},
)
INTERNAL = ListenerOffer("internal", "require", "X25519MLKEM768", "TLS_AES_256_GCM_SHA384", {})
OFFERS = Offers("3.5.9", "/usr/lib/libssl.so.3", ["default", "oqsprovider"], [PUBLIC, INTERNAL])


def test_offers_travel_as_json() -> None:
    sent = json.dumps(OFFERS.as_json())
    assert json.dumps(Offers.from_json(json.loads(sent)).as_json()) == sent
