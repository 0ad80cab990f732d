"""The authorities of client certificates, and the lists of what they have revoked.

`plexigate check`, the start and a reload read the files here. What is wrong with their content is
an error. What only the time makes wrong is a warning: the proxy must be able to start without a
fresh list, and OpenSSL refuses the clients that it concerns.

The parent fetches the lists of `crl_url` into the state directory (`fetched_path`). One that is
missing or unusable is no error: it comes from elsewhere, and is fetched again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs.files.errors import CredentialError, Part
from certs.files.pem import read_pem
from certs.identities.chain import SignatureTooWeak, chain_errors, extension_of
from certs.identities.chain_file import read_chain
from certs.identities.revocation_list import (
    ListUnusable,
    errors_of_list,
    fetched_list,
    newest_lists,
    pem_lists,
    read_list,
    time_fault,
)
from config.loading.loaded import ConfigFile, LoadedConfig
from config.tables.client_certificates import ClientCertificatesConfig, UnknownRevocation
from config.values.problems import Location, Problem, shown

# Each handshake sends the name of each authority to the client (RFC 8446 section 4.2.4).
_MOST_AUTHORITIES: Final = 64
# A hundred thousand revoked certificates take 5 MB.
LARGEST_LISTS: Final = 16_777_216
# OpenSSL verifies the signature of a list each time that it looks up a certificate, before that of
# the certificate: 1.1 ms for each MB. So an untrusted client can cause it too.
_LARGE_LISTS: Final = 1_048_576
_LEAST_RSA_BITS: Final = 2_048  # of OpenSSL's security level 2

_CA_FILE: Final = "a PEM file with the certificates of the authorities that issue those of your clients"
_CRL_FILE: Final = "a PEM file with a list of each authority in ca (openssl crl -inform DER -in FILE -out FILE.pem)"
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNTIL_CURRENT: Final = {
    UnknownRevocation.REFUSE: "its clients are refused until there is a current one",
    UnknownRevocation.ACCEPT: "its clients may be revoked",
}


@dataclass(frozen=True, slots=True)
class ClientAuthorities:
    """Authorities that fit each other and their lists."""

    certificates: tuple[x509.Certificate, ...]
    scopes: Sequence[Sequence[x509.CertificateRevocationList]]
    """The lists of each scope, as `newest_lists` has them."""
    has_addresses: bool = False
    """Whether lists are fetched, and may still be missing."""
    is_lenient: bool = False
    """Whether clients are accepted whose authority has no current list."""

    @property
    def checks_revocation(self) -> bool:
        return self.has_addresses or bool(self.scopes)

    @property
    def lists(self) -> tuple[x509.CertificateRevocationList, ...]:
        """All of them."""
        return tuple(one for scope in self.scopes for one in scope)

    @property
    def certificates_pem(self) -> bytes:
        """The authorities, for OpenSSL."""
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.certificates)

    @property
    def lists_pem(self) -> bytes:
        """The lists, for OpenSSL; empty where revocation is not checked."""
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.lists)

    @property
    def currency(self) -> tuple[datetime, datetime] | None:
        """From when to when the lists are current of the authority that is the first to have none;
        None where revocation is not checked. Both are 1970 where an authority has none.
        """
        if not self.checks_revocation:
            return None
        if _unlisted(self.certificates, self.lists):
            return _NEVER, _NEVER
        first = min(self.scopes, key=_end_of)
        return first[0].last_update_utc, _end_of(first)


def _end_of(scope: Sequence[x509.CertificateRevocationList]) -> datetime:
    # `errors_of_list` takes none without an end
    return max(one.next_update_utc for one in scope if one.next_update_utc is not None)


def client_authorities(
    file: ConfigFile, place: Location, settings: ClientCertificatesConfig, state: str | None, now: datetime
) -> tuple[ClientAuthorities | None, list[Problem]]:
    """Read the files of an identity; None if they have errors.

    `place` is that of the `client_certificates`, `state` is `rotation.state`.
    """
    reading = _ReadingClients(file, place, now, [], [])
    certificates = reading.authorities(settings.ca, has_lists=settings.checks_revocation)
    if settings.crl is not None:
        reading.lists(settings.crl, certificates, is_all=not settings.crl_url)
    if state is not None and certificates:
        reading.fetched(file.named(state), settings.crl_url, certificates)
    scopes = newest_lists([one.list_ for one in reading.read], certificates, now)
    reading.judge_times(scopes, _UNTIL_CURRENT[settings.crl_unknown])
    if any(problem.is_error for problem in reading.problems):
        return None, reading.problems
    is_lenient = settings.crl_unknown is UnknownRevocation.ACCEPT
    found = ClientAuthorities(certificates, scopes, bool(settings.crl_url), is_lenient)
    if found.checks_revocation:
        reading.missing(found)
    return found, reading.problems


def fetched_path(state: Path, address: str) -> Path:
    """Where the list of an address is kept, below the state directory."""
    return state / "lists" / f"{sha256(address.encode()).hexdigest()[:32]}.crl"


def fetched_paths(loaded: LoadedConfig) -> list[Path]:
    """Where the lists of all identities that are fetched are kept."""
    state = loaded.config.rotation.state
    clients = [one.client_certificates for one in loaded.config.identity.values()]
    addresses = [address for one in clients if one is not None for address in one.crl_url]
    return [] if state is None else [fetched_path(loaded.file.named(state), address) for address in addresses]


@dataclass(frozen=True, slots=True)
class _ReadList:
    """A list, and where it was read: the key of the configuration and its value."""

    key: str
    where: str
    list_: x509.CertificateRevocationList


@dataclass(frozen=True, slots=True)
class _ReadingClients:
    file: ConfigFile
    place: Location
    now: datetime
    problems: list[Problem]
    read: list[_ReadList]

    def authorities(self, path: str, *, has_lists: bool) -> tuple[x509.Certificate, ...]:
        try:
            certificates = read_chain(self.file.resolve(path))
        except CredentialError as error:
            self._error("ca", path, error.found, _CA_FILE)
            return ()
        if len(certificates) > _MOST_AUTHORITIES:
            found = f"which has {len(certificates)} certificates"
            self._error("ca", path, found, f"at most {_MOST_AUTHORITIES}: each handshake sends their names")
            return ()
        for found, allowed in _authority_errors(certificates):
            self._error("ca", path, found, allowed)
        for fault in chain_errors(certificates, self.file.resolve(path), self.now):
            if isinstance(fault, SignatureTooWeak):
                self._error("ca", path, fault.found, fault.allowed)
            else:
                self._warning("ca", path, f"{fault.found}: its clients are refused", fault.allowed)
        if has_lists:
            for found in _without_root(certificates):
                allowed = "the issuer too, up to a root: with crl each certificate up to the root is looked up"
                self._error("ca", path, found, allowed)
        return certificates

    def fetched(self, state: Path, addresses: Sequence[str], authorities: Sequence[x509.Certificate]) -> None:
        """Read the lists that were fetched and can be used."""
        for address in addresses:
            path = fetched_path(state, address)
            try:
                content = self.file.files.get(path, path).read_bytes()
            except (FileNotFoundError, PermissionError):
                continue  # `missing` says so; a worker gets the list, and may not look for one
            except OSError as error:
                self._unusable(address, error)
                continue
            self._judge_size("crl_url", address, len(content))
            for block in pem_lists(content) or [content]:
                try:
                    self.read.append(_ReadList("crl_url", address, fetched_list(block, authorities)))
                except ListUnusable as error:
                    self._unusable(address, error)

    def _unusable(self, address: str, error: Exception) -> None:
        self._warning("crl_url", address, f"whose list cannot be used: {error}", "the proxy fetches it again")

    def missing(self, found: ClientAuthorities) -> None:
        """Warn of authorities whose list was not fetched so far."""
        what = "may be revoked" if found.is_lenient else "are refused"
        for name in _unlisted(found.certificates, found.lists):
            better = "no action needed: the proxy fetches it at the start (else its log says list_not_fetched, and why)"
            place = (*self.place, "crl_url")
            self.problems.append(self.file.warning(place, f"no list of {name} yet: its clients {what}", better))

    def lists(self, path: str, authorities: Sequence[x509.Certificate], *, is_all: bool) -> None:
        """Read the lists of the file. `is_all`: whether it has to have one of each authority."""
        try:
            content = read_pem(self.file.resolve(path), Part.CERTIFICATE, LARGEST_LISTS).content
        except CredentialError as error:
            self._error("crl", path, error.found, _CRL_FILE)
            return
        blocks = pem_lists(content)
        if not blocks:
            self._error("crl", path, "which has no certificate revocation list (X509 CRL)", _CRL_FILE)
            return
        try:
            lists = [read_list(block) for block in blocks]
        except ListUnusable:
            self._error("crl", path, "which holds a damaged list", _CRL_FILE)
            return
        if not authorities:
            return  # what is wrong with them is said already
        for found, allowed in _list_errors(lists, authorities, is_all=is_all):
            self._error("crl", path, found, allowed)
        self._judge_size("crl", path, len(content))
        self.read.extend(_ReadList("crl", path, one) for one in lists)

    def _judge_size(self, key: str, where: str, size: int) -> None:
        if size > _LARGE_LISTS:
            found = f"which has {size / 1_000_000:.1f} MB, and each handshake with a certificate reads all of it"
            better = "shorter lists: 1 MB takes 1 ms of each such handshake, also of one that is refused"
            self._warning(key, where, found, better)

    def judge_times(self, scopes: Sequence[Sequence[x509.CertificateRevocationList]], consequence: str) -> None:
        """Warn of scopes without a list that is current."""
        for newest, *_ in scopes:
            fault = time_fault(newest, self.now)
            if fault is None:
                continue
            found = f"whose list of {shown(newest.issuer.rfc4514_string())} {fault}: {consequence}"
            better = "a list that is current (is the clock of this machine right?)"
            read = next(one for one in self.read if one.list_ is newest)
            self._warning(read.key, read.where, found, better)

    def _error(self, key: str, path: str, found: str, allowed: str) -> None:
        self.problems.append(self.file.error((*self.place, key), f"{shown(path)}, {found}", allowed))

    def _warning(self, key: str, path: str, found: str, better: str) -> None:
        self.problems.append(self.file.warning((*self.place, key), f"{shown(path)}, {found}", better))


def _authority_errors(certificates: Sequence[x509.Certificate]) -> Iterator[tuple[str, str]]:
    for position, certificate in enumerate(certificates, start=1):
        who = f"whose certificate in place {position}, {shown(certificate.subject.rfc4514_string())}"
        if not _may_issue(certificate):
            allowed = "certificates of authorities (basicConstraints CA:TRUE, keyUsage keyCertSign), none of clients"
            yield f"{who}, may issue no certificates", allowed
        try:
            key = certificate.public_key()
        except (UnsupportedAlgorithm, ValueError):
            yield f"{who}, is for a key of an unknown kind", "ECDSA, RSA, Ed25519 or ML-DSA"
            continue
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
            yield f"{who}, has an RSA key of {key.key_size} bits", f"at least {_LEAST_RSA_BITS} bits"


def _may_issue(certificate: x509.Certificate) -> bool:
    """RFC 5280 sections 4.2.1.9 and 4.2.1.3."""
    try:
        constraints = extension_of(certificate, x509.BasicConstraints)
    except ValueError:
        return False
    usage = extension_of(certificate, x509.KeyUsage)
    return constraints is not None and constraints.ca and (usage is None or usage.key_cert_sign)


def _without_root(certificates: Sequence[x509.Certificate]) -> Iterator[str]:
    subjects = {certificate.subject for certificate in certificates}
    for certificate in certificates:
        if certificate.issuer not in subjects:
            issuer = shown(certificate.issuer.rfc4514_string())
            yield f"which lacks the issuer {issuer} of {shown(certificate.subject.rfc4514_string())}"


def _list_errors(
    lists: Sequence[x509.CertificateRevocationList], authorities: Sequence[x509.Certificate], *, is_all: bool
) -> Iterator[tuple[str, str]]:
    for one in lists:
        yield from errors_of_list(one, authorities)
    if not is_all:
        return
    for subject in _unlisted(authorities, lists):
        yield (
            f"which has no list of {subject}",
            "a list of each authority in ca: without one its clients are refused",
        )


def _unlisted(
    authorities: Sequence[x509.Certificate], lists: Sequence[x509.CertificateRevocationList]
) -> Sequence[str]:
    """The authorities without a list, by their names."""
    listed = {one.issuer for one in lists}
    missing = (one.subject for one in authorities if one.subject not in listed)
    return [shown(name.rfc4514_string()) for name in dict.fromkeys(missing)]
