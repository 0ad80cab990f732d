"""Gathers the inventory: from the configuration, the files that it names, and the running proxy.

Private keys are not read. What cannot be read is said in the inventory; the rest continues.
"""

import re
import ssl
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from cryptography import x509

from certs.files.errors import CredentialError
from certs.identities.chain_file import read_chain
from certs.keys.signing_key import algorithm_of, supported_public_key
from certs.rotation.facts import chain_of
from certs.storage.shelf import ShelfDamaged
from certs.storage.store import store_of
from config.loading.loaded import LoadedConfig
from config.schema import CredentialConfig
from config.tables.hsm import KeySource
from config.tables.rotation import FILE, SEALED, IssuedCredential
from config.values.pkcs11_uri import Pkcs11Uri
from proxy.admin.client import AdminRefused, AdminUnreachable
from proxy.doctor.cbom.algorithms import ALGORITHMS, FERNET, OF_LIBOQS, SEALING, TICKETS, algorithm_of_group
from proxy.doctor.cbom.inventory import (
    CertificateInUse,
    Inventory,
    KeyAsset,
    KeyRole,
    LibraryFacts,
    LibraryRole,
    OfferedTls,
    Protection,
    TokenAsset,
)
from proxy.doctor.checkup import AnsweringProxy, Examined
from proxy.doctor.handshakes.visits import known_groups
from proxy.doctor.machine.openssl_facts import OpensslSilent, facts_of
from proxy.payload.keys import liboqs
from proxy.payload.keys.keyring import RingKeyRow
from proxy.payload.keys.liboqs import LiboqsUnusable
from proxy.payload.keys.payload_keys import suite_of
from proxy.quic.availability import LIBRARIES, written
from proxy.tls.handshake.group_choice import PolicyError, cipher_suites, effective_pq, group_preference

_OQS: Final = "oqsprovider"
_OWN_PROVIDER: Final = "default"
# `OQS Provider v.0.12.0 (1a2b3c) based on liboqs v.0.16.0`
_LIBOQS_OF_BUILD: Final = re.compile(r"based on liboqs v\.?([0-9][\w.-]*)")
_SEPARATORS: Final = re.compile(r"[:/ ]+")
_STATES: Final[Mapping[str, str]] = {
    "pending": "pre-activation",
    "active": "active",
    "valid": "active",
    "retired": "deactivated",
    "revoked": "compromised",
}
"""Of a payload key, in the words of NIST SP 800-57 part 1 section 7, which CycloneDX has too."""


def gathered(examined: Examined, program: str) -> Inventory:
    """The inventory of a configuration. Blocks. Raises `Lacking` without one."""
    loaded = examined.loaded
    running = examined.running
    unread: list[str] = []
    keys: list[KeyAsset] = []
    certificates = list(_identities(loaded, keys, unread))
    keys += _other_keys(loaded, running, unread)
    sessions = loaded.config.payload.sessions
    suites = () if sessions is None else tuple(str(one) for one in sessions.suites)
    listeners = tuple(_listeners(loaded, running, unread))
    return Inventory(
        version=program,
        at=examined.now(),
        is_observed=running is not None,
        listeners=listeners,
        keys=tuple(keys),
        certificates=tuple(certificates),
        suites=suites,
        libraries=tuple(_libraries(examined, suites, listeners, unread)),
        tokens=tuple(_tokens(loaded, running)),
        unread=tuple(unread),
    )


def _listeners(loaded: LoadedConfig, running: AnsweringProxy | None, unread: list[str]) -> Iterator[OfferedTls]:
    config = loaded.config
    status = {} if running is None else {one["name"]: one for one in running.status["listeners"]}
    for name, settings in config.listener.items():
        if not settings.opens_tls:
            continue
        try:
            pq = effective_pq(settings.level, settings.pq)
            preference = group_preference(settings.level, settings.pq, settings.groups, known_groups(settings))
        except PolicyError as error:
            unread.append(f"listener {name}: {error}")
            continue
        served = status.get(name)
        offered = preference.openssl_list() if served is None else served["groups"]
        yield OfferedTls(
            name,
            str(pq),
            str(settings.level),
            tuple(_SEPARATORS.split(offered)),
            tuple(cipher_suites(settings.level).split(":")),
            tuple(config.identity),
            None if served is None else served["handshakes"]["by_group"],
        )


def _identities(loaded: LoadedConfig, keys: list[KeyAsset], unread: list[str]) -> Iterator[CertificateInUse]:
    """The certificates of all identities; their keys are added to `keys`."""
    for name, identity in loaded.config.identity.items():
        for position, credential in enumerate(identity.credentials, 1):
            try:
                chain = _chain(loaded, name, credential)
            except (CredentialError, ShelfDamaged, OSError) as error:
                unread.append(f"identity {name}, credential {position}: {error}")
                chain = ()
            first = len(keys)
            keys += _keys(loaded, f"{name}-{position}", credential, chain)
            for place, certificate in enumerate(chain):
                own = tuple(range(first, len(keys))) if place == 0 else ()
                yield CertificateInUse(name, place, certificate, own)


def _chain(
    loaded: LoadedConfig, identity: str, credential: CredentialConfig | IssuedCredential
) -> tuple[x509.Certificate, ...]:
    """The chain that is configured; of an issued credential the one that serves, if there is one.

    Raises `CredentialError`, `ShelfDamaged` or `OSError`.
    """
    if isinstance(credential, CredentialConfig):
        return read_chain(loaded.file.resolve(credential.certificate))
    store = store_of(loaded.file, loaded.config.rotation)
    current = None if store is None else store.shelf(identity, credential.slot).current()
    return () if current is None else chain_of(current)


def _keys(
    loaded: LoadedConfig,
    name: str,
    credential: CredentialConfig | IssuedCredential,
    chain: Sequence[x509.Certificate],
) -> Iterator[KeyAsset]:
    if isinstance(credential, IssuedCredential):
        spec = credential.key
        protection = {FILE: Protection.FILE, SEALED: Protection.SEALED}.get(spec.place, Protection.TOKEN)
        token = spec.place if protection is Protection.TOKEN else ""
        place = f"token {token}" if token else str(loaded.config.rotation.state)
        own = name if credential.slot == spec.kind else f"{name}.{spec.place}"
        yield KeyAsset(KeyRole.IDENTITY, own, spec.algorithm, protection, place, token)
        return
    key = supported_public_key(chain[0].public_key()) if chain else None
    algorithm = "unknown" if key is None else str(algorithm_of(key))
    for number, source in enumerate(credential.key, 1):
        copy = f"{name}.{number}" if len(credential.key) > 1 else name
        yield KeyAsset(KeyRole.IDENTITY, copy, algorithm, *_place(loaded, source))


def _place(loaded: LoadedConfig, source: KeySource) -> tuple[Protection, str, str]:
    """How a key is protected, where, and the NAME of its token."""
    if not isinstance(source, Pkcs11Uri):
        return Protection.FILE, source, ""
    hsm = loaded.config.hsm
    token = next(iter(() if hsm is None else hsm.tokens_of(source)), "")
    return Protection.TOKEN, str(source), token


def _other_keys(loaded: LoadedConfig, running: AnsweringProxy | None, unread: list[str]) -> Iterator[KeyAsset]:
    config = loaded.config
    sealing = config.sealing.key
    if sealing is not None:
        yield KeyAsset(KeyRole.SEALING, KeyRole.SEALING, SEALING, *_place(loaded, sealing), is_secret_key=True)
    if any(one.opens_tls for one in config.listener.values()):
        kept = Protection.MEMORY if sealing is None else Protection.SEALED
        place = str(config.sealing.directory or config.rotation.state) if sealing is not None else "the processes"
        yield KeyAsset(KeyRole.TICKETS, KeyRole.TICKETS, TICKETS, kept, place, is_secret_key=True)
    if not config.payload.ring and config.payload.sessions is None:
        return
    place = str(config.payload.directory or config.sealing.directory)
    if running is None:
        for ring in config.payload.ring:
            yield KeyAsset(KeyRole.PAYLOAD, ring, FERNET, Protection.SEALED, place, is_secret_key=True)
        return
    try:
        rings = running.ask("/payload")["rings"]
    except (AdminUnreachable, AdminRefused) as error:
        unread.append(f"payload keys: {error}")
        return
    for ring in rings:
        yield from (_ring_key(ring["name"], one, place) for one in ring["keys"])


def _ring_key(ring: str, key: RingKeyRow, place: str) -> KeyAsset:
    suite = suite_of(ring)
    return KeyAsset(
        KeyRole.PAYLOAD,
        ring,
        FERNET if suite is None else suite,
        Protection.SEALED,
        place,
        state=_STATES[key["state"]],
        version=str(key["version"]),
        created=datetime.fromtimestamp(key["created"], UTC),
        is_secret_key=suite is None,
    )


def _tokens(loaded: LoadedConfig, running: AnsweringProxy | None) -> Iterator[TokenAsset]:
    hsm = loaded.config.hsm
    seen = {} if running is None else {one["token"]: one["parent"] for one in running.status["tokens"]}
    if hsm is None:
        return
    for name, names in hsm.names.items():
        yield TokenAsset(name, str(hsm.module), names.label or "", names.serial or "", str(seen.get(name, "")))


def _libraries(
    examined: Examined, suites: Sequence[str], listeners: Sequence[OfferedTls], unread: list[str]
) -> Iterator[LibraryFacts]:
    words = ssl.OPENSSL_VERSION.split()
    yield LibraryFacts(words[0], words[1], LibraryRole.TLS, f"pkg:generic/openssl@{words[1]}")
    found = version("cryptography")
    yield LibraryFacts("cryptography", found, LibraryRole.KEYS, f"pkg:pypi/cryptography@{found}")
    if any(one.http3 for one in examined.loaded.config.listener.values()):
        yield from _quic(unread)
    others = list(_providers(examined, {group.lower() for one in listeners for group in one.groups}, unread))
    if any(set(ALGORITHMS[one].parts) & OF_LIBOQS for one in suites):
        others.append(_liboqs_python(unread))
    yield from others
    for number in sorted({one.liboqs for one in others} - {""}):
        purl = f"pkg:github/open-quantum-safe/liboqs@{number}"
        yield LibraryFacts("liboqs", number, LibraryRole.KEM_LIBRARY, purl)


def _quic(unread: list[str]) -> Iterator[LibraryFacts]:
    for one in LIBRARIES:
        found = one.version()
        if found is None:
            unread.append(f"{one.name}: {one.file} is not installed")
        else:
            number = written(found)
            yield LibraryFacts(one.name, number, LibraryRole.QUIC, f"pkg:github/ngtcp2/{one.project}@v{number}")


def _providers(examined: Examined, offered: Collection[str], unread: list[str]) -> Iterator[LibraryFacts]:
    """The providers beside OpenSSL's own, with the listeners' groups that they compute."""
    if not examined.loaded.config.openssl.providers:
        return
    try:
        loaded = facts_of(examined.file).modules_loaded
    except OpensslSilent as error:
        unread.append(f"providers of OpenSSL: {error}")
        return
    for one in loaded:
        if one.name == _OWN_PROVIDER:
            continue
        computed = tuple(algorithm_of_group(group).name for group in one.groups if group.lower() in offered)
        called = _LIBOQS_OF_BUILD.search(one.build)
        name = one.name
        purl = ""
        if one.name == _OQS:
            name = "oqs-provider"
            purl = f"pkg:github/open-quantum-safe/oqs-provider@{one.version}"
        liboqs_version = "" if called is None else called[1]
        yield LibraryFacts(name, one.version, LibraryRole.PROVIDER, purl, computed, liboqs_version)


def _liboqs_python(unread: list[str]) -> LibraryFacts:
    try:
        library, package = liboqs.versions()
    except LiboqsUnusable as error:
        unread.append(f"liboqs: {error.reason}")
        try:
            library = ""
            package = version("liboqs-python")
        except PackageNotFoundError:
            library = package = ""
    purl = f"pkg:pypi/liboqs-python@{package}" if package else ""
    return LibraryFacts("liboqs-python", package, LibraryRole.OTHER_KEMS, purl, liboqs=library)
