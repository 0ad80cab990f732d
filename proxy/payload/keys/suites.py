"""How a client and we agree on the secret of a session: one message to a public key of ours. Pure.

- `MLKEM768-X25519` and `MLKEM1024-P384` are HPKE (RFC 9180, draft-ietf-hpke-pq) as cryptography has
  it: base mode, HKDF-SHA256 (SHA384) and AES-256-GCM. It cannot export a secret, so the plaintext
  of the message is the secret.
- `RSA4096-MLKEM1024`: RSAES-OAEP (SHA-256) of 32 random octets beside ML-KEM-1024.
- The others: X25519 beside a KEM of liboqs, which may be missing.

The last two kinds put both secrets and both ciphertexts through HKDF-SHA256, so a break of one of
the two tells nothing. There is no forward secrecy against the key of the KEM: an attacker who gets
hold of it reads what was agreed under it. That is why the key rotates.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, padding, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

SECRET_BYTES: Final = 32
_LABEL: Final = b"plexigate payload session 1"
_X25519_BYTES: Final = 32
_MLKEM_SEED: Final = 64
_MLKEM768_PUBLIC: Final = 1_184
_MLKEM1024_PUBLIC: Final = 1_568
_MLKEM1024_CIPHERTEXT: Final = 1_568
_P384_SCALAR: Final = 48
_RSA_BITS: Final = 4_096
_OAEP: Final = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


class MessageUnreadable(Exception):
    """A message that was not made for this key, or was changed."""


class Suite(Protocol):
    """One way to agree. Keys are octets; `info` names what the message is for."""

    @property
    def name(self) -> str:
        """As it stands in configurations and documents."""

    @property
    def variant(self) -> str:
        """The mark that tells algorithms of one name in different releases of a library apart.

        It is empty if a standard fixes the algorithm.
        """

    @property
    def is_slow(self) -> bool:
        """Whether `open` takes too long for an event loop."""

    def generate(self) -> bytes: ...

    def public(self, private: bytes) -> bytes: ...

    def seal(self, public: bytes, info: bytes) -> tuple[bytes, bytes]:
        """The client's side: a message, and the secret. Raises `ValueError` for a false key."""

    def open(self, private: bytes, message: bytes, info: bytes) -> bytes:
        """Our side: the secret of a message. Raises `MessageUnreadable`."""


def info_of(suite: str, version: int) -> bytes:
    """What a message for a version of our key is for."""
    return b"%b\0%b:%d" % (_LABEL, suite.encode(), version)


@dataclass(frozen=True, slots=True)
class _Mlkem768X25519:
    name: str = "MLKEM768-X25519"
    variant: str = ""
    is_slow: bool = False

    def generate(self) -> bytes:
        return mlkem.MLKEM768PrivateKey.generate().private_bytes_raw() + X25519PrivateKey.generate().private_bytes_raw()

    def _private(self, private: bytes) -> hpke.MLKEM768X25519PrivateKey:
        seed = private[:_MLKEM_SEED]
        scalar = private[_MLKEM_SEED:]
        return hpke.MLKEM768X25519PrivateKey(
            mlkem.MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(scalar)
        )

    def public(self, private: bytes) -> bytes:
        seed = private[:_MLKEM_SEED]
        scalar = private[_MLKEM_SEED:]
        return (
            mlkem.MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()
            + X25519PrivateKey.from_private_bytes(scalar).public_key().public_bytes_raw()
        )

    def seal(self, public: bytes, info: bytes) -> tuple[bytes, bytes]:
        key = hpke.MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(public[:_MLKEM768_PUBLIC]),
            X25519PublicKey.from_public_bytes(public[_MLKEM768_PUBLIC:]),
        )
        secret = secrets.token_bytes(SECRET_BYTES)
        return _HPKE_768.encrypt(secret, key, info), secret

    def open(self, private: bytes, message: bytes, info: bytes) -> bytes:
        return _decrypted(lambda: _HPKE_768.decrypt(message, self._private(private), info))


@dataclass(frozen=True, slots=True)
class _Mlkem1024P384:
    name: str = "MLKEM1024-P384"
    variant: str = ""
    is_slow: bool = False

    def generate(self) -> bytes:
        scalar = ec.generate_private_key(ec.SECP384R1()).private_numbers().private_value
        return mlkem.MLKEM1024PrivateKey.generate().private_bytes_raw() + scalar.to_bytes(_P384_SCALAR, "big")

    def _halves(self, private: bytes) -> tuple[mlkem.MLKEM1024PrivateKey, ec.EllipticCurvePrivateKey]:
        scalar = int.from_bytes(private[_MLKEM_SEED:], "big")
        seed = mlkem.MLKEM1024PrivateKey.from_seed_bytes(private[:_MLKEM_SEED])
        return seed, ec.derive_private_key(scalar, ec.SECP384R1())

    def public(self, private: bytes) -> bytes:
        kem, curve = self._halves(private)
        encoding = serialization.Encoding.X962
        point = serialization.PublicFormat.UncompressedPoint
        return kem.public_key().public_bytes_raw() + curve.public_key().public_bytes(encoding, point)

    def seal(self, public: bytes, info: bytes) -> tuple[bytes, bytes]:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), public[_MLKEM1024_PUBLIC:])
        kem = mlkem.MLKEM1024PublicKey.from_public_bytes(public[:_MLKEM1024_PUBLIC])
        secret = secrets.token_bytes(SECRET_BYTES)
        return _HPKE_1024.encrypt(secret, hpke.MLKEM1024P384PublicKey(kem, point), info), secret

    def open(self, private: bytes, message: bytes, info: bytes) -> bytes:
        key = hpke.MLKEM1024P384PrivateKey(*self._halves(private))
        return _decrypted(lambda: _HPKE_1024.decrypt(message, key, info))


@dataclass(frozen=True, slots=True)
class _Rsa4096Mlkem1024:
    name: str = "RSA4096-MLKEM1024"
    variant: str = ""
    is_slow: bool = False  # it is, with 3 ms, but would hold the interpreter in a thread as well

    def generate(self) -> bytes:
        key = rsa.generate_private_key(public_exponent=65_537, key_size=_RSA_BITS)
        encoded = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return mlkem.MLKEM1024PrivateKey.generate().private_bytes_raw() + encoded

    def _rsa(self, private: bytes) -> rsa.RSAPrivateKey:
        # ours, out of a sealed file: its primes need no proof each time, which takes 0.3 s
        key = serialization.load_der_private_key(private[_MLKEM_SEED:], None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(key, rsa.RSAPrivateKey)  # of `generate`
        return key

    def public(self, private: bytes) -> bytes:
        kem = mlkem.MLKEM1024PrivateKey.from_seed_bytes(private[:_MLKEM_SEED]).public_key().public_bytes_raw()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return kem + self._rsa(private).public_key().public_bytes(serialization.Encoding.DER, form)

    def seal(self, public: bytes, info: bytes) -> tuple[bytes, bytes]:
        kem = mlkem.MLKEM1024PublicKey.from_public_bytes(public[:_MLKEM1024_PUBLIC])
        key: PublicKeyTypes = serialization.load_der_public_key(public[_MLKEM1024_PUBLIC:])
        if not isinstance(key, rsa.RSAPublicKey):
            raise ValueError("no RSA key")  # noqa: TRY004 - of octets, not of types
        first = secrets.token_bytes(SECRET_BYTES)
        second, ciphertext = kem.encapsulate()
        message = ciphertext + key.encrypt(first, _OAEP)
        return message, _combined((second, first), message, info)

    def open(self, private: bytes, message: bytes, info: bytes) -> bytes:
        kem = mlkem.MLKEM1024PrivateKey.from_seed_bytes(private[:_MLKEM_SEED])
        try:
            second = kem.decapsulate(message[:_MLKEM1024_CIPHERTEXT])
            first = self._rsa(private).decrypt(message[_MLKEM1024_CIPHERTEXT:], _OAEP)
        except ValueError:
            raise MessageUnreadable from None
        return _combined((second, first), message, info)


class Kem(Protocol):
    """A KEM of liboqs."""

    @property
    def variant(self) -> str: ...

    def generate(self) -> tuple[bytes, bytes]:
        """A private key and its public half."""

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Ciphertext and secret. Raises `ValueError`."""

    def decapsulate(self, private: bytes, ciphertext: bytes) -> bytes:
        """The secret. Raises `ValueError`."""


@dataclass(frozen=True, slots=True)
class X25519Beside:
    """X25519 with an ephemeral key beside a KEM of another family.

    The message is the ephemeral key and the ciphertext. A private key is that of X25519, the length
    of the KEM's public key (4 octets), that key, and the KEM's private key.
    """

    name: str
    kem: Kem
    is_slow: bool = True

    @property
    def variant(self) -> str:
        """That of the KEM."""
        return self.kem.variant

    def generate(self) -> bytes:
        private, public = self.kem.generate()
        scalar = X25519PrivateKey.generate().private_bytes_raw()
        return scalar + len(public).to_bytes(4, "big") + public + private

    def public(self, private: bytes) -> bytes:
        """The public half: that of X25519, then the KEM's."""
        curve = X25519PrivateKey.from_private_bytes(private[:_X25519_BYTES]).public_key().public_bytes_raw()
        return curve + _kem_halves(private)[0]

    def seal(self, public: bytes, info: bytes) -> tuple[bytes, bytes]:
        ephemeral = X25519PrivateKey.generate()
        theirs = public[:_X25519_BYTES]
        kem_public = public[_X25519_BYTES:]
        first = ephemeral.exchange(X25519PublicKey.from_public_bytes(theirs))
        ciphertext, second = self.kem.encapsulate(kem_public)
        message = ephemeral.public_key().public_bytes_raw() + ciphertext
        return message, _combined((second, first), theirs + message, info)

    def open(self, private: bytes, message: bytes, info: bytes) -> bytes:
        curve = X25519PrivateKey.from_private_bytes(private[:_X25519_BYTES])
        try:
            first = curve.exchange(X25519PublicKey.from_public_bytes(message[:_X25519_BYTES]))
            second = self.kem.decapsulate(_kem_halves(private)[1], message[_X25519_BYTES:])
        except ValueError:
            raise MessageUnreadable from None
        return _combined((second, first), curve.public_key().public_bytes_raw() + message, info)


def _kem_halves(private: bytes) -> tuple[bytes, bytes]:
    start = _X25519_BYTES + 4
    end = start + int.from_bytes(private[_X25519_BYTES:start], "big")
    return private[start:end], private[end:]


def _decrypted(decrypt: Callable[[], bytes]) -> bytes:
    try:
        secret = decrypt()
    except (InvalidTag, ValueError):
        raise MessageUnreadable from None
    if len(secret) != SECRET_BYTES:
        raise MessageUnreadable
    return secret


def _combined(both: tuple[bytes, bytes], ciphertexts: bytes, info: bytes) -> bytes:
    """One secret of two, each of 32 octets or more, bound to what carried them."""
    keys = b"".join(len(key).to_bytes(2, "big") + key for key in both)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(ciphertexts)
    return HKDF(hashes.SHA256(), SECRET_BYTES, salt=None, info=info + b"\0" + digest.finalize()).derive(keys)


_HPKE_768: Final = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_HPKE_1024: Final = hpke.Suite(hpke.KEM.MLKEM1024_P384, hpke.KDF.HKDF_SHA384, hpke.AEAD.AES_256_GCM)

BUILT_IN: Final[Mapping[str, Suite]] = {
    suite.name: suite for suite in (_Mlkem768X25519(), _Mlkem1024P384(), _Rsa4096Mlkem1024())
}
"""The suites that need only the package cryptography."""
