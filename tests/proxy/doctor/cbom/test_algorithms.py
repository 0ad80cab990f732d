"""The table of algorithms."""

import re

import pytest

from config.schema import SecurityLevel
from config.tables.payload import SessionSuite
from config.tables.rotation import KEY_ALGORITHMS
from proxy.doctor.cbom.algorithms import (
    ALGORITHMS,
    CIPHER_SUITES,
    FERNET,
    OF_LIBOQS,
    SEALING,
    TICKETS,
    Primitive,
    algorithm_of_group,
    algorithm_of_key,
    algorithm_of_signature,
)
from proxy.tls.handshake.group_choice import cipher_suites
from proxy.tls.wire.groups import KNOWN


def test_each_part_is_in_the_table() -> None:
    assert {part for one in ALGORITHMS.values() for part in one.parts} <= ALGORITHMS.keys()
    assert {FERNET, SEALING, TICKETS} | OF_LIBOQS <= ALGORITHMS.keys()


def test_each_primitive_has_functions() -> None:
    assert all(one.functions for one in ALGORITHMS.values())


def test_identifiers_are_dotted_numbers() -> None:
    assert all(re.fullmatch(r"[0-2](\.[0-9]+)+", one.oid) for one in ALGORITHMS.values() if one.oid)


@pytest.mark.parametrize("group", sorted({one.name for one in KNOWN.values()}))
def test_each_group_of_openssl_is_known(group: str) -> None:
    one, known = algorithm_of_group(group), KNOWN[group.lower()]
    assert bool(one.level) is known.is_quantum_safe
    if one.primitive is Primitive.COMBINER:
        assert one.code_point == known.code_point


def test_hybrid_is_as_strong_as_its_stronger_half() -> None:
    one = algorithm_of_group("secp384r1mlkem1024")
    assert (one.name, one.bits, one.level) == ("SecP384r1MLKEM1024", 256, 5)
    assert one.parts == ("ECDH-P384", "ML-KEM-1024")


@pytest.mark.parametrize("name", ["x25519_tulip", "curve9_hqc5", "hqc7"])
def test_group_of_another_provider_is_named_and_not_judged(name: str) -> None:
    one = algorithm_of_group(name)
    assert (one.name, one.level, one.bits, one.parts) == (name, None, None, ())


@pytest.mark.parametrize(
    ("group", "name", "level", "parts"),
    [
        ("frodo640aes", "FrodoKEM-640", 1, ()),
        ("hqc5", "HQC-256", 5, ()),
        ("hqc192", "HQC-192", 3, ()),
        ("x25519_hqc1", "x25519_hqc1", 1, ("X25519", "HQC-128")),
        ("p384_frodo976shake", "p384_frodo976shake", 3, ("ECDH-P384", "FrodoKEM-976-SHAKE")),
        ("p256_bikel1", "p256_bikel1", 1, ("ECDH-P256", "BIKE-L1")),
        ("P521_MLKEM1024", "P521_MLKEM1024", 5, ("ECDH-P521", "ML-KEM-1024")),
    ],
)
def test_groups_of_oqs_provider_are_taken_apart(group: str, name: str, level: int, parts: tuple[str, ...]) -> None:
    one = algorithm_of_group(group)
    assert (one.name, one.level, one.parts) == (name, level, parts)
    assert all(part in ALGORITHMS for part in one.parts)
    assert (one.primitive is Primitive.COMBINER) is bool(parts)


@pytest.mark.parametrize("key", KEY_ALGORITHMS)
def test_each_kind_of_key_is_known(key: str) -> None:
    one = algorithm_of_key(key)
    assert one.primitive is Primitive.SIGNATURE
    assert bool(one.level) is key.startswith("mldsa")
    assert one.name in ALGORITHMS


@pytest.mark.parametrize(
    ("key", "name", "level"),
    [
        ("ecdsa-p256", "ECDSA-P256", 0),
        ("ed25519", "Ed25519", 0),
        ("rsa-5120", "rsa-5120", 0),
        ("unknown", "unknown", None),
        ("mldsa-44", "ML-DSA-44", 2),
    ],
)
def test_names_of_the_status(key: str, name: str, level: int | None) -> None:
    one = algorithm_of_key(key)
    assert (one.name, one.level) == (name, level)


@pytest.mark.parametrize("suite", [str(one) for one in SessionSuite])
def test_each_suite_of_sessions_is_known_and_quantum_safe(suite: str) -> None:
    assert ALGORITHMS[suite].level


@pytest.mark.parametrize("level", SecurityLevel)
def test_each_cipher_suite_is_known(level: SecurityLevel) -> None:
    for name in cipher_suites(level).split(":"):
        cipher, digest, _ = CIPHER_SUITES[name]
        assert {cipher, digest, f"HKDF-{digest.replace('-', '')}"} <= ALGORITHMS.keys()


def test_signatures_of_certificates_go_by_their_identifier() -> None:
    assert algorithm_of_signature("1.2.840.113549.1.1.11").name == "RSA-with-SHA256"
    assert algorithm_of_signature("2.16.840.1.101.3.4.3.18").name == "ML-DSA-65"
    assert algorithm_of_signature("1.2.3.4").oid == "1.2.3.4"
