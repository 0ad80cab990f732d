"""What runs in software beside a token, measured and checked: AES-GCM, ML-KEM, ML-DSA and HPKE of
cryptography.
"""

import os
import time
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, mlkem
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certs.hsm.targets import Check, Measured, MeasuringPlace, SpeedTarget, size_check

_MESSAGE: Final = bytes(1_024)
_NO_KEY: Final = "needs no private key"
# FIPS 203, table 3; FIPS 204, table 2
_MLKEM_PUBLIC: Final = 1_568
_MLKEM_CIPHERTEXT: Final = 1_568
_MLDSA_PUBLIC: Final = 2_592
_MLDSA_SIGNATURE: Final = 4_627


def encapsulation(count: int, seconds: float) -> tuple[Measured, list[Check]]:
    """ML-KEM-1024."""
    private = mlkem.MLKEM1024PrivateKey.generate()
    public = private.public_key()
    taken = times(public.encapsulate, count, seconds)
    secret, ciphertext = public.encapsulate()
    checks = [
        size_check("ML-KEM-1024 public key", len(public.public_bytes_raw()), _MLKEM_PUBLIC, "FIPS 203 table 3"),
        size_check("ML-KEM-1024 ciphertext", len(ciphertext), _MLKEM_CIPHERTEXT, "FIPS 203 table 3"),
        Check(
            "ML-KEM-1024 shared secret", private.decapsulate(ciphertext) == secret, f"{len(secret)} bytes, both sides"
        ),
    ]
    return Measured(SpeedTarget.ENCAPSULATION, MeasuringPlace.SOFTWARE, taken, _NO_KEY), checks


def sealing(count: int, seconds: float, why: str) -> tuple[Measured, list[Check]]:
    """AES-256-GCM; `why` says why not in the token."""
    key = AESGCM(AESGCM.generate_key(256))
    nonce = os.urandom(12)
    taken = times(lambda: key.encrypt(os.urandom(12), _MESSAGE, b"for"), count, seconds)
    sealed = key.encrypt(nonce, _MESSAGE, b"for")
    altered = sealed[:-1] + bytes([sealed[-1] ^ 1])
    return Measured(SpeedTarget.SEALING, MeasuringPlace.SOFTWARE, taken, why), [
        Check("AES-256-GCM is opened", key.decrypt(nonce, sealed, b"for") == _MESSAGE, f"{len(_MESSAGE)} bytes"),
        refused("AES-256-GCM that was altered is refused", lambda: key.decrypt(nonce, altered, b"for")),
    ]


def mldsa_signing(count: int, seconds: float, why: str) -> tuple[Measured, list[Check]]:
    """ML-DSA-87; `why` says why not in the token."""
    private = mldsa.MLDSA87PrivateKey.generate()
    public = private.public_key()
    taken = times(lambda: private.sign(_MESSAGE), count, seconds)
    return Measured(SpeedTarget.SIGNING_MLDSA, MeasuringPlace.SOFTWARE, taken, why), mldsa_checks(
        public, private.sign(_MESSAGE), _MESSAGE
    )


def mldsa_checks(public: mldsa.MLDSA87PublicKey, signature: bytes, message: bytes) -> list[Check]:
    """Whether a signature is one, of the right size, and of that message only."""
    return [
        size_check("ML-DSA-87 public key", len(public.public_bytes_raw()), _MLDSA_PUBLIC, "FIPS 204 table 2"),
        size_check("ML-DSA-87 signature", len(signature), _MLDSA_SIGNATURE, "FIPS 204 table 2"),
        verified("ML-DSA-87 signature is verified", lambda: public.verify(signature, message)),
        refused("ML-DSA-87 signature of another message is refused", lambda: public.verify(signature, message + b"x")),
    ]


def hybrid_encryption(count: int, seconds: float) -> tuple[Measured, list[Check]]:
    """HPKE (RFC 9180) with ML-KEM-1024 and P-384, HKDF-SHA384, AES-256-GCM."""
    suite = hpke.Suite(hpke.KEM.MLKEM1024_P384, hpke.KDF.HKDF_SHA384, hpke.AEAD.AES_256_GCM)
    private = hpke.MLKEM1024P384PrivateKey(
        mlkem.MLKEM1024PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())
    )
    public = private.public_key()
    taken = times(lambda: suite.encrypt(_MESSAGE, public), count, seconds)
    sealed = suite.encrypt(_MESSAGE, public)
    altered = sealed[:-1] + bytes([sealed[-1] ^ 1])
    checks = [
        Check("hybrid encryption is opened", suite.decrypt(sealed, private) == _MESSAGE, "the same 1 KiB"),
        refused("hybrid encryption that was altered is refused", lambda: suite.decrypt(altered, private)),
    ]
    return Measured(SpeedTarget.HYBRID, MeasuringPlace.SOFTWARE, taken, _NO_KEY), checks


def times(work: Callable[[], object], count: int, seconds: float) -> tuple[float, ...]:
    """Do it `count` times or until `seconds` are over; how long each took."""
    taken: list[float] = []
    end = time.monotonic() + seconds
    while len(taken) < count and (not taken or time.monotonic() < end):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return tuple(taken)


def verified(what: str, work: Callable[[], object]) -> Check:
    try:
        work()
    except InvalidSignature:
        return Check(what, is_right=False, found="refused")
    return Check(what, is_right=True, found="accepted")


def refused(what: str, work: Callable[[], object]) -> Check:
    """Whether a verification or an opening refuses."""
    try:
        work()
    except (InvalidSignature, InvalidTag):
        return Check(what, is_right=True, found="refused")
    return Check(what, is_right=False, found="accepted")
