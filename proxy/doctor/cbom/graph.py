"""Which component of a bill of materials uses or implements which other one. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, assert_never

from proxy.doctor.cbom import components as made
from proxy.doctor.cbom.algorithms import (
    ALGORITHMS,
    CIPHER_SUITES,
    OF_LIBOQS,
    SEALING,
    Algorithm,
    algorithm_of_group,
    algorithm_of_signature,
)
from proxy.doctor.cbom.inventory import (
    CertificateInUse,
    Inventory,
    KeyAsset,
    KeyRole,
    LibraryFacts,
    LibraryRole,
    OfferedTls,
    Protection,
)

APPLICATION: Final = "application/plexigate"


class Edges:
    """For each bom-ref what it uses (`dependsOn`), and what it implements (`provides`)."""

    def __init__(self) -> None:
        self.uses: Final[defaultdict[str, set[str]]] = defaultdict(set)
        self.provides: Final[defaultdict[str, set[str]]] = defaultdict(set)

    def use(self, ref: str, used: Iterable[str]) -> None:
        self.uses[ref].update(used)


def dependencies(inventory: Inventory) -> Edges:
    edges = Edges()
    listeners = [made.protocol_ref(one) for one in inventory.listeners]
    keys = [made.key_ref(one) for one in inventory.keys]
    suites = [made.algorithm_ref(ALGORITHMS[one]) for one in inventory.suites]
    libraries = [made.library_ref(one) for one in inventory.libraries]
    edges.use(APPLICATION, [*libraries, *listeners, *keys, *suites])
    for algorithm in used_algorithms(inventory):
        edges.use(made.algorithm_ref(algorithm), [made.algorithm_ref(ALGORITHMS[part]) for part in algorithm.parts])
    for library in inventory.libraries:
        called = (one for one in inventory.libraries if one.role is LibraryRole.KEM_LIBRARY)
        edges.use(made.library_ref(library), (made.library_ref(one) for one in called if one.version == library.liboqs))
        edges.provides[made.library_ref(library)].update(map(made.algorithm_ref, _provided(library, inventory)))
    for certificate in inventory.certificates:
        _add_certificate(edges, certificate, inventory)
    for key in inventory.keys:
        edges.use(made.key_ref(key), _used_by_key(key, inventory))
    for token in inventory.tokens:
        edges.use(made.token_ref(token.name), ())
    for listener in inventory.listeners:
        edges.use(made.protocol_ref(listener), _used_by_listener(listener, inventory))
    return edges


def used_algorithms(inventory: Inventory) -> list[Algorithm]:
    """Every algorithm that the inventory uses, with the parts of those that are made of several."""
    return _with_parts([*_of_tls(inventory), *_of_keys(inventory)])


def _with_parts(algorithms: Iterable[Algorithm]) -> list[Algorithm]:
    found: dict[str, Algorithm] = {}
    waiting = list(algorithms)
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found[one.name] = one
            waiting += [ALGORITHMS[part] for part in one.parts]
    return [found[name] for name in sorted(found)]


def _of_tls(inventory: Inventory) -> Iterator[Algorithm]:
    for listener in inventory.listeners:
        yield from _of_listener(listener)
    for one in inventory.certificates:
        yield algorithm_of_signature(one.certificate.signature_algorithm_oid.dotted_string)
        yield made.algorithm_of_public_key(one.certificate)
    yield from (made.algorithm_of(key) for key in inventory.keys if key.use in {KeyRole.IDENTITY, KeyRole.TICKETS})


def _of_keys(inventory: Inventory) -> Iterator[Algorithm]:
    yield from (made.algorithm_of(key) for key in inventory.keys if key.use is not KeyRole.TICKETS)
    yield from (ALGORITHMS[one] for one in inventory.suites)
    if any(key.protection is Protection.SEALED for key in inventory.keys):
        yield ALGORITHMS[SEALING]


def _of_listener(listener: OfferedTls) -> Iterator[Algorithm]:
    yield from (algorithm_of_group(one) for one in listener.groups)
    for suite in listener.suites:
        cipher, digest, _ = CIPHER_SUITES[suite]
        yield from (ALGORITHMS[cipher], ALGORITHMS[digest])
        # RFC 8446 section 7.1: the key schedule is HKDF with the hash of the suite
        yield ALGORITHMS[f"HKDF-{digest.replace('-', '')}"]


def _provided(library: LibraryFacts, inventory: Inventory) -> list[Algorithm]:
    match library.role:
        case LibraryRole.TLS:
            others = OF_LIBOQS.union(*(one.provides for one in inventory.libraries))
            return [one for one in _with_parts(_of_tls(inventory)) if one.name not in others]
        case LibraryRole.PROVIDER:
            return [one for one in _with_parts(_of_tls(inventory)) if one.name in library.provides]
        case LibraryRole.KEYS:
            return [one for one in _with_parts(_of_keys(inventory)) if one.name not in OF_LIBOQS]
        case LibraryRole.OTHER_KEMS:
            return [one for one in _with_parts(_of_keys(inventory)) if one.name in OF_LIBOQS]
        case LibraryRole.QUIC:
            return []
        case LibraryRole.KEM_LIBRARY:
            return [one for one in used_algorithms(inventory) if one.name in OF_LIBOQS]
        case _:  # pragma: no cover  mypy proves it
            assert_never(library.role)


def _add_certificate(edges: Edges, one: CertificateInUse, inventory: Inventory) -> None:
    certificate = one.certificate
    signature = algorithm_of_signature(certificate.signature_algorithm_oid.dotted_string)
    ref = made.certificate_ref(certificate)
    public_key = made.public_key_ref(certificate)
    edges.use(ref, [made.algorithm_ref(signature), public_key])
    edges.use(public_key, [made.algorithm_ref(made.algorithm_of_public_key(certificate))])
    if one.position == 0:
        edges.use(ref, [made.key_ref(inventory.keys[index]) for index in one.keys])


def _used_by_key(key: KeyAsset, inventory: Inventory) -> Iterator[str]:
    yield made.algorithm_ref(made.algorithm_of(key))
    if key.protection is Protection.SEALED:
        yield made.algorithm_ref(ALGORITHMS[SEALING])
    yield from (made.token_ref(one.name) for one in inventory.tokens if one.name == key.token)


def _used_by_listener(listener: OfferedTls, inventory: Inventory) -> Iterator[str]:
    yield from (made.algorithm_ref(one) for one in _of_listener(listener))
    for one in inventory.certificates:
        if one.identity in listener.identities and one.position == 0:
            yield made.certificate_ref(one.certificate)
    yield from (
        made.library_ref(one) for one in inventory.libraries if one.role in {LibraryRole.TLS, LibraryRole.PROVIDER}
    )
