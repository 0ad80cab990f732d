"""`plexigate hsm test`: tests and measures a token with temporary keys."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa

from certs.hsm import software_measures
from certs.hsm.clients import calls
from certs.hsm.clients.calls import Answer, Call, Sealed
from certs.hsm.errors import CallFailed, CapabilityMissing, KeyMissing
from certs.hsm.facts import KeyAddress, KeyFacts, TokenFacts
from certs.hsm.key_kinds import KeyKind, SignatureMechanism, missing_of
from certs.hsm.key_names import TokenKeyName
from certs.hsm.targets import Check, Measured, MeasuringPlace, MeasuringReport, SpeedTarget
from certs.keys.token_private_key import TokenEcKey, TokenRsaKey
from certs.keys.token_public_key import public_key_of

_IDENTITY: Final = "plexigate-probe"
_MESSAGE: Final = b"plexigate hsm test"
_COUNT: Final = 200


class Perform(Protocol):
    """`TokenProcess.perform`: every call has an answer of its own type."""

    def __call__(self, call: Call[Answer], /) -> Answer:
        """Make a call. Raises an HsmError."""


class SelfTest:
    """The steps, each with a login of its own: until the logout, some tokens have room for few
    keys. `said` is told what is done next.
    """

    _perform: Perform
    """In the login of the step in progress."""

    def __init__(
        self,
        token: TokenFacts,
        login: Callable[[], AbstractContextManager[Perform]],
        said: Callable[[str], None],
        seconds: float,
        mldsa_lack: str = "",
    ) -> None:
        """`seconds` is how long each operation is measured at most. `mldsa_lack` says why no client
        is served by an ML-DSA key that is in a token.
        """
        self._mldsa_lack = mldsa_lack
        self._token = token
        self._login = login
        self._said = said
        self._seconds = seconds
        self._measured: list[Measured] = []
        self._checks: list[Check] = []

    def run(self) -> MeasuringReport:
        """Everything. Raises an HsmError where the token cannot be asked at all."""
        for step in (self._generation, self._ecdsa, self._rsa, self._sealing, self._mldsa):
            with self._login() as self._perform:
                try:
                    step()
                except CapabilityMissing as error:
                    self._checks.append(Check(error.wanted, is_right=True, found=f"none: {error.lack}"))
        self._said("ML-KEM-1024 and hybrid encryption")
        self._take(*software_measures.encapsulation(_COUNT, self._seconds))
        self._take(*software_measures.hybrid_encryption(_COUNT, self._seconds))
        return MeasuringReport(self._measured, self._checks)

    def _generation(self) -> None:
        self._said("key generation")
        self._measure(SpeedTarget.KEY_GENERATION, None)

    def _ecdsa(self) -> None:
        self._said("ECDSA in the token")
        with self._key(KeyKind.ECDSA_P256) as address:
            self._measure(SpeedTarget.SIGNING_ECDSA, address)
            public = public_key_of(self._perform(calls.public_parts(address)))
            assert isinstance(public, ec.EllipticCurvePublicKey)  # of that kind
            algorithm = ec.ECDSA(hashes.SHA256())
            signature = TokenEcKey(public, address, self._perform).sign(_MESSAGE, algorithm)
            self._signature("ECDSA", lambda message: public.verify(signature, message, algorithm))

    def _rsa(self) -> None:
        self._said("RSA in the token")
        with self._key(KeyKind.RSA_3072) as address:
            self._measure(SpeedTarget.SIGNING_RSA, address)
            public = public_key_of(self._perform(calls.public_parts(address)))
            assert isinstance(public, rsa.RSAPublicKey)  # of that kind
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            signature = TokenRsaKey(public, address, self._perform).sign(_MESSAGE, pss, hashes.SHA256())
            self._signature("RSA", lambda message: public.verify(signature, message, pss, hashes.SHA256()))

    def _sealing(self) -> None:
        missing = missing_of(KeyKind.AES_256, frozenset(self._token.mechanisms))
        self._said(f"AES-256-GCM in {'the token' if missing is None else 'software'}")
        if missing is not None:
            self._take(*software_measures.sealing(_COUNT, self._seconds, f"the token has no {missing.name}"))
            return
        with self._key(KeyKind.AES_256) as address:
            self._measure(SpeedTarget.SEALING, address)
            sealed = self._perform(calls.encrypt(address, _MESSAGE, b"for"))
            opened = self._perform(calls.decrypt(address, sealed, b"for"))
            self._checks.append(Check("AES-256-GCM is opened", opened == _MESSAGE, f"{len(opened)} bytes"))
            altered = Sealed(sealed.nonce, sealed.ciphertext[:-1] + bytes([sealed.ciphertext[-1] ^ 1]))
            self._checks.append(self._refusal(calls.decrypt(address, altered, b"for")))

    def _mldsa(self) -> None:
        missing = missing_of(KeyKind.MLDSA_87, frozenset(self._token.mechanisms))
        self._said(f"ML-DSA-87 in {'the token' if missing is None else 'software'}")
        if missing is not None:
            why = f"the token has no {missing.name}"
            self._take(*software_measures.mldsa_signing(_COUNT, self._seconds, why))
            return
        with self._key(KeyKind.MLDSA_87) as address:
            self._measure(SpeedTarget.SIGNING_MLDSA, address, self._mldsa_lack)
            public = public_key_of(self._perform(calls.public_parts(address)))
            assert isinstance(public, mldsa.MLDSA87PublicKey)  # of that kind
            signature = self._perform(calls.sign(address, SignatureMechanism.MLDSA, _MESSAGE))
            self._checks += software_measures.mldsa_checks(public, signature, _MESSAGE)

    # -- steps

    @contextmanager
    def _key(self, kind: KeyKind) -> Iterator[KeyAddress]:
        """A key of that kind, checked, and destroyed at the end."""
        address = KeyAddress.of(TokenKeyName(_IDENTITY, kind, 1))
        self._forget(address)  # an earlier test may have been killed
        key = self._perform(calls.generate(TokenKeyName(_IDENTITY, kind, 1)))
        try:
            self._checks.append(_attributes(key, kind))
            yield address
        finally:
            self._perform(calls.destroy(address))

    def _forget(self, address: KeyAddress) -> None:
        with suppress(KeyMissing):
            self._perform(calls.destroy(address))

    def _measure(self, target: SpeedTarget, address: KeyAddress | None, note: str = "") -> None:
        seconds = self._perform(calls.measure(_OPERATIONS[target], address, _COUNT, self._seconds))
        self._measured.append(Measured(target, MeasuringPlace.TOKEN, tuple(seconds), note))

    def _take(self, measured: Measured, checks: list[Check]) -> None:
        self._measured.append(measured)
        self._checks += checks

    def _signature(self, name: str, verify: Callable[[bytes], object]) -> None:
        self._checks += [
            software_measures.verified(f"{name} signature is verified", lambda: verify(_MESSAGE)),
            software_measures.refused(f"{name} signature of another message is refused", lambda: verify(b"other")),
        ]

    def _refusal(self, call: Call[bytes]) -> Check:
        what = "AES-256-GCM that was altered is refused"
        try:
            self._perform(call)
        except CallFailed as error:
            return Check(what, is_right=True, found=error.ckr)
        return Check(what, is_right=False, found="opened")


_OPERATIONS: Final = {
    SpeedTarget.KEY_GENERATION: "key generation",
    SpeedTarget.SIGNING_ECDSA: "ECDSA",
    SpeedTarget.SIGNING_RSA: "RSA-PSS",
    SpeedTarget.SEALING: "AES-256-GCM",
    SpeedTarget.SIGNING_MLDSA: "ML-DSA",
}


def _attributes(key: KeyFacts, kind: KeyKind) -> Check:
    is_right = key.is_sealed_in and bool(key.was_never_extractable) and (kind.is_secret or key.is_sign_only)
    return Check(f"{kind} key stays in the token", is_right, f"uses: {', '.join(key.uses)}")
