"""The document for clients that want a session: our public keys, signed by an identity that they
have pinned. Pure.

    {"document": base64url, "signatures": {"ecdsa-p256-sha256": base64url, "ml-dsa-65": base64url}}

The document is JSON: `issued` and `expires` in UNIX seconds, and `keys`, each with `suite`, `id`,
`public`, and `variant` where the name of the suite does not say which algorithm it is (those of
liboqs: its name there, the lengths of public key and ciphertext). Both signatures have to verify:
an attacker who breaks one of the two can still not pass off other keys.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mldsa

from proxy.payload.sessions import decoded, encoded

_CONTEXT: Final = b"plexigate payload keys 1"
_ECDSA: Final = "ecdsa-p256-sha256"
_MLDSA: Final = "ml-dsa-65"


class DocumentRefused(Exception):
    """The document is over, or is none, or the pinned identity did not sign it."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One public key of ours; `version` is that of its ring."""

    suite: str
    version: int
    public: bytes
    variant: str = ""


@dataclass(frozen=True, slots=True)
class PinnedIdentity:
    """What clients are handed out of band: the public halves."""

    ecdsa: bytes
    """An uncompressed point of P-256."""
    mldsa: bytes

    def as_json(self) -> dict[str, str]:
        return {_ECDSA: encoded(self.ecdsa), _MLDSA: encoded(self.mldsa)}

    @classmethod
    def from_json(cls, document: Mapping[str, str]) -> Self:
        """What `as_json` wrote. Raises `KeyError` or `ValueError`."""
        return cls(decoded(document[_ECDSA]), decoded(document[_MLDSA]))

    def verified(self, signed: bytes, now: float) -> tuple[PublicKey, ...]:
        """The keys of a document. Raises `DocumentRefused`."""
        try:
            outer = json.loads(signed)
            document = decoded(outer["document"])
            signatures = outer["signatures"]
            message = _CONTEXT + b"\0" + document
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.ecdsa)
            point.verify(decoded(signatures[_ECDSA]), message, ec.ECDSA(hashes.SHA256()))
            mldsa.MLDSA65PublicKey.from_public_bytes(self.mldsa).verify(decoded(signatures[_MLDSA]), message)
            inner = json.loads(document)
            keys = tuple(
                PublicKey(key["suite"], int(key["id"]), decoded(key["public"]), str(key.get("variant", "")))
                for key in inner["keys"]
            )
            issued = float(inner["issued"])
            expires = float(inner["expires"])
        except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature):
            raise DocumentRefused("not signed by the pinned identity") from None
        if not issued - _SKEW <= now < expires:
            raise DocumentRefused("its time is over, or has not come")
        return keys


# A client whose clock is behind has other troubles as well; this much is usual.
_SKEW: Final = 300.0


@dataclass(frozen=True, slots=True)
class Identity:
    """The signer of documents: seeds and scalars, which only the parent has."""

    ecdsa: bytes = field(repr=False)
    mldsa: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        encoded_key = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(encoded_key, mldsa.MLDSA65PrivateKey.generate().private_bytes_raw())

    def as_json(self) -> dict[str, str]:
        return {_ECDSA: self.ecdsa.hex(), _MLDSA: self.mldsa.hex()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `as_json` wrote. Raises `KeyError`, `TypeError` or `ValueError`."""
        return cls(bytes.fromhex(document[_ECDSA]), bytes.fromhex(document[_MLDSA]))

    @property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_der_private_key(self.ecdsa, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # of `generate`
        return key

    @property
    def pinned(self) -> PinnedIdentity:
        form = serialization.PublicFormat.UncompressedPoint
        point = self._key.public_key().public_bytes(serialization.Encoding.X962, form)
        private = mldsa.MLDSA65PrivateKey.from_seed_bytes(self.mldsa)
        return PinnedIdentity(point, private.public_key().public_bytes_raw())

    def signed(self, keys: Iterable[PublicKey], issued: float, expires: float) -> bytes:
        listed = [
            {"suite": key.suite, "id": key.version, "public": encoded(key.public)}
            | ({"variant": key.variant} if key.variant else {})
            for key in keys
        ]
        document = json.dumps({"issued": int(issued), "expires": int(expires), "keys": listed}).encode()
        message = _CONTEXT + b"\0" + document
        signatures = {
            _ECDSA: encoded(self._key.sign(message, ec.ECDSA(hashes.SHA256()))),
            _MLDSA: encoded(mldsa.MLDSA65PrivateKey.from_seed_bytes(self.mldsa).sign(message)),
        }
        return json.dumps({"document": encoded(document), "signatures": signatures}).encode()
