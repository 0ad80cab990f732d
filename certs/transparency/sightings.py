"""Certificates for our names that a log has. Pure."""

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from cryptography import x509

from certs.identities.chain import alternative_names
from certs.keys.signing_key import certified_spki
from config.values.addresses import is_covered, wildcard_of

MOST_SIGHTINGS: Final = 1_000
"""The newest that are remembered: who can have one certificate issued can have many."""
MOST_NAMES: Final = 10
"""Of one certificate: a log may invent one with thousands."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A certificate that names an identity of ours.

    `names` are the first of ours in it. `serial` is in hexadecimal, `key` is the SHA-256 of its
    public key in hexadecimal. When it was seen first (`seen_at`) and `not_after` are in UNIX
    seconds.
    """

    log: str
    names: tuple[str, ...]
    issuer: str
    serial: str
    key: str
    not_after: float
    seen_at: float


class OurNames:
    """The names of the identities, as a certificate may have them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: Final = frozenset(names)
        self._wildcards: Final = frozenset(map(wildcard_of, self._names)) - {"*."}

    def among(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names of a certificate that are ours: a client would take it for one of ours."""
        return tuple(name for name in names if is_covered(name, self._names) or name in self._wildcards)

    def inside(self, content: bytes) -> tuple[str, ...]:
        """Those that stand somewhere in the bytes of a certificate."""
        lower = content.lower()
        return tuple(sorted(name for name in (*self._names, *self._wildcards) if name.encode() in lower))


def sighting(der: bytes, ours: OurNames, log: str, now: datetime) -> Sighting | None:
    """What a certificate says, None if it is for no name of ours.

    One that cannot be read is no certificate for a client either. But clients overlook some
    extensions in which we find a fault: who has a certificate issued must not hide it by one.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        try:
            names = ours.among(alternative_names(certificate))
        except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
            names = ours.inside(der)
        if not names:
            return None
        return Sighting(
            log,
            names[:MOST_NAMES],
            certificate.issuer.rfc4514_string(),
            f"{certificate.serial_number:x}",
            key_digest(certificate),
            certificate.not_valid_after_utc.timestamp(),
            now.timestamp(),
        )
    except (ValueError, x509.InvalidVersion):
        return None


def key_digest(certificate: x509.Certificate) -> str:
    """The SHA-256 of its public key in hexadecimal; empty for a key of an unknown kind."""
    key = certified_spki(certificate)
    return "" if key is None else sha256(key).hexdigest()


@dataclass(frozen=True, slots=True)
class WatchMemory:
    """How far each log was read, and what was found in it."""

    read: Mapping[str, int]
    """Entries by log."""
    found: tuple[Sighting, ...]

    def with_more(self, log: str, read: int, found: Iterable[Sighting], now: datetime) -> "WatchMemory":
        """Read up to there. A certificate and its precertificate are one; expired ones go."""
        kept = {(one.issuer, one.serial): one for one in self.found if one.not_after > now.timestamp()}
        for one in found:
            kept.setdefault((one.issuer, one.serial), one)
        return WatchMemory({**self.read, log: read}, tuple(kept.values())[-MOST_SIGHTINGS:])

    def without(self, keys: Container[str]) -> "WatchMemory":
        """What was found, but for certificates of these keys."""
        return WatchMemory(self.read, tuple(one for one in self.found if one.key not in keys))

    def encode(self) -> bytes:
        return json.dumps({"read": self.read, "found": [asdict(one) for one in self.found]}).encode()


def decode_memory(content: bytes) -> WatchMemory:
    """Read what `WatchMemory.encode` wrote. Raises `ValueError`."""
    try:
        document: Any = json.loads(content)
        found = (Sighting(**{**one, "names": tuple(one["names"])}) for one in document["found"])
        return WatchMemory({str(log): int(read) for log, read in document["read"].items()}, tuple(found))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError("not a memory of logs that Plexigate wrote") from error
