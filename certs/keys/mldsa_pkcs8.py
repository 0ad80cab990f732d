"""The forms of an ML-DSA private key in PKCS #8 (RFC 9881 6).

A key file holds the seed, the expanded key, or both. OpenSSL 3.5 writes both unless told otherwise,
cryptography 50 reads the seed alone: so the seed is taken out of the form with both. From an
expanded key alone cryptography has no way to the public key.
"""

import re
from base64 import b64decode
from enum import Enum

from cryptography.hazmat.primitives.asymmetric import mldsa

_PrivateKey = type[mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey]

_PARAMETER_SETS: dict[bytes, _PrivateKey] = {  # last byte of the OID 2.16.840.1.101.3.4.3.x (RFC 9881 2)
    b"\x11": mldsa.MLDSA44PrivateKey,
    b"\x12": mldsa.MLDSA65PrivateKey,
    b"\x13": mldsa.MLDSA87PrivateKey,
}
_BLOCK = re.compile(rb"-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----")
# OneAsymmetricKey (RFC 5958 2): version, AlgorithmIdentifier without parameters, privateKey. All
# lengths of two octets vary only with the parameter set, so DER leaves exactly one way to write
# each form.
_PKCS8 = re.compile(
    rb"\x30\x82..\x02\x01[\x00\x01]\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03([\x11-\x13])"
    rb"\x04\x82..(?:\x30\x82..\x04\x20(.{32})\x04\x82|(\x04\x82))",
    re.DOTALL,
)


class Form(Enum):
    """A form of an ML-DSA key from which no public key comes here."""

    EXPANDED_ONLY = "expanded key without its seed"


def public_key_of(pem: bytes) -> mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey | Form | None:
    """The public half of the first key in a PEM text if it is ML-DSA with seed and expanded key;
    None if it is something else.

    Raises ValueError where what looks like PEM is not.
    """
    block = _BLOCK.search(pem)
    pkcs8 = _PKCS8.match(b64decode(block[1])) if block else None
    if pkcs8 is None:
        return None
    parameter_set, seed, expanded = pkcs8.groups()
    if expanded:
        return Form.EXPANDED_ONLY
    return _PARAMETER_SETS[parameter_set].from_seed_bytes(seed).public_key()
