"""What uses what, and what implements what."""

from dataclasses import replace

from proxy.doctor.cbom.components import certificate_ref
from proxy.doctor.cbom.graph import APPLICATION, dependencies, used_algorithms
from proxy.doctor.cbom.inventory import Inventory, LibraryFacts, LibraryRole
from tests.proxy.doctor.cbom.bills import NOON, full

FULL = full()
EDGES = dependencies(FULL)


def test_parts_of_what_is_used_are_used() -> None:
    names = [one.name for one in used_algorithms(FULL)]
    assert names == sorted(set(names))
    assert {"X25519MLKEM768", "ML-KEM-768", "X25519", "HQC-256", "Fernet", "AES-128-CBC", "SHA-384"} <= set(names)
    assert "ML-DSA-87" not in names


def test_application_uses_all_that_stands_at_the_top() -> None:
    assert {"protocol/tls/public", "key/sealing", "library/OpenSSL", "algorithm/MLKEM768-X25519"} <= EDGES.uses[
        APPLICATION
    ]


def test_protocol_uses_its_groups_and_the_certificates_of_its_identities() -> None:
    used = EDGES.uses["protocol/tls/inner"]
    assert {"algorithm/X25519MLKEM768", "algorithm/HKDF-SHA384", "library/OpenSSL"} <= used
    assert {one for one in used if one.startswith("certificate/")} == {
        certificate_ref(FULL.certificates[0].certificate),
        certificate_ref(FULL.certificates[2].certificate),
    }


def test_leaf_uses_its_key_in_every_token() -> None:
    used = EDGES.uses[certificate_ref(FULL.certificates[2].certificate)]
    assert {"key/identity/chat-2.1", "key/identity/chat-2.2", "algorithm/ML-DSA-65"} <= used
    issuer = EDGES.uses[certificate_ref(FULL.certificates[1].certificate)]
    assert not any(one.startswith("key/") for one in issuer)


def test_key_uses_its_token_or_what_seals_it() -> None:
    assert EDGES.uses["key/identity/chat-2.1"] == {"algorithm/ML-DSA-65", "token/one"}
    assert EDGES.uses["key/payload/rooms/3"] == {"algorithm/Fernet", "algorithm/AES-256-GCM"}


def test_libraries_provide_what_they_implement_here() -> None:
    openssl, cryptography, liboqs = (
        EDGES.provides[f"library/{name}"] for name in ("OpenSSL", "cryptography", "liboqs-python")
    )
    assert liboqs == {"algorithm/HQC-256"}
    assert {"algorithm/X25519MLKEM768", "algorithm/AES-256-CBC-HMAC-SHA256", "algorithm/ECDSA-P256"} <= openssl
    assert "algorithm/Fernet" in cryptography - openssl
    assert "algorithm/X25519MLKEM768" in openssl - cryptography
    assert "algorithm/HQC-256" not in openssl | cryptography


def test_provider_and_the_library_behind_it_provide_what_openssl_does_not() -> None:
    provider = LibraryFacts("oqs-provider", "0.12.0", LibraryRole.PROVIDER, "", ("x25519_hqc5", "HQC-128"), "0.16.0")
    library = LibraryFacts("liboqs", "0.16.0", LibraryRole.KEM_LIBRARY)
    older = LibraryFacts("liboqs", "0.15.0", LibraryRole.KEM_LIBRARY)
    listener = replace(FULL.listeners[0], groups=("x25519_hqc5", "hqc1", "X25519MLKEM768"))
    edges = dependencies(replace(FULL, listeners=(listener,), libraries=(*FULL.libraries, provider, library, older)))
    assert edges.provides["library/oqs-provider"] == {"algorithm/x25519_hqc5", "algorithm/HQC-128"}
    assert edges.provides["library/liboqs-0.16.0"] == {"algorithm/HQC-128", "algorithm/HQC-256"}
    assert edges.uses["library/oqs-provider"] == {"library/liboqs-0.16.0"}
    assert edges.uses["algorithm/x25519_hqc5"] == {"algorithm/X25519", "algorithm/HQC-256"}
    openssl = edges.provides["library/OpenSSL"]
    assert {"algorithm/X25519", "algorithm/X25519MLKEM768"} <= openssl
    assert not openssl & {"algorithm/x25519_hqc5", "algorithm/HQC-128", "algorithm/HQC-256"}
    assert "library/oqs-provider" in edges.uses["protocol/tls/public"]


def test_library_of_http_3_leaves_cryptography_to_openssl() -> None:
    quic = LibraryFacts("libngtcp2", "1.11.0", LibraryRole.QUIC)
    assert not dependencies(replace(FULL, libraries=(*FULL.libraries, quic))).provides["library/libngtcp2"]


def test_nothing_configured_uses_nothing() -> None:
    empty = dependencies(Inventory("1", NOON, is_observed=False))
    assert dict(empty.uses) == {APPLICATION: set()}
