"""What the chains of an issuer have to end in: its own roots, or those that the system trusts,
where OpenSSL finds them.

The system's are a directory of files that are named after the hash of a subject, one file, or both
(SSL_CERT_DIR and SSL_CERT_FILE in the environment instead, as everywhere).
"""

import base64
import binascii
import os
import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from certs.issuing.issuer import FailureKind, IssueFailed, Issuer

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
# not "TRUSTED CERTIFICATE": what OpenSSL appends to such a one is not part of a certificate
_PEM: Final = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END")


class NoTrustStore(Exception):
    """The system trusts no root; `places` were looked at."""

    def __init__(self, places: Sequence[str]) -> None:
        super().__init__(places)
        self.places = tuple(places)

    def __str__(self) -> str:
        return f"the system has no trusted roots in {' and '.join(self.places)}"


@dataclass(frozen=True, slots=True)
class Trust:
    """Roots, and where they are from, in words."""

    roots: tuple[x509.Certificate, ...]
    place: str


def trust_of(issuer: Issuer, chain: Sequence[x509.Certificate] = ()) -> Trust:
    """What a chain of an issuer has to end in; of the system's roots only those that could have
    signed a part of it.

    Blocks. Raises `IssueFailed` where there is nothing that it could end in.
    """
    roots = issuer.roots
    if roots:
        return Trust(roots, f"the roots of issuer {issuer.name}")
    try:
        trust = system_trust(chain)
        return Trust(trust.roots, f"{trust.place}: for a CA of your own set issuer.{issuer.name}.root_file to its root")
    except NoTrustStore as error:
        detail = (
            f"{issuer.name}: {error}; install them (Debian: ca-certificates), or set issuer.{issuer.name}.root_file"
        )
        raise IssueFailed(FailureKind.PERMANENT, detail) from None


def system_trust(chain: Sequence[x509.Certificate] = ()) -> Trust:
    """The system's roots that could have signed a part of a chain. Raises `NoTrustStore`."""
    files, directories = _places()
    places = [*map(str, files), *map(str, directories)]
    names = {one.issuer.public_bytes() for one in chain}
    is_empty = True
    found = dict[bytes, x509.Certificate]()
    for der in _stored(files, directories):
        is_empty = False
        # roots of all kinds are in such stores, some of which cannot be read: only those that
        # matter are
        if der not in found and any(name in der for name in names):
            found[der] = x509.load_der_x509_certificate(der)
    if is_empty:
        raise NoTrustStore(places)
    return Trust(tuple(found.values()), f"what the system trusts ({' and '.join(places)})")


def _places() -> tuple[list[Path], list[Path]]:
    paths = ssl.get_default_verify_paths()
    file = os.environ.get(paths.openssl_cafile_env, paths.openssl_cafile)
    directories = os.environ.get(paths.openssl_capath_env, paths.openssl_capath)
    return [Path(file)], [Path(one) for one in directories.split(os.pathsep)]


def _stored(files: Sequence[Path], directories: Sequence[Path]) -> Iterator[bytes]:
    for path in [*files, *(path for directory in directories for path in _hashed(directory))]:
        try:
            content = path.read_bytes()
        except OSError:
            continue  # OpenSSL passes over it too
        for match in _PEM.finditer(content):
            try:
                yield base64.b64decode(match[1])
            except binascii.Error:
                continue


def _hashed(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if _HASHED.fullmatch(path.name))
    except OSError:
        return []
