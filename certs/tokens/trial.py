"""A trial signature with a key in a token: what to request, and whether the answer is a signature
of that key.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from certs.hsm.clients import calls
from certs.hsm.clients.calls import Call
from certs.hsm.errors import CallFailed
from certs.hsm.key_kinds import SignatureMechanism
from certs.keys.signing_key import PublicKey
from certs.tokens.token_use import TriedKey

# As long as a SHA-256 digest, which it stands for: what is signed means nothing to anybody.
_BYTES: Final = 32
_WRONG: Final = "a signature that does not fit the certificate's key"


@dataclass(frozen=True, slots=True)
class Trial:
    """One signature: `call` asks for it, `check` raises `CallFailed` for a wrong one."""

    call: Call[bytes]
    check: Callable[[bytes], None]


def trial(key: TriedKey) -> Trial:
    """Make one, of fresh random bytes."""
    data = os.urandom(_BYTES)
    mechanism, hash_name = _mechanism(key.public_key)
    return Trial(calls.sign(key.address, mechanism, data, hash_name), lambda signature: _check(key, data, signature))


def _mechanism(public: PublicKey) -> tuple[SignatureMechanism, str | None]:
    if isinstance(public, ec.EllipticCurvePublicKey):
        return SignatureMechanism.ECDSA, None
    if isinstance(public, rsa.RSAPublicKey):
        return SignatureMechanism.RSA_PSS, "sha256"  # TLS 1.3 knows no other (RFC 8446 4.2.3)
    return SignatureMechanism.MLDSA, None


def _check(key: TriedKey, data: bytes, signature: bytes) -> None:
    public = key.public_key
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            pair = (int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
            public.verify(encode_dss_signature(*pair), data, ec.ECDSA(Prehashed(SHA256())))
        elif isinstance(public, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(SHA256()), salt_length=_BYTES)
            public.verify(signature, data, pss, Prehashed(SHA256()))
        else:
            public.verify(signature, data)
    except InvalidSignature:
        raise CallFailed("sign", _WRONG) from None
