"""Public keys are made of what tokens tell, also of those that tell it another way."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from certs.hsm.clients.calls import PublicParts
from certs.hsm.process.key_templates import Attributes
from certs.keys.signing_key import spki_of
from certs.keys.token_public_key import PublicPartsUnusable, pem_of, public_key_of

P256 = ec.derive_private_key(7, ec.SECP256R1()).public_key()
P384 = ec.derive_private_key(7, ec.SECP384R1()).public_key()
RSA = rsa.RSAPublicNumbers(65537, (1 << 3071) + 1).public_key()
MLDSA = mldsa.MLDSA65PrivateKey.from_seed_bytes(bytes(32)).public_key()
PARAMETERS = {256: bytes.fromhex("06082a8648ce3d030107"), 384: bytes.fromhex("06052b81040022")}


def ec_parts(key: ec.EllipticCurvePublicKey, prefix: bytes) -> PublicParts:
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return PublicParts({"KEY_TYPE": 3, "EC_PARAMS": PARAMETERS[key.key_size], "EC_POINT": prefix + point})


@pytest.mark.parametrize(("key", "prefix"), [(P256, b"\x04\x41"), (P256, b""), (P384, b"\x04\x61"), (P384, b"")])
def test_a_point_is_read_in_an_octet_string_and_bare(key: ec.EllipticCurvePublicKey, prefix: bytes) -> None:
    assert public_key_of(ec_parts(key, prefix)) == key


def test_an_rsa_key_is_modulus_and_exponent() -> None:
    modulus = RSA.public_numbers().n.to_bytes(384, "big")
    assert public_key_of(PublicParts({"KEY_TYPE": 0, "MODULUS": modulus, "PUBLIC_EXPONENT": b"\x01\x00\x01"})) == RSA


def test_an_mldsa_key_is_its_value() -> None:
    parts = PublicParts({"KEY_TYPE": 0x4A, "PARAMETER_SET": 2, "VALUE": MLDSA.public_bytes_raw()})
    assert public_key_of(parts) == MLDSA


def test_it_is_exported_for_others() -> None:
    for key in (P256, RSA, MLDSA):
        assert load_der_public_key(spki_of(key)) == key
        assert load_pem_public_key(pem_of(key).encode()) == key


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({}, "key type None"),
        ({"KEY_TYPE": 0x13}, "key type 19"),
        ({"KEY_TYPE": 0, "MODULUS": b"\x01"}, "no CKA_PUBLIC_EXPONENT"),
        ({"KEY_TYPE": 3, "EC_PARAMS": b"\x06\x01\x01", "EC_POINT": b""}, "another curve or set"),
        ({"KEY_TYPE": 3, "EC_PARAMS": PARAMETERS[256], "EC_POINT": bytes(65)}, "found"),
        ({"KEY_TYPE": 0x4A, "PARAMETER_SET": 9, "VALUE": b""}, "another curve or set"),
    ],
)
def test_what_makes_no_key_is_said(attributes: Attributes, found: str) -> None:
    with pytest.raises(PublicPartsUnusable, match=found):
        public_key_of(PublicParts(attributes))
