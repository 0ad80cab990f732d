"""The key of an ACME account (P-256), and the JSON Web Signatures by it (RFC 8555 section 6.2)."""

import base64
import binascii
import json
from typing import Self

from acme import jws
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from josepy.json_util import decode_b64jose, encode_b64jose
from josepy.jwa import ES256, HS256
from josepy.jwk import JWKEC, JWKOct


class NoAccountKey(Exception):
    """The document of an account holds no usable key. The error shows nothing of its content."""

    def __str__(self) -> str:
        return "not an ECDSA P-256 key in PEM"


class NoBindingKey(Exception):
    """The key of an external account is not usable. The error shows nothing of its content."""

    def __str__(self) -> str:
        return "the key of the external account (eab_key_file) is not base64url text"


class AccountKey:
    """Signs for one account. It is never shown."""

    __slots__ = ("_jwk", "_key")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._jwk = JWKEC(key=key)

    @classmethod
    def generate(cls) -> Self:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read what `to_pem` wrote. Raises `NoAccountKey`."""
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError):
            raise NoAccountKey from None  # what cryptography says is about the content of a private key
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise NoAccountKey
        return cls(key)

    def to_pem(self) -> bytes:
        """PKCS #8, not encrypted: for a store that keeps it from others."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def thumbprint(self) -> str:
        """SHA-256 of the public key, base64url (RFC 7638): it ends every key authorization."""
        return encode_b64jose(self._jwk.thumbprint(hash_function=hashes.SHA256))

    def signed(self, payload: bytes, url: str, nonce: str, account: str | None) -> bytes:
        """The body of a request (RFC 8555 sections 6.2 to 6.5): by the URL of the `account`, or by
        the key itself before it has one.
        """
        decoded = decode_b64jose(nonce)
        signature = jws.JWS.sign(payload, self._jwk, ES256, decoded, url, account)
        return str(signature.json_dumps()).encode()

    def binding(self, key_id: str, mac_key: str, url: str) -> object:
        """Prove to belong to an account at the CA: a JWS as JSON (RFC 8555 section 7.3.4).

        `mac_key` is base64url. Raises `NoBindingKey`.
        """
        try:
            raw = base64.b64decode(mac_key + "=" * (-len(mac_key) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise NoBindingKey from None
        if not raw:
            raise NoBindingKey
        public = json.dumps(self._jwk.public_key().to_json()).encode()
        bound: object = jws.JWS.sign(public, JWKOct(key=raw), HS256, None, url, key_id).to_json()
        return bound

    def succession(self, successor: "AccountKey", account: str, url: str) -> bytes:
        """What has the CA know an account by another key from now on: a JWS by that key (RFC 8555
        section 7.3.5).
        """
        content = json.dumps({"account": account, "oldKey": self._jwk.public_key().to_json()}).encode()
        signature = jws.JWS.sign(content, successor._jwk, ES256, None, url)  # noqa: SLF001 - of this class
        return str(signature.json_dumps()).encode()

    def __repr__(self) -> str:
        return "AccountKey(not shown)"
