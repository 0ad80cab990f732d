"""The sealing key in a token: it seals through the token's process, and gets there from the
ceremonies of `certs.recovery`.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Final, Protocol, Self

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.hsm.clients import calls
from certs.hsm.clients.calls import Answer, Call, Sealed
from certs.hsm.errors import CallFailed, HsmError
from certs.hsm.facts import KeyAddress, KeyFacts, TokenFacts
from certs.hsm.key_kinds import KeyKind, NeededMechanism, missing_of, opening_kind
from certs.hsm.key_names import TokenKeyName
from certs.keys.token_public_key import public_key_of
from certs.sealing.envelope import KEY_ID_BYTES
from certs.sealing.errors import KeyUnavailable, Tampered
from certs.sealing.importing import ImportRefused
from certs.sealing.sealer import AeadSealer, SealingKey, WrappingSealer
from certs.sealing.unwrapping import OAEP, EcUnwrapping, RsaUnwrapping

IDENTITY: Final = "sealing"
"""Whose key it is, in its label: `sealing.aes-256.v1`."""

_PROBE: Final = b"plexigate"


class LoggedInToken(Protocol):
    """What takes calls to a token in which a process is logged in: a `TokenProcess`."""

    def perform(self, call: Call[Answer]) -> Answer:
        """Make a call. Raises an HsmError."""


def sealing_key_name(version: int = 1, kind: KeyKind = KeyKind.AES_256) -> TokenKeyName:
    """What a sealing key is called in a token.

    Envelopes name its id, so a key that is brought back needs its old version.
    """
    return TokenKeyName(IDENTITY, kind, version)


def named_version(key_id: bytes) -> int | None:
    """The version of the sealing key that envelopes call so; None if its name says none."""
    series = TokenKeyName(IDENTITY, KeyKind.AES_256, 1).id
    version = int.from_bytes(key_id[4:8], "big")
    return version if version and key_id == series[:4] + key_id[4:8] + series[8:] else None


def sealer_in_token(process: LoggedInToken, address: KeyAddress) -> SealingKey:
    """Seals with a key of a token that a process has logged in to: AES-256, or EC P-256 or RSA
    where it has no AES.

    Raises an HsmError, or `KeyUnavailable` for a key of another kind.
    """
    found = [key for key in process.perform(calls.keys()) if _is_meant(key, address)]
    if len(found) != 1:
        raise KeyUnavailable(f"the token has {len(found)} keys with {address}, not one")
    return _sealer_of(process, found[0])


def _sealer_of(process: LoggedInToken, key: KeyFacts) -> SealingKey:
    address = KeyAddress(key.label, key.id)
    if key.kind == KeyKind.AES_256:
        # one of our names that was made outside was split there, or rebuilt from its shares
        has_shares = None if key.is_local is None or key.name is None else not key.is_local
        return AeadSealer(TokenSealingKey(process, address, _envelope_id(key), has_shares=has_shares))
    kind = key.kind.partition("-")[0]
    if kind == "rsa" or key.kind == KeyKind.ECDSA_P256:
        public = public_key_of(process.perform(calls.public_parts(address)))
        if isinstance(public, RSAPublicKey):
            return WrappingSealer(RsaUnwrapping(public, partial(_unwrapped, process, address, public)))
        if isinstance(public, EllipticCurvePublicKey):
            return WrappingSealer(EcUnwrapping(public, partial(_agreed, process, address)))
    raise KeyUnavailable(
        f"{key.label} is a key of kind {key.kind}; allowed: aes-256, or EC P-256 or RSA that may derive or decrypt"
    )


def label_in_token(process: LoggedInToken, ids: Sequence[bytes]) -> str | None:
    """The label of the key that envelopes call by the first of `ids` that is there. Raises an
    HsmError.
    """
    labels: dict[bytes, str] = {}
    for key in process.perform(calls.keys()):
        # of other key pairs the public half would have to be read
        if key.kind == KeyKind.AES_256 or (key.name is not None and key.name.identity == IDENTITY):
            with suppress(KeyUnavailable):
                labels[_sealer_of(process, key).key_id] = key.label
    return next((labels[one] for one in ids if one in labels), None)


def _is_meant(key: KeyFacts, address: KeyAddress) -> bool:
    return address.label in (None, key.label) and address.id in (None, key.id)


def _envelope_id(key: KeyFacts) -> bytes:
    """What envelopes call a key: its id, or what stands for one that was not made by us."""
    return key.id if len(key.id) == KEY_ID_BYTES else sha256(key.id + key.label.encode()).digest()[:KEY_ID_BYTES]


def _unwrapped(process: LoggedInToken, address: KeyAddress, public: RSAPublicKey, wrapped: bytes) -> bytes:
    try:
        return process.perform(calls.unwrap(address, wrapped))
    except CallFailed as error:
        # as below: the return value does not tell
        if _unwraps(process, address, public.encrypt(_PROBE, OAEP)):
            raise ValueError("no ciphertext of this key") from None
        raise KeyUnavailable(str(error)) from None
    except HsmError as error:
        raise KeyUnavailable(str(error)) from None


def _unwraps(process: LoggedInToken, address: KeyAddress, wrapped: bytes) -> bool:
    try:
        return process.perform(calls.unwrap(address, wrapped)) == _PROBE
    except HsmError:
        return False


def _agreed(process: LoggedInToken, address: KeyAddress, peer: EllipticCurvePublicKey) -> bytes:
    try:
        return process.perform(calls.agree(address, peer.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)))
    except HsmError as error:
        raise KeyUnavailable(str(error)) from None


class TokenSealingKey:
    """An `AeadKey` in a token that a process has logged in to."""

    def __init__(
        self, process: LoggedInToken, address: KeyAddress, key_id: bytes, *, has_shares: bool | None = None
    ) -> None:
        self._process = process
        self._address = address
        self.key_id = key_id
        self.has_shares = has_shares

    @classmethod
    def named(cls, process: LoggedInToken, name: TokenKeyName) -> Self:
        """One that was made outside, and has the shares of people."""
        return cls(process, KeyAddress.of(name), name.id, has_shares=True)

    def encrypt(self, plain: bytes, associated: bytes) -> tuple[bytes, bytes]:
        """The token's nonce, and ciphertext with tag; raises `KeyUnavailable`."""
        try:
            sealed = self._process.perform(calls.encrypt(self._address, plain, associated))
        except HsmError as error:
            raise KeyUnavailable(str(error)) from None
        return sealed.nonce, sealed.ciphertext

    def decrypt(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        """The plain text; raises `Tampered` or `KeyUnavailable`."""
        try:
            return self._opened(Sealed(nonce, ciphertext), associated)
        except CallFailed as error:
            # the return value does not tell a wrong tag from a failing token (SoftHSM:
            # CKR_GENERAL_ERROR for both): the key tells
            if self._still_works():
                raise Tampered from None
            raise KeyUnavailable(str(error)) from None
        except HsmError as error:
            raise KeyUnavailable(str(error)) from None

    def _opened(self, sealed: Sealed, associated: bytes) -> bytes:
        return self._process.perform(calls.decrypt(self._address, sealed, associated))

    def _still_works(self) -> bool:
        try:
            sealed = self._process.perform(calls.encrypt(self._address, _PROBE))
            return self._opened(sealed, b"") == _PROBE
        except HsmError:
            return False


def kind_in(token: TokenFacts) -> KeyKind:
    """The kind of sealing key that a token can have: AES-256, or a key pair without AES-GCM."""
    return _lack_and_pair(token)[1] or KeyKind.AES_256


def _lack_and_pair(token: TokenFacts) -> tuple[NeededMechanism | None, KeyKind | None]:
    mechanisms = frozenset(token.mechanisms)
    lack = missing_of(KeyKind.AES_256, mechanisms)
    return lack, opening_kind(mechanisms) if lack is not None else None


class TokenKeyImporter:
    """A token as the place for the sealing key (`KeyImporter`).

    What it makes or takes is read back and compared by its process.
    """

    is_outside_again = False

    def __init__(self, process: LoggedInToken, token: TokenFacts, version: int = 1) -> None:
        self._process = process
        self._token = token.label
        self._lack, self._pair = _lack_and_pair(token)
        self._name = sealing_key_name(version, self._pair or KeyKind.AES_256)
        self.place = f"token {token.label}" if self._pair is None else f"token {token.label} as {self._name.label}"

    def require_free(self) -> None:
        """Raises `ImportRefused` if the token has this version of the key, or cannot tell."""
        try:
            labels = [key.label for key in self._process.perform(calls.keys())]
        except HsmError as error:
            raise ImportRefused(str(error)) from None
        if self._name.label in labels:
            raise ImportRefused(f"{self.place} already has a key {self._name.label}")

    def require_import(self) -> None:
        """Raises `ImportRefused` where the token has no AES-GCM."""
        if self._lack is not None:
            pair = f"--no-recovery, which makes a key pair of kind {self._pair} in it; " if self._pair else ""
            raise ImportRefused(
                f"token {self._token} cannot take the sealing key ({self._lack.name} is not in its list of mechanisms); "
                f"allowed: {pair}--key-file; or another token"
            )

    def envelope_id(self, _secret: bytearray) -> bytes:
        """Of its name: a token does not tell one key from another."""
        return self._name.id

    def import_key(self, secret: bytearray) -> TokenSealingKey:
        """Put the key in: sensitive, not extractable, for sealing only."""
        try:
            self._process.perform(calls.import_secret(self._name, bytes(secret)))
        except HsmError as error:
            raise ImportRefused(str(error)) from None
        return TokenSealingKey.named(self._process, self._name)

    def generate(self) -> SealingKey:
        """Make it in the token: an AES key, or a key pair where the token has no AES-GCM."""
        try:
            make = calls.generate if self._pair is None else calls.generate_opening
            self._process.perform(make(self._name))
            return sealer_in_token(self._process, KeyAddress.of(self._name))
        except (HsmError, KeyUnavailable) as error:
            raise ImportRefused(str(error)) from None
