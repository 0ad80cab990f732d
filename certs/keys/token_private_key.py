"""Private keys that sign in a token, in the shape of cryptography's own: CSRs and certificates are
signed through them.

`certificate_builder.sign(token_private_key, hash)` works as with a key from a file. The digest goes
to the token; RSA PKCS #1 v1.5 has the token hash. Everything that would show the private half
raises KeyStaysInside; there is no way to it.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.utils import Buffer

from certs.hsm.clients import calls
from certs.hsm.clients.calls import Call
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import SignatureMechanism
from certs.keys.signing_key import PublicKey

Perform = Callable[[Call[bytes]], bytes]
"""Makes a call in the token (`TokenProcess.perform`), and waits: in a thread or a command."""


class KeyStaysInside(TypeError):
    """A key in a token was asked for its private half, or for something other than signing."""

    def __str__(self) -> str:
        return "this private key stays in its token; it can only sign"


class SignatureUnsupported(ValueError):
    """A way to sign that tokens are not asked for; `found` says which."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"found {self.found}; allowed: SHA-256, SHA-384 or SHA-512, with RSA PKCS #1 v1.5 or PSS of the same hash, salt as long as the digest"


class TokenEcKey(ec.EllipticCurvePrivateKey):
    def __init__(self, public: ec.EllipticCurvePublicKey, address: KeyAddress, perform: Perform) -> None:
        self._public = public
        self._address = address
        self._perform = perform

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """A signature in DER (RFC 3279 2.2.3). Raises an HsmError, or SignatureUnsupported."""
        if not isinstance(signature_algorithm, ec.ECDSA):
            raise SignatureUnsupported(type(signature_algorithm).__name__)
        _, digest = _digest(data, signature_algorithm.algorithm)
        # the leftmost bits count (FIPS 186-5 6.4.1); some tokens refuse a digest that is longer
        # than the curve's order
        digest = digest[: (self.key_size + 7) // 8]
        pair = self._perform(calls.sign(self._address, SignatureMechanism.ECDSA, digest))
        half = len(pair) // 2
        return utils.encode_dss_signature(int.from_bytes(pair[:half], "big"), int.from_bytes(pair[half:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:  # noqa: ARG002 - as in cryptography
        """Refuse: it signs only."""
        raise KeyStaysInside

    def private_numbers(self) -> NoReturn:
        raise KeyStaysInside

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:  # noqa: A002, ARG002 - as in cryptography
        raise KeyStaysInside

    def __copy__(self) -> "TokenEcKey":
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> "TokenEcKey":
        return self

    def __repr__(self) -> str:
        return f"<ECDSA key in a token, {self._address}>"


class TokenRsaKey(rsa.RSAPrivateKey):
    def __init__(self, public: rsa.RSAPublicKey, address: KeyAddress, perform: Perform) -> None:
        self._public = public
        self._address = address
        self._perform = perform

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    def sign(self, data: Buffer, padding: Any, algorithm: Any) -> bytes:
        """A signature (RFC 8017 8). Raises an HsmError, or SignatureUnsupported."""
        name, digest = _digest(data, algorithm)
        if _is_pkcs1(padding) and not isinstance(algorithm, utils.Prehashed):
            call = calls.sign(self._address, SignatureMechanism.RSA_PKCS1, bytes(data), name)
        elif _is_usual_pss(padding, name, len(digest)):
            call = calls.sign(self._address, SignatureMechanism.RSA_PSS, digest, name)
        else:
            raise SignatureUnsupported(f"{type(padding).__name__} of another hash or salt length, or of a digest")
        return self._perform(call)

    def decrypt(self, ciphertext: bytes, padding: Any) -> NoReturn:  # noqa: ARG002 - as in cryptography
        """Refuse: it signs only."""
        raise KeyStaysInside

    def private_numbers(self) -> NoReturn:
        raise KeyStaysInside

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:  # noqa: A002, ARG002 - as in cryptography
        raise KeyStaysInside

    def __copy__(self) -> "TokenRsaKey":
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> "TokenRsaKey":
        return self

    def __repr__(self) -> str:
        return f"<RSA key in a token, {self._address}>"


def token_private_key(public: PublicKey, address: KeyAddress, perform: Perform) -> TokenEcKey | TokenRsaKey:
    """The key whose public half is `public`.

    Raises SignatureUnsupported where cryptography takes no key of another making.
    """
    if isinstance(public, ec.EllipticCurvePublicKey):
        return TokenEcKey(public, address, perform)
    if isinstance(public, rsa.RSAPublicKey):
        return TokenRsaKey(public, address, perform)
    raise SignatureUnsupported(type(public).__name__)


def _digest(data: Buffer, algorithm: Any) -> tuple[str, bytes]:
    """The hash's name, and the digest: of `data`, or `data` itself if it is hashed already."""
    is_digest = isinstance(algorithm, utils.Prehashed)
    used = algorithm._algorithm if is_digest else algorithm  # noqa: SLF001 - no other way to it
    if not isinstance(used, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        raise SignatureUnsupported(type(used).__name__)
    if is_digest:
        return used.name, bytes(data)
    hashed = hashes.Hash(used)
    hashed.update(data)
    return used.name, hashed.finalize()


def _is_pkcs1(given: Any) -> bool:
    return isinstance(given, padding.PKCS1v15)


def _is_usual_pss(given: Any, hash_name: str, digest_bytes: int) -> bool:
    """Whether it is PSS as TLS 1.3 and certificates use it (RFC 8446 4.2.3): one hash, and a salt
    as long as its digest.
    """
    if not isinstance(given, padding.PSS) or given.mgf._algorithm.name != hash_name:  # noqa: SLF001 - as above
        return False
    length = given._salt_length  # noqa: SLF001 - as above
    return length is padding.PSS.DIGEST_LENGTH or length == digest_bytes
