"""The level `quantum-safe` and signatures: every one of them is by ML-DSA-87 (CNSA 2.0).

A signature of a certificate names its algorithm and its parameter set. So the chain that is sent
also tells how the issuer signs that is not sent. What an internal issuer issues is judged by the
keys of that issuer, also by the root that is in the state directory already.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from certs.identities.chain import weaker_link
from certs.identities.client_authorities import ClientAuthorities
from certs.identities.credential import Credential
from certs.keys.signing_key import KeyAlgorithm, KeyFamily, algorithm_of, certified_key
from certs.storage.disk import Disk
from certs.storage.shelf import Shelf, ShelfDamaged
from certs.storage.store import root_directory
from config.loading.loaded import LoadedConfig
from config.schema import SecurityLevel
from config.tables.rotation import InternalIssuerConfig, IssuedCredential
from config.values.problems import Problem, shown

_CNSA_KEY: Final = KeyAlgorithm(KeyFamily.MLDSA, 87)
_ALLOWED: Final = "ML-DSA-87 alone (CNSA 2.0), in keys and in each signature of a chain"


def level_problems(
    loaded: LoadedConfig,
    identities: Mapping[str, Sequence[Credential]],
    clients: Mapping[str, ClientAuthorities],
) -> Iterator[Problem]:
    """What breaks the promise of the level: errors, and warnings where `weaker_signatures` allows
    it on purpose.

    `identities` has the credentials of each identity, `clients` the authorities of its clients.
    """
    listeners = loaded.config.listener
    if not loaded.config.is_quantum_safe:
        return
    weaker = [*_Judging(loaded).weaker(identities), *_weaker_clients(clients)]
    said = ", ".join(dict.fromkeys(weaker))
    former = dict(_former(identities))
    for name, listener in listeners.items():
        if listener.binds_signatures and former:
            found = f'"{listener.level}", at which these still serve with weaker chains: {", ".join(former.values())}'
            better = f"new ones: {' && '.join(f'plexigate certs rotate {one}' for one in former)}"
            yield loaded.file.warning(("listener", name, "level"), found, better)
        if not weaker:
            continue
        if listener.binds_signatures:
            allowed = f"{_ALLOWED}, or weaker_signatures = true for clients that have or take nothing else"
            found = f'"{listener.level}", at which these would sign weaker: {said}'
            yield loaded.file.error(("listener", name, "level"), found, allowed)
        elif listener.level is SecurityLevel.QUANTUM_SAFE:
            found = f"true, so these sign weaker than the level {listener.level} promises: {said}"
            yield loaded.file.warning(("listener", name, "weaker_signatures"), found, _ALLOWED)


def _former(identities: Mapping[str, Sequence[Credential]]) -> Iterator[tuple[str, str]]:
    """What was issued by an issuer that signed weaker at that time, by identity."""
    for name, credentials in identities.items():
        for one in credentials:
            link = weaker_link(one.chain) if one.is_issued and one.algorithm == _CNSA_KEY else None
            if link is not None:
                yield name, f"{name} ({one.algorithm}, {link})"


def _weaker_clients(clients: Mapping[str, ClientAuthorities]) -> Iterator[str]:
    for name, authorities in clients.items():
        for one in authorities.certificates:
            kind = _kind_of_key(one)
            if kind != str(_CNSA_KEY):
                yield f"clients of {name} (authority {shown(one.subject.rfc4514_string())}, {kind})"


def _kind_of_key(certificate: x509.Certificate) -> str:
    key = certified_key(certificate)
    return "another kind of key" if key is None else str(algorithm_of(key))


@dataclass(frozen=True, slots=True)
class _Judging:
    loaded: LoadedConfig

    def weaker(self, identities: Mapping[str, Sequence[Credential]]) -> Iterator[str]:
        """The identities with what they sign or will sign with, but for ML-DSA-87."""
        for name, settings in self.loaded.config.identity.items():
            for one in identities[name]:
                weakness = self._of_credential(one)
                if weakness is not None:
                    yield f"{name} ({weakness})"
            for issued in settings.issued:
                weakness = self._of_issued(issued)
                if weakness is not None:
                    yield f"{name} ({weakness})"

    def _of_credential(self, one: Credential) -> str | None:
        if one.is_issued:
            return None  # it may stand in for what is configured, and is judged by that
        if one.algorithm != _CNSA_KEY:
            return str(one.algorithm)
        link = weaker_link(one.chain)
        return None if link is None else f"{one.algorithm}, {link}"

    def _of_issued(self, issued: IssuedCredential) -> str | None:
        algorithm = _written(issued.key.algorithm)
        if issued.key.algorithm != f"mldsa-{_CNSA_KEY.size}":
            return algorithm
        issuer = self.loaded.config.issuer.get(issued.issuer)
        if not isinstance(issuer, InternalIssuerConfig):
            return None  # no other one signs ML-DSA keys
        weakness = self._of_internal(issued.issuer, issuer)
        return None if weakness is None else f"{algorithm}, by issuer {issued.issuer} with {weakness}"

    def _of_internal(self, name: str, issuer: InternalIssuerConfig) -> str | None:
        if issuer.key.algorithm != _written(str(_CNSA_KEY)):
            return f"key {_written(issuer.key.algorithm)}"
        root = self._root_in_place(name) or issuer.root.algorithm
        return None if root == str(_CNSA_KEY) else f"root {_written(root)}"

    def _root_in_place(self, issuer: str) -> str | None:
        """The kind of key of the root that was made, None if there is none or it cannot be read:
        workers may not look there.
        """
        state = self.loaded.config.rotation.state
        if state is None:
            return None
        directory = root_directory(self.loaded.file.resolve(state), issuer)
        try:
            made = Shelf(directory, issuer, "root", Disk()).current()
        except (OSError, ShelfDamaged):
            return None
        return None if made is None else made.spec.algorithm


def _written(algorithm: str) -> str:
    """The name of a kind of key as certificates have it."""
    return algorithm.replace("ec-", "ecdsa-")
