"""A certificate chain and the key that fits it: what a server proves itself with."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from certs.files.errors import CredentialError, Part
from certs.hsm.secret import Secret
from certs.identities.chain import Chain, alternative_names, chain_errors, order_errors, validity_errors
from certs.identities.chain_file import read_chain
from certs.keys.pkcs11 import Pkcs11Key
from certs.keys.signing_key import (
    SUPPORTED,
    KeyAlgorithm,
    PublicKey,
    SigningKey,
    algorithm_of,
    certified_key,
    certified_spki,
    spki_of,
)
from certs.keys.software import SoftwareKey
from config.loading.reading import read_regular
from config.values.addresses import name_matches
from config.values.pkcs11_uri import Pkcs11Uri


class KeyDoesNotFit(CredentialError):
    """The key belongs to another certificate: the public keys differ."""

    part = Part.KEY

    def __init__(self, path: Path, certificate: Path, algorithm: KeyAlgorithm, expected: str) -> None:
        kinds = "" if expected == str(algorithm) else f": it is {algorithm}, the certificate's {expected}"
        found = f'which does not fit the certificate "{certificate}"{kinds}'
        super().__init__(path, found, "the private key that the certificate was made for")


class LeafNotFirst(CredentialError):
    """The certificate of the key stands at `position` (from 0) of the file instead of first."""

    def __init__(self, path: Path, position: int) -> None:
        found = f"which has the certificate of the key in place {position + 1}"
        super().__init__(path, found, "the server's own certificate first, then the issuer of each certificate")


class CertificateUnsupported(CredentialError):
    """The leaf is for a key that handshakes cannot be signed with."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "which is for a key of an unsupported kind", f"a certificate for a key of {SUPPORTED}")


@dataclass(frozen=True, slots=True)
class Credential:
    """A chain, leaf first, and the key of its leaf; made by `examine`, so that they fit."""

    chain: Chain
    key: SigningKey
    certificate_path: Path
    digest: bytes = field(default=b"", repr=False)
    """Of everything that a context is made of (SHA-256): equal ones make equal contexts."""
    spares: tuple[SigningKey, ...] = ()
    """The same key in other tokens, in the order of preference."""
    is_spread: bool = False
    """Whether all of `keys` are used in turn, and not each only when those before it fail."""
    is_issued: bool = False
    """Whether the rotation has put it in place, and is to fix what is wrong with it: no person has
    named these files.
    """

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        return (self.key, *self.spares)

    @property
    def leaf(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def algorithm(self) -> KeyAlgorithm:
        return self.key.algorithm

    @property
    def is_post_quantum(self) -> bool:
        """Whether its signatures withstand a quantum computer."""
        return self.algorithm.is_post_quantum

    @property
    def key_pem_path(self) -> Path:
        """The file to load the key from, beside `certificate_path`."""
        return self.key.pem_path

    @property
    def not_after(self) -> datetime:
        """When the first certificate of the chain ends, in UTC."""
        return min(certificate.not_valid_after_utc for certificate in self.chain)

    def expires_within(self, period: timedelta, now: datetime) -> bool:
        """Whether a certificate of the chain ends before `period` from now has passed."""
        return self.not_after - now < period

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the leaf is for, see `alternative_names`."""
        return tuple(alternative_names(self.leaf))

    def covers(self, name: str) -> bool:
        """Whether the leaf is for a name in the form of the configuration: exact, through a
        wildcard, or the same wildcard.
        """
        return any(name_matches(pattern, name) for pattern in self.names)


@dataclass(frozen=True, slots=True)
class Examination:
    """A credential, or everything that is wrong with it."""

    credential: Credential | None
    errors: tuple[CredentialError, ...] = ()


def examine(certificate: Path, key: Path, now: datetime | None) -> Examination:
    """Read a chain and its key, and find all that keeps them from being used at `now` (with its
    time zone; None: at any time).
    """
    errors: list[CredentialError] = []
    chain: Chain = ()
    signing_key: SoftwareKey | None = None
    try:
        chain = read_chain(certificate)
    except CredentialError as error:
        errors.append(error)
    try:
        signing_key = SoftwareKey.load(key)
    except CredentialError as error:
        errors.append(error)
    errors += _errors(chain, signing_key, certificate, now)
    if signing_key is None or errors:
        return Examination(None, tuple(errors))
    return Examination(Credential(chain, signing_key, certificate, content_digest(certificate, key) or b""))


def reexamine(known: Credential, certificate: Path, key: SoftwareKey, now: datetime | None) -> Examination:
    """Judge a credential again that was examined before: only time can have changed it."""
    errors = () if now is None else tuple(validity_errors(known.chain, certificate, now))
    return Examination(None if errors else replace(known, certificate_path=certificate, key=key), errors)


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Where a key is in a token: `token` is the NAME of its `[hsm.token.NAME]`, `pin` the one to
    log in with.
    """

    uri: Pkcs11Uri
    token: str
    pin: Secret

    def key(self, public_key: PublicKey) -> Pkcs11Key:
        return Pkcs11Key(self.uri, self.token, public_key, self.pin)


def examine_in_tokens(certificate: Path, places: Sequence[TokenPlace], now: datetime | None) -> Examination:
    """Read a chain whose key is in one token or several, and find all that keeps it from being used
    at `now` (None: at any time).

    Whether there is such a key, and whether it fits, is only found by who may log in to the token.
    """
    try:
        chain = read_chain(certificate)
    except CredentialError as error:
        return Examination(None, (error,))
    errors = tuple(_errors(chain, None, certificate, now))
    public_key = certified_key(chain[0])
    if public_key is None or errors:
        return Examination(None, errors)
    if algorithm_of(public_key).is_too_weak:
        return Examination(None, (CertificateUnsupported(certificate),))
    first, *spares = (place.key(public_key) for place in places)
    digest = digest_in_tokens(certificate, places) or b""
    return Examination(Credential(chain, first, certificate, digest, tuple(spares)))


def reexamine_in_tokens(
    known: Credential, certificate: Path, places: Sequence[TokenPlace], now: datetime | None
) -> Examination:
    """The same for a chain that was examined before: only time can have made it unusable."""
    errors = () if now is None else tuple(validity_errors(known.chain, certificate, now))
    first, *spares = (place.key(known.key.public_key) for place in places)
    again = replace(known, certificate_path=certificate, key=first, spares=tuple(spares))
    return Examination(None if errors else again, errors)


def digest_in_tokens(certificate: Path, places: Sequence[TokenPlace]) -> bytes | None:
    """Digest the chain, and where its keys are and with which PIN (SHA-256); None if the chain
    cannot be read.
    """
    try:
        content = read_regular(certificate).content
    except OSError:
        return None
    keys = [part for place in places for part in (str(place.uri).encode(), place.token.encode(), place.pin.digest)]
    return _digest([content, *keys])


def content_digest(certificate: Path, key: Path) -> bytes | None:
    """Digest the content of both files (SHA-256); None if one cannot be read."""
    try:
        contents = [read_regular(certificate).content, read_regular(key).content]
    except OSError:
        return None
    return _digest(contents)


def _digest(parts: Sequence[bytes]) -> bytes:
    return hashlib.sha256(b"".join(len(one).to_bytes(8, "big") + one for one in parts)).digest()


def _errors(chain: Chain, key: SoftwareKey | None, path: Path, now: datetime | None) -> Iterator[CredentialError]:
    if not chain:
        return
    public_key = certified_key(chain[0])
    if public_key is None:
        yield CertificateUnsupported(path)
    fault = _fit_error(chain, key, path, public_key) if key else None
    if fault:
        yield fault
    if not isinstance(fault, LeafNotFirst):
        yield from order_errors(chain, path)
    yield from chain_errors(chain, path, now)


def _fit_error(chain: Chain, key: SoftwareKey, path: Path, public_key: PublicKey | None) -> CredentialError | None:
    ours = spki_of(key.public_key)
    positions = [position for position, certificate in enumerate(chain) if certified_spki(certificate) == ours]
    if not positions:
        expected = str(algorithm_of(public_key)) if public_key else "of an unsupported kind"
        return KeyDoesNotFit(key.pem_path, path, key.algorithm, expected)
    return LeafNotFirst(path, positions[0]) if positions[0] else None
