"""One rotation up to the point where its chain may serve: new key, CSR, issuer, checks, stored.

Each method is one blocking step, for a thread with a deadline. The version that serves is not
touched: the caller swaps in the stored version, or undoes the attempt. A step that returns after
its deadline changes nothing, because the directory that it would write to is gone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from certs.issuing.issuer import Issued, Issuer, IssueRequest
from certs.issuing.signing_request import signing_request
from certs.issuing.trust import trust_of
from certs.keys.generating import ALGORITHMS
from certs.keys.home import Homes, KeyHome, KeyName
from certs.rotation.checks import ChainUnusable, Expectation, findings, read_chain_pem, strength
from certs.rotation.due import RenewalReason
from certs.rotation.retries import LONGEST_RETRY_AFTER
from certs.storage.intent import Intent
from certs.storage.shelf import Shelf, StoredVersion
from config.tables.rotation import KeySpec


class RotationStep(StrEnum):
    KEY = "new key"
    ISSUE = "certificate"
    CHECK = "checks"
    STORE = "stored"
    SWAP = "swapped in"


@dataclass(frozen=True, slots=True)
class Task:
    """What is rotated, and how; `heeds_seconds` as in `IssueRequest`."""

    shelf: Shelf
    spec: KeySpec
    names: tuple[str, ...]
    issuer: Issuer
    profile: str | None
    reason: RenewalReason
    heeds_seconds: float = LONGEST_RETRY_AFTER


class Attempt:
    """Steps to be called in the order of `RotationStep`; `undo` instead of any further one."""

    def __init__(self, task: Task, homes: Homes, now: Callable[[], datetime]) -> None:
        """`now` is the clock, in UTC; the place of the key is among `homes`."""
        self.task: Final = task
        self._homes = homes
        self._home: KeyHome = homes[task.spec.place]
        self._now = now
        self._number: int | None = None
        self._name: KeyName | None = None
        self._kept = b""
        self._before = task.shelf.current()

    def make_key(self) -> None:
        """Make and store the key. Raises `HomeFailed`, `OSError` or `ShelfDamaged`."""
        task = self.task
        intent = Intent(str(task.spec), task.issuer.name, task.names, task.reason.value, self._now())
        self._number = task.shelf.begin(intent)
        self._name = task.shelf.key_name(self._number, task.spec)
        self._home.destroy(self._name)  # of a step that came back after its deadline, when this number was taken before
        self._kept = self._home.make(self._name)
        task.shelf.keep_key(self._number, self._kept)

    def issue(self) -> Issued:
        """Get the certificate. Raises `IssueFailed` or `HomeFailed`."""
        assert self._name is not None  # of the step before
        trust_of(self.task.issuer)  # fails before the order: without roots the chain could not be verified
        key = self._home.signer(self._name, self._kept)
        names = self.task.names
        csr = signing_request(names, key)
        replaced = None if self._before is None else _leaf_der(self._before)
        return self.task.issuer.issue(IssueRequest(names, csr, replaced, self.task.profile, self.task.heeds_seconds))

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
        """Keep it as a version that may serve. Raises `OSError` or `ShelfDamaged`."""
        assert self._number is not None  # as above
        self.task.shelf.keep_chain(self._number, issued.chain_pem)
        return self.task.shelf.complete(self._number)

    def undo(self) -> None:
        """Remove the attempt. Raises `HomeFailed` or `OSError`; then the next start tries again."""
        if self._number is not None:
            self.task.shelf.drop(self._number, self._homes)


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
    is_wanted = (intent.key, intent.issuer, intent.names) == (str(task.spec), task.issuer.name, task.names)
    if is_wanted and task.reason is not RenewalReason.COMPROMISED and candidate.has_key:
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
