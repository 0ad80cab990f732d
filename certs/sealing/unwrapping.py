"""Sealing with a key pair, for tokens that have RSA or EC and no AES.

The public half is outside the token, so sealing needs no token; opening asks the token for one
operation. The label and the rest of the envelope are authenticated by the AES-GCM that uses the
hidden key.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.keys.signing_key import spki_of
from certs.sealing.envelope import KEY_ID_BYTES, SealingScheme
from certs.sealing.errors import Tampered

OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
"""RSAES-OAEP with SHA-1 and an empty label (RFC 8017 7.1): CKM_RSA_PKCS_OAEP with CKM_SHA_1 and
CKG_MGF1_SHA1.

It hides a random key, for which no hash needs to be free of collisions (NIST SP 800-131A allows
it), and every token has it: SoftHSM, for one, has no other.
"""

_KEY_BYTES: Final = 32
_INFO: Final = b"plexigate sealing ECDH P-256 1"
_CURVE: Final = ec.SECP256R1()


class RsaUnwrapping:
    """An `UnwrappingKey` of RSA; `decrypt` is the token's OAEP decryption, which raises
    `ValueError` for what it cannot decrypt.
    """

    scheme = SealingScheme.RSA_OAEP

    def __init__(self, public_key: rsa.RSAPublicKey, decrypt: Callable[[bytes], bytes]) -> None:
        self._public = public_key
        self._decrypt = decrypt
        self.key_id = _id(public_key)

    def wrap(self) -> tuple[bytes, bytes]:
        """A new AES key, and the same encrypted."""
        key = os.urandom(_KEY_BYTES)
        return key, self._public.encrypt(key, OAEP)

    def unwrap(self, wrapped: bytes) -> bytes:
        try:
            key = self._decrypt(wrapped)
        except ValueError:
            raise Tampered from None
        if len(key) != _KEY_BYTES:
            raise Tampered
        return key


class EcUnwrapping:
    """An `UnwrappingKey` of EC P-256; `agree` is the token's ECDH (CKM_ECDH1_DERIVE with CKD_NULL):
    the x coordinate, 32 bytes.
    """

    scheme = SealingScheme.ECDH_P256

    def __init__(
        self, public_key: ec.EllipticCurvePublicKey, agree: Callable[[ec.EllipticCurvePublicKey], bytes]
    ) -> None:
        self._public = public_key
        self._agree = agree
        self.key_id = _id(public_key)

    def wrap(self) -> tuple[bytes, bytes]:
        """A new AES key, and the ephemeral point that leads to it."""
        ephemeral = ec.generate_private_key(_CURVE)
        point = _point(ephemeral.public_key())
        return self._derived(ephemeral.exchange(ec.ECDH(), self._public), point), point

    def unwrap(self, wrapped: bytes) -> bytes:
        try:
            # refuses what is not a point of the curve (SP 800-56A 5.6.2.3.4): such a point would
            # reveal the private key
            peer = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, wrapped)
        except ValueError:
            raise Tampered from None
        return self._derived(self._agree(peer), wrapped)

    def _derived(self, shared: bytes, point: bytes) -> bytes:
        # both public points, so that the key belongs to this pair alone
        return HKDF(hashes.SHA256(), _KEY_BYTES, None, _INFO + point + _point(self._public)).derive(shared)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _id(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return hashlib.sha256(spki_of(key)).digest()[:KEY_ID_BYTES]
