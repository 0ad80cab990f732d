"""Proofs that a name is ours (RFC 8555 section 8, RFC 8737), and who shows them to a CA.

A process can name them without the client of a CA, which takes long to load.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from certs.acme.challenges.silences import Silences
from config.tables.issuers import AcmeChallenge


@dataclass(frozen=True, slots=True)
class Proof:
    """What the CA looks for at `name`, a DNS name without `*.` or an IP address."""

    kind: AcmeChallenge
    name: str
    token: str
    thumbprint: str = field(repr=False)
    """Of the account's key."""
    url: str
    """Where the CA is told that it may look."""

    @property
    def key_authorization(self) -> str:
        """The content of the file of http-01 (RFC 8555 section 8.1)."""
        return f"{self.token}.{self.thumbprint}"

    @property
    def digest(self) -> bytes:
        """SHA-256 of the key authorization, as tls-alpn-01 shows it (RFC 8737 section 3)."""
        return hashlib.sha256(self.key_authorization.encode()).digest()

    @property
    def record(self) -> tuple[str, str]:
        """Name (fully qualified, with the last dot) and value of the TXT record of dns-01 (RFC 8555
        section 8.4).
        """
        return f"_acme-challenge.{self.name}.", base64.urlsafe_b64encode(self.digest).rstrip(b"=").decode()


class PresentingFailed(Exception):
    """A proof could not be shown to the world; `reason` is a clause without a secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Solver(Protocol):
    """Shows proofs to the world. Both methods block, in the thread of the order."""

    def present(self, proof: Proof) -> None:
        """Answers when the CA may look. Raises `PresentingFailed`, and leaves nothing then."""

    def withdraw(self, proof: Proof) -> None:
        """Take back what `present` showed, once for each success, or what an ended process may have
        shown. Raises `PresentingFailed`.
        """


class SharedAccounts(Protocol):
    """The accounts that the nodes of a fleet share, as documents, by the URL of a directory. Both
    methods block.
    """

    def load(self, directory: str) -> bytes | None:
        """The newest document that this node has heard of."""

    def save(self, directory: str, document: bytes) -> None:
        """Let all nodes have it. Raises `NotShared`."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What all issuers share, and keep over a reload.

    `solver` shows proofs for challenges other than dns-01. `tell` takes a log line for each step;
    it is called in the thread that calls the issuer. `silences` are the waits that CAs have
    requested. `accounts` are those of the fleet (None: this node has its own).
    """

    solver: Solver
    tell: Callable[[str], None]
    silences: Silences = field(default_factory=Silences)
    accounts: SharedAccounts | None = None


class NobodyShows:
    """A `Solver` for commands that only inspect issuers: no proxy runs that could answer a CA."""

    def present(self, _proof: Proof) -> None:
        """Refuse. Raises `PresentingFailed`."""
        raise PresentingFailed("the proxy does not run, so the CA would get no answer")

    def withdraw(self, _proof: Proof) -> None:
        """Do nothing: `present` showed nothing."""
