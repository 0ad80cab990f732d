"""The credentials of a configuration: read, judged, and what is wrong with them as problems of its
file.

`plexigate check` and the start go through the same `load_credentials`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from certs.files.errors import CredentialError, Part
from certs.hsm.secret import Secret
from certs.identities.chain_file import read_chain
from certs.identities.client_authorities import ClientAuthorities, client_authorities
from certs.identities.credential import (
    Credential,
    Examination,
    TokenPlace,
    content_digest,
    digest_in_tokens,
    examine,
    examine_in_tokens,
    reexamine,
    reexamine_in_tokens,
)
from certs.identities.issued import files_of_slot, stand_ins, token_place
from certs.identities.levels import level_problems
from certs.keys.pin import read_pins
from certs.keys.pkcs11 import Pkcs11Key
from certs.keys.software import SoftwareKey
from certs.sealing.envelope import is_sealed
from config.crosschecks.replicas import Replica, replica_fault, replica_weakness
from config.loading.loaded import ConfigFile, LoadedConfig
from config.loading.reading import read_regular
from config.schema import (
    CredentialConfig,
    CredentialPreference,
    IdentityConfig,
    IssuedCredential,
)
from config.tables.hsm import HsmConfig
from config.tables.rotation import rotate_command
from config.tables.upstream import UpstreamConfig
from config.values.problems import Problem, shown

_SOON = timedelta(days=7)  # any week has a working day

_BEGINNING = 64  # bytes: enough to tell what a file is

_Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class LoadedCredentials:
    """The credentials of each identity, and those that the proxy shows to an upstream that asks, by
    name; and all problems.

    Where there are errors among the problems, what could not be used is missing from the mappings.
    """

    identities: Mapping[str, tuple[Credential, ...]]
    upstreams: Mapping[str, Credential]
    problems: tuple[Problem, ...]
    pins: Mapping[str, Secret] = field(default_factory=dict)
    """By the NAME of their token."""
    clients: Mapping[str, ClientAuthorities] = field(default_factory=dict)
    """Who issues the certificates of clients, by the identity that asks for them."""

    @property
    def by_digest(self) -> Mapping[bytes, Credential]:
        """All of them, as the next `load_credentials` knows them again."""
        several = [one for of_identity in self.identities.values() for one in of_identity]
        return {one.digest: one for one in (*several, *self.upstreams.values())}


Known = Mapping[bytes, Credential]
"""Credentials that were examined before, by their digest."""


def load_credentials(loaded: LoadedConfig, now: datetime, known: Known = MappingProxyType({})) -> LoadedCredentials:
    """Read all certificates and keys that a configuration names; `now` has its time zone.

    What is `known` is not examined again, only whether it is still valid.
    """
    pins = read_pins(loaded.file, loaded.config.hsm)
    config = loaded.config
    reading = _Reading(loaded.file, config.hsm, config.rotation.state, now, known, pins.by_token, list(pins.problems))
    identities = {name: reading.identity(name, settings) for name, settings in loaded.config.identity.items()}
    upstreams = dict(reading.upstreams(config.upstream))
    clients = dict(reading.clients(config.identity))
    reading.problems += level_problems(loaded, identities, clients)
    return LoadedCredentials(
        MappingProxyType(identities),
        MappingProxyType(upstreams),
        tuple(reading.problems),
        pins.by_token,
        MappingProxyType(clients),
    )


def examine_issued(file: ConfigFile, hsm: HsmConfig | None, certificate: Path, key: Path, now: datetime) -> Examination:
    """Judge chain and key of one issued credential that is to serve."""
    pins = read_pins(file, hsm).by_token
    return _Reading(file, hsm, None, now, MappingProxyType({}), pins, []).issued_examination(certificate, key)


@dataclass(slots=True)
class _Reading:
    """One pass over the files of a configuration, which collects the problems."""

    file: ConfigFile
    hsm: HsmConfig | None
    state: str | None
    now: datetime
    known: Known
    pins: Mapping[str, Secret]
    problems: list[Problem]

    def identity(self, name: str, settings: IdentityConfig) -> tuple[Credential, ...]:
        credentials: list[Credential] = []
        replicas: list[Replica] = []
        with_files: list[Replica] = []
        for at, asked in settings.placed_credentials:
            place = ("identity", name, *at)
            if isinstance(asked, IssuedCredential):
                credentials += self._issued(place, name, asked)
                replicas.append(Replica.of_issued(asked))
                # among issued ones alone, the cross checks have said it
                self.problems += self._unfit_replica(place, replicas[-1], with_files)
                continue
            credential = None if self._rests_sealed(place, asked) else self._credential(place, asked)
            if credential is None:
                continue
            self.problems += self._uncovered(place, asked, credential, settings.names)
            replica = _replica(asked, credential)
            self.problems += self._unfit_replica(place, replica, replicas)
            replicas.append(replica)
            with_files.append(replica)
            credentials.append(credential)
        credentials += self._stand_ins(name, settings)
        is_complete = len(credentials) == len(settings.credentials)
        if (
            settings.prefer is CredentialPreference.MLDSA
            and is_complete
            and not any(c.is_post_quantum for c in credentials)
        ):
            found = '"mldsa", but no credential of this identity is ML-DSA'
            self.problems.append(
                self.file.warning(("identity", name, "prefer"), found, "an ML-DSA credential, or no preference")
            )
        return tuple(credentials)

    def _rests_sealed(self, place: _Place, paths: CredentialConfig) -> bool:
        """Whether a sealed key stays closed because the token of the sealing key is unavailable."""
        key = paths.key[0]
        if not isinstance(key, str) or not is_sealed(_beginning(self.file.resolve(key))):
            return False
        found = f"{shown(key)}, which stays sealed while the sealing key is unavailable"
        better = "a sealing key whose token answers; the key opens as soon as it does"
        self.problems.append(self.file.warning((*place, "key"), found, better))
        return True

    def _issued(self, place: _Place, identity: str, asked: IssuedCredential) -> list[Credential]:
        """The credential that the rotation has put in place, and replaces if it has errors."""
        files = files_of_slot(self.file, self.state, identity, asked.slot)
        if files is None:
            found = f"{asked.key}, whose certificate is not issued yet"
            better = f"no action needed: it is requested from {asked.issuer} at the start; the log reports the result"
            self.problems.append(self.file.warning(place, found, better))
            return []
        examination = self.issued_examination(*files)
        for error in examination.errors:
            found = f"{asked.key}, {error.found}"
            better = f"another one: {rotate_command(identity, asked.slot)}"
            self.problems.append(self.file.warning(place, found, better))
        credential = examination.credential
        return [] if credential is None else [replace(credential, is_spread=asked.spread)]

    def _stand_ins(self, identity: str, settings: IdentityConfig) -> Iterator[Credential]:
        for files in stand_ins(self.file, self.state, identity, settings):
            credential = self.issued_examination(*files).credential
            if credential is not None:
                yield credential

    def issued_examination(self, certificate: Path, key: Path) -> Examination:
        """Judge an issued credential without its dates: an expired one is being replaced, and
        serves until then.
        """
        try:
            place = token_place(self.hsm, certificate, key, self.pins)
        except CredentialError as error:
            return Examination(None, (error,))
        if place is None:
            found = self._examination(certificate, key, None)
        else:
            found = self._examination_at(certificate, [place], None)
        return found if found.credential is None else Examination(replace(found.credential, is_issued=True))

    def upstreams(self, upstreams: Mapping[str, UpstreamConfig]) -> Iterator[tuple[str, Credential]]:
        for name, upstream in upstreams.items():
            place = ("upstream", name)
            if upstream.ca is not None:
                self._authorities((*place, "ca"), upstream.ca)
            if upstream.certificate is None or upstream.key is None:
                continue
            paths = CredentialConfig(certificate=upstream.certificate, key=(upstream.key,))
            credential = self._credential(place, paths)
            if credential is not None:
                yield name, credential

    def clients(self, identities: Mapping[str, IdentityConfig]) -> Iterator[tuple[str, ClientAuthorities]]:
        for name, identity in identities.items():
            if identity.client_certificates is not None:
                place = ("identity", name, "client_certificates")
                found, problems = client_authorities(
                    self.file, place, identity.client_certificates, self.state, self.now
                )
                self.problems += problems
                if found is not None:
                    yield name, found

    def _credential(self, place: _Place, paths: CredentialConfig) -> Credential | None:
        certificate = self.file.resolve(paths.certificate)
        if isinstance(paths.key[0], str):
            examination = self._examination(certificate, self.file.resolve(paths.key[0]), self.now)
        else:
            examination = self._examination_in_tokens(certificate, paths)
        self.problems += [self._problem((*place, error.part.value), paths, error) for error in examination.errors]
        if examination.credential is not None:
            self.problems += self._warnings(place, paths, examination.credential)
        return examination.credential

    def _examination(self, certificate: Path, key: Path, now: datetime | None) -> Examination:
        known = self.known.get(content_digest(certificate, key) or b"") if self.known else None
        if known is None or not isinstance(known.key, SoftwareKey):
            return examine(certificate, key, now)
        return reexamine(known, certificate, replace(known.key, pem_path=key), now)

    def _examination_in_tokens(self, certificate: Path, paths: CredentialConfig) -> Examination:
        places = list(self._places(paths))
        if len(places) < len(paths.key):
            return Examination(None)  # what is wrong with their tokens is said already
        examination = self._examination_at(certificate, places, self.now)
        if examination.credential is None:
            return examination
        return Examination(replace(examination.credential, is_spread=paths.spread, is_issued=False))

    def _examination_at(self, certificate: Path, places: Sequence[TokenPlace], now: datetime | None) -> Examination:
        known = self.known.get(digest_in_tokens(certificate, places) or b"") if self.known else None
        if known is None:
            return examine_in_tokens(certificate, places, now)
        return reexamine_in_tokens(known, certificate, places, now)

    def _places(self, paths: CredentialConfig) -> Iterator[TokenPlace]:
        hsm = self.hsm
        for uri in paths.key:
            if hsm is None or isinstance(uri, str) or len(tokens := hsm.tokens_of(uri)) != 1:
                continue
            pin = self.pins.get(tokens[0])
            if pin is not None:
                yield TokenPlace(hsm.full_uri(uri), tokens[0], pin)

    def _problem(self, place: _Place, paths: CredentialConfig, error: CredentialError) -> Problem:
        path = paths.certificate if error.part is Part.CERTIFICATE else paths.key[0]
        return self.file.error(place, f"{shown(str(path))}, {error.found}", error.allowed)

    def _warnings(self, place: _Place, paths: CredentialConfig, credential: Credential) -> Iterator[Problem]:
        key = credential.key
        if isinstance(key, SoftwareKey) and key.is_exposed:
            found = f"{shown(str(paths.key[0]))}, which others may read (mode {key.mode:04o})"
            yield self.file.warning(
                (*place, "key"), found, f"mode 0600: chmod 600 {self.file.named(str(paths.key[0]))}"
            )
        if credential.expires_within(_SOON, self.now):
            found = f"{shown(paths.certificate)}, which expires at {credential.not_after:%Y-%m-%d %H:%M} UTC"
            yield self.file.warning((*place, "certificate"), found, "a certificate that is valid for more than a week")

    def _uncovered(
        self, place: _Place, paths: CredentialConfig, credential: Credential, names: tuple[str, ...]
    ) -> Iterator[Problem]:
        uncovered = [name for name in names if not credential.covers(name)]
        if uncovered:
            found = f"{shown(paths.certificate)}, which is not for {', '.join(dict.fromkeys(uncovered))}"
            covered = ", ".join(map(shown, dict.fromkeys(credential.names))) or "none: it has no subjectAltName"
            allowed = f"a certificate for every name of the identity (this one's names: {covered})"
            yield self.file.error((*place, "certificate"), found, allowed)

    def _unfit_replica(self, place: _Place, one: Replica, before: Sequence[Replica]) -> Iterator[Problem]:
        if (fault := replica_fault(one, before)) is not None:
            yield self.file.error((*place, "key"), *fault)
        elif (weakness := replica_weakness(one, before)) is not None:
            yield self.file.warning((*place, "key"), *weakness)

    def _authorities(self, place: _Place, path: str) -> None:
        try:
            read_chain(self.file.resolve(path))
        except CredentialError as error:
            self.problems.append(
                self.file.error(place, f"{shown(path)}, {error.found}", "a PEM file with certificates to trust")
            )


def _replica(paths: CredentialConfig, credential: Credential) -> Replica:
    tokens = tuple(key.token for key in credential.keys if isinstance(key, Pkcs11Key))
    algorithm = str(credential.algorithm).replace("ecdsa", "ec")  # as `KeySpec` writes it
    return Replica(algorithm, tokens, paths.spread, shown(str(paths.key[0])))


def _beginning(path: Path) -> bytes:
    """The beginning of a file; empty if it cannot be read, which is reported elsewhere."""
    try:
        return read_regular(path, _BEGINNING).content
    except OSError:
        return b""
