"""The public half of a key in a token, from the attributes that PKCS#11 keeps of it."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.hsm.clients.calls import PublicParts
from certs.hsm.errors import HsmError
from certs.hsm.process.key_templates import Attributes
from certs.keys.signing_key import PublicKey

_CURVES: Final[dict[bytes, ec.EllipticCurve]] = {  # CKA_EC_PARAMS: the DER of the OID (RFC 5480 2.1.1.1)
    bytes.fromhex("06082a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("06052b81040022"): ec.SECP384R1(),
    bytes.fromhex("06052b81040023"): ec.SECP521R1(),
}
_MLDSA_SETS: Final[dict[int, type[mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey]]] = {
    1: mldsa.MLDSA44PublicKey,
    2: mldsa.MLDSA65PublicKey,
    3: mldsa.MLDSA87PublicKey,
}


class PublicPartsUnusable(HsmError):
    """The token does not tell what a public key is made of; `found` says what it told."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return (
            f"the token describes no usable public key: found {self.found}; allowed: RSA, ECDSA on P-256, P-384 or P-521, ML-DSA,"
            " with the public key object beside the private one"
        )


def public_key_of(parts: PublicParts) -> PublicKey:
    """The public key. Raises PublicPartsUnusable."""
    found = parts.attributes
    try:
        match found.get("KEY_TYPE"):  # CK_KEY_TYPE (PKCS#11 3.2, pkcs11t.h)
            case 0x00:  # CKK_RSA
                return _rsa(found)
            case 0x03:  # CKK_EC
                return _ec(found)
            case 0x4A:  # CKK_ML_DSA
                return _MLDSA_SETS[found["PARAMETER_SET"]].from_public_bytes(found["VALUE"])
            case other:
                raise PublicPartsUnusable(f"key type {other}")
    except KeyError as error:
        raise PublicPartsUnusable(
            f"no CKA_{error.args[0]}" if isinstance(error.args[0], str) else "another curve or set"
        ) from None
    except ValueError as error:
        raise PublicPartsUnusable(str(error)) from None


def pem_of(key: PublicKey) -> str:
    """The same in PEM (RFC 7468 13)."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _rsa(found: Attributes) -> rsa.RSAPublicKey:
    exponent = found["PUBLIC_EXPONENT"]
    modulus = found["MODULUS"]
    return rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")).public_key()


def _ec(found: Attributes) -> ec.EllipticCurvePublicKey:
    curve = _CURVES[found["EC_PARAMS"]]
    point = found["EC_POINT"]
    # uncompressed (SEC 1 2.3.3); in an OCTET STRING by the standard, bare from tokens that know no
    # better
    length = 1 + 2 * ((curve.key_size + 7) // 8)
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, point[-length:] if len(point) > length else point)
