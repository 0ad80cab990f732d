"""One rotation up to the point where its chain may serve: new key, CSR, issuer, checks, stored.

Each method is one blocking step, for a thread with a deadline. The version that serves is not
touched: the caller swaps in the stored version, or undoes the attempt. A step that returns after
its deadline changes nothing, because the directory that it would write to is gone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from certs.audit.entries import Action
from certs.homes.software_homes import FileHome
from certs.issuing.issuer import Issued, Issuer, IssueRequest
from certs.issuing.signing_request import signing_request
from certs.issuing.trust import trust_of
from certs.keys.generating import ALGORITHMS
from certs.keys.home import HomeFailed, Homes, KeyHome, KeyName
from certs.rotation.checks import (
    ChainUnusable,
    Expectation,
    findings,
    read_chain_pem,
    serving_findings,
    strength,
)
from certs.rotation.due import RenewalReason
from certs.rotation.retries import LONGEST_RETRY_AFTER
from certs.rotation.sharing import SharedEdition, SharedKey, Sharing
from certs.storage.intent import Intent
from certs.storage.shelf import Shelf, StoredVersion
from config.tables.rotation import KeySpec, parse_key_spec


class RotationStep(StrEnum):
    KEY = "new key"
    ISSUE = "certificate"
    CHECK = "checks"
    STORE = "stored"
    SWAP = "swapped in"


@dataclass(frozen=True, slots=True)
class Task:
    """What is rotated, and how; `heeds_seconds` as in `IssueRequest`.

    In a fleet, a rotation has `sharing`, or (on all other nodes) takes an `edition`.
    """

    shelf: Shelf
    spec: KeySpec
    names: tuple[str, ...]
    issuer: Issuer
    profile: str | None
    reason: RenewalReason
    heeds_seconds: float = LONGEST_RETRY_AFTER
    sharing: Sharing | None = None
    edition: SharedEdition | None = None

    def asks_for(self, intent: Intent) -> bool:
        """Whether a version with this intent fits the configuration."""
        wanted = str(self.spec), self.issuer.name, set(self.names)
        return (intent.key, intent.issuer, set(intent.names)) == wanted

    def takes_up(self, intent: Intent) -> bool:
        """Whether to go on with a key that was made for this intent: not if it may be the one that
        is compromised.
        """
        return self.asks_for(intent) and (not self.reason.needs_a_new_key_at_once or intent.reason == self.reason.value)


class Attempt:
    """Steps to be called in the order of `RotationStep`; `undo` instead of any further one."""

    def __init__(self, task: Task, homes: Homes, now: Callable[[], datetime]) -> None:
        """`now` is the clock, in UTC; the place of the key is among `homes`."""
        self.task: Final = task
        self._homes = homes
        self._home: KeyHome = homes[task.spec.place]
        self._now = now
        self._intent: Intent | None = None
        self._number: int | None = None
        self._name: KeyName | None = None
        self._kept = b""
        self._before = task.shelf.current()

    def make_key(self) -> None:
        """Make and store the key, or go on with that of another node.

        Raises `HomeFailed`, `OSError`, `ShelfDamaged` or `NotShared`.
        """
        task = self.task
        begun = None if task.sharing is None else task.sharing.begun()
        if begun is not None and not task.takes_up(begun.intent):
            begun = None
        self._intent = (
            Intent(str(task.spec), task.issuer.name, task.names, task.reason.value, self._now())
            if begun is None
            else begun.intent
        )
        self._number = task.shelf.begin(self._intent)
        self._name = task.shelf.key_name(self._number, task.spec)
        self._home.destroy(self._name)  # of a step that came back after its deadline, when this number was taken before
        self._kept = (
            self._home.make(self._name) if begun is None else software(self._home).keep(self._name, begun.key_pem)
        )
        action = Action.GENERATE if begun is None else Action.IMPORT
        task.shelf.keep_key(self._number, self._kept, action)
        if begun is None and task.sharing is not None:
            task.sharing.begin(self._shared)

    def issue(self) -> Issued:
        """Get the certificate. Raises `IssueFailed`, `HomeFailed` or `NotShared`."""
        assert self._name is not None  # of the step before
        trust_of(self.task.issuer)  # fails before the order: without roots the chain could not be verified
        key = self._home.signer(self._name, self._kept)
        task = self.task
        csr = signing_request(task.names, key)
        replaced = None if self._before is None else _leaf_der(self._before)
        order = None if task.sharing is None else task.sharing.order
        return task.issuer.issue(IssueRequest(task.names, csr, replaced, task.profile, task.heeds_seconds, order))

    def check(self, issued: Issued) -> x509.Certificate:
        """Check the chain against the request; return its leaf.

        Raises `ChainUnusable`, `IssueFailed` or `HomeFailed`.
        """
        assert self._name is not None  # as above
        chain = read_chain_pem(issued.chain_pem)
        key = self._home.signer(self._name, self._kept).public_key()
        # a weaker kind of key is one that the configuration asks for
        least = strength(ALGORITHMS[self.task.spec.algorithm])
        found = _findings(chain, key, self.task, least, self._now())
        if found:
            raise ChainUnusable(found)
        return chain[0]

    def store(self, issued: Issued) -> StoredVersion:
        """Share it, and keep it as a version that may serve.

        Raises `OSError`, `ShelfDamaged` or `NotShared`.
        """
        assert self._number is not None  # as above
        shelf = self.task.shelf
        sharing = self.task.sharing
        numbered = None if sharing is None else sharing.publish(self._shared, issued.chain_pem)
        shelf.keep_chain(self._number, issued.chain_pem)
        version = shelf.complete(self._number)
        if numbered is not None:
            shelf.note(version, numbered)
        return version

    @property
    def _shared(self) -> SharedKey:
        assert self._intent is not None  # of the first step
        assert self._name is not None
        return SharedKey(self._intent, self._home.for_workers(self._name, self._kept))

    def give_up(self) -> None:
        """Let no other node go on with it: it has failed. Raises `NotShared`."""
        if self.task.sharing is not None:
            self.task.sharing.end()

    def undo(self) -> None:
        """Remove the attempt. Raises `HomeFailed` or `OSError`; then the next start tries again."""
        if self._number is not None:
            self.task.shelf.drop(self._number, self._homes)


def software(home: KeyHome) -> FileHome:
    """A home whose keys can be shared. Raises `HomeFailed` for a token."""
    if not isinstance(home, FileHome):
        raise HomeFailed(home.name, "keys in a token are never shared")
    return home


def offer(shelf: Shelf, version: StoredVersion, homes: Homes, sharing: Sharing) -> None:
    """Let all nodes of the fleet serve by a version.

    Raises `HomeFailed`, `OSError` or `NotShared`.
    """
    home = software(homes[version.spec.place])
    pem = home.for_workers(shelf.key_name(version.number, version.spec), version.kept_path.read_bytes())
    shelf.note(version, sharing.publish(SharedKey(version.intent, pem), version.chain_path.read_bytes()))


def taken(task: Task, edition: SharedEdition, homes: Homes, now: datetime) -> StoredVersion:
    """An edition of the fleet as a version that may serve: checked as a new one is, but for its
    age.

    Raises `ChainUnusable`, `IssueFailed`, `HomeFailed`, `OSError` or `ShelfDamaged`.
    """
    shelf = task.shelf
    spec = task.spec
    for version in shelf.versions():
        if version.has_key and version.chain_path.read_bytes() == edition.chain_pem:
            if version.intent.edition != edition.number:
                shelf.note(version, edition.key.intent)
            return version
    home = software(homes[spec.place])
    # the kind of key is that of the fleet, and where it rests a matter of each node
    intent = edition.key.intent
    spec = KeySpec(parse_key_spec(intent.key).algorithm, spec.place)
    number = shelf.begin(replace(intent, key=str(spec)))
    name = shelf.key_name(number, spec)
    try:
        kept = home.keep(name, edition.key.key_pem)
        chain = read_chain_pem(edition.chain_pem)
        trust = trust_of(task.issuer, chain)
        least = strength(ALGORITHMS[task.spec.algorithm])
        expected = Expectation(home.signer(name, kept).public_key(), task.names, trust.roots, least, trust.place)
        found = serving_findings(chain, expected, now)
        if found:
            raise ChainUnusable(found)  # noqa: TRY301 - undone below
        shelf.keep_key(number, kept, Action.IMPORT)
        shelf.keep_chain(number, edition.chain_pem)
        return shelf.complete(number)
    except Exception:
        shelf.drop(number, homes)
        raise


def resumed(task: Task, homes: Homes, now: datetime) -> StoredVersion | None:
    """A version that a previous process stored but did not serve, if it fits the configuration;
    else it is dropped.

    Raises what `check` and `undo` raise.
    """
    shelf = task.shelf
    candidate = task.shelf.candidate()
    if candidate is None:
        return None
    intent = candidate.intent
    if task.asks_for(intent) and task.reason is not RenewalReason.COMPROMISED and candidate.has_key:
        chain = read_chain_pem(candidate.chain_path.read_bytes())
        name = shelf.key_name(candidate.number, candidate.spec)
        key = homes[candidate.spec.place].signer(name, candidate.kept_path.read_bytes()).public_key()
        if not _findings(chain, key, task, 0, now):
            return candidate
    shelf.drop(candidate.number, homes)
    return None


def _findings(
    chain: tuple[x509.Certificate, ...], key: CertificatePublicKeyTypes, task: Task, least: int, now: datetime
) -> list[str]:
    """As `findings`. Raises `IssueFailed` without roots."""
    trust = trust_of(task.issuer, chain)
    return findings(chain, Expectation(key, task.names, trust.roots, least, trust.place), now)


def _leaf_der(version: StoredVersion) -> bytes | None:
    try:
        return read_chain_pem(version.chain_path.read_bytes())[0].public_bytes(Encoding.DER)
    except (ChainUnusable, OSError):
        return None
