"""The certificate chains of a configuration, and what speaks for and against a chain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from certs.files.errors import CredentialError
from certs.identities.chain_file import read_chain
from certs.issuing.trust import NoTrustStore, Trust, system_trust
from certs.keys.signing_key import KeyAlgorithm, algorithm_of, supported_public_key
from certs.rotation.checks import Expectation, serving_findings
from certs.rotation.facts import chain_of
from certs.storage.shelf import ShelfDamaged
from certs.storage.store import Store, store_of
from config.loading.loaded import LoadedConfig
from config.tables.rotation import InternalIssuerConfig, IssuedCredential, rotate_command
from proxy.doctor.finding import CLOCK_FIRST, Finding, Judge

CERTIFICATES: Final = Judge("certificates")
_SOON: Final = timedelta(days=14)
_LAST_PART: Final = 5
"""A certificate of a week is not late for its last fourteen days."""
_RENEW_FILE: Final = "Get a new certificate from its CA, put it in place of the file, then plexigate reload."
_ORDER: Final = "Put the server's own certificate first, then the issuer of each one before it; leave the root out."

Chain = Sequence[x509.Certificate]


@dataclass(frozen=True, slots=True)
class ConfiguredChain:
    """A chain that an identity should show. `own_ca` is the internal issuer that has signed it.

    `slot` names it where the proxy rotates it. None: it is a file.
    """

    identity: str
    about: str
    names: tuple[str, ...]
    chain: Chain
    own_ca: str | None = None
    slot: str | None = None

    @property
    def renewal(self) -> str:
        if self.slot is None:
            return _RENEW_FILE
        return f"{rotate_command(self.identity, self.slot)} requests a new one now, and shows each step."

    @property
    def algorithm(self) -> KeyAlgorithm | None:
        """The kind of its key; None if TLS has no such kind."""
        key = supported_public_key(self.chain[0].public_key())
        return None if key is None else algorithm_of(key)

    @property
    def kind(self) -> str | None:
        """What clients choose it by; keys of one kind are replicas."""
        return None if self.algorithm is None else self.algorithm.kind


def configured_chains(loaded: LoadedConfig) -> Iterator[ConfiguredChain | Finding]:
    """The chain of each credential, or why it has none. Keys are not read."""
    store = store_of(loaded.file, loaded.config.rotation)
    for name, identity in loaded.config.identity.items():
        for one in identity.credentials:
            if isinstance(one, IssuedCredential):
                yield from _issued(loaded, store, name, one)
                continue
            path = loaded.file.resolve(one.certificate)
            try:
                yield ConfiguredChain(name, f"{name} {path.name}", identity.names, read_chain(path))
            except CredentialError as error:
                yield CERTIFICATES.failure(f"{name} {path.name}", error.found, f"Needed: {error.allowed}.")


def _issued(
    loaded: LoadedConfig, store: Store | None, name: str, settings: IssuedCredential
) -> Iterator[ConfiguredChain | Finding]:
    about = f"{name} {settings.key}"
    identity = loaded.config.identity[name]
    remedy = f"{rotate_command(name, settings.slot)} requests it now, and shows each step."
    if store is None:
        return  # an error of the configuration
    try:
        version = store.shelf(name, settings.slot).current()
        if version is None:
            yield CERTIFICATES.warning(about, f"not issued yet by {settings.issuer}", remedy)
            return
        yield ConfiguredChain(
            name, about, identity.names, chain_of(version), _own_ca(loaded, settings.issuer), settings.slot
        )
    except (ShelfDamaged, OSError) as error:
        yield CERTIFICATES.failure(about, f"its store cannot be read: {error}", remedy)


def _own_ca(loaded: LoadedConfig, issuer: str) -> str | None:
    return issuer if isinstance(loaded.config.issuer.get(issuer), InternalIssuerConfig) else None


def chain_findings(judge: Judge, subject: str, one: ConfiguredChain, chain: Chain, now: datetime) -> Iterator[Finding]:
    """Judge a chain that stands for `one`, leaf first, as a client does that trusts its end."""
    leaf = chain[0]
    names = one.names
    renewal = one.renewal
    for link in chain:
        begins = link.not_valid_before_utc
        ends = link.not_valid_after_utc
        if not begins <= now < ends:
            span = f"{begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC"
            found = f"{link.subject.rfc4514_string()} is valid from {span}, and now it is {now:%Y-%m-%d %H:%M}"
            yield judge.failure(subject, found, CLOCK_FIRST if now < begins else renewal)
            return
    faults = serving_findings(chain, Expectation(leaf.public_key(), tuple(names), (chain[-1],)), now)
    for fault in faults:
        yield judge.failure(subject, fault, f"{renewal} {_ORDER}")
    until = min(link.not_valid_after_utc for link in chain)
    found = (
        f"valid until {until:%Y-%m-%d %H:%M} UTC ({(until - now).days} days), certificates in the chain: {len(chain)}"
    )
    if until < now + min(_SOON, (leaf.not_valid_after_utc - leaf.not_valid_before_utc) / _LAST_PART):
        yield judge.warning(subject, found, renewal)
    elif not faults:
        yield judge.ok(subject, found)


def trust_finding(one: ConfiguredChain, now: datetime) -> Finding:
    """Judge whether clients trust a chain without being told to."""
    subject = f"{one.about}, trust"
    issuer = one.chain[-1].issuer.rfc4514_string()
    if one.own_ca is not None:
        found = f"issued by {one.own_ca}, a CA of your own: clients need its root (plexigate certs trust {one.own_ca})"
        return CERTIFICATES.ok(subject, found)
    try:
        trust = system_trust(one.chain)
    except NoTrustStore as error:
        return CERTIFICATES.unknown(subject, str(error), "Install ca-certificates.")
    if is_trusted(one.chain, one.names, trust, now):
        return CERTIFICATES.ok(subject, "the system's store trusts its issuer")
    found = f"the system's store trusts no path from {issuer}: browsers show a warning"
    remedy = f"Right for a CA of your own, if its clients have the root. Else the chain lacks {issuer}. {_ORDER}"
    return CERTIFICATES.warning(subject, found, remedy)


def is_trusted(chain: Chain, names: Sequence[str], trust: Trust, now: datetime) -> bool:
    """Whether a chain, all else being right, ends in one of the roots."""
    key = chain[0].public_key()
    by_itself = serving_findings(chain, Expectation(key, tuple(names), (chain[-1],)), now)
    by_roots = serving_findings(chain, Expectation(key, tuple(names), trust.roots), now)
    return set(by_roots) <= set(by_itself)
