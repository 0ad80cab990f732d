"""The seam between the rotation and the issuers of certificates: an internal CA, or an ACME
directory.

Code above an `Issuer` does not know which kind it is. All methods block, some for minutes: they are
called in a thread with a deadline, never on an event loop, and one call at a time for each issuer.
What cannot be had is an `IssueFailed`, whose kind tells the rotation whether, and how soon, to ask
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from cryptography import x509

from certs.keys.signing_key import KeyAlgorithm


class FailureKind(StrEnum):
    """What a failure says about asking again."""

    TEMPORARY = "temporary"
    """The issuer did not answer, or not in a way that tells anything: ask again by the table."""
    PERMANENT = "permanent"
    """The same request fails until the configuration or the account is changed: retry rarely, and
    alert at once.
    """
    RATE_LIMITED = "rate_limited"
    """Asked too often (RFC 8555 6.6): not before `retry_after`."""


class IssueFailed(Exception):
    """The issuer gave no certificate.

    `retry_after`: seconds until it accepts the next request, or None.

    `detail` is a sentence for logs, without a secret: of an answer of a CA only the problem's type
    and text.
    """

    def __init__(self, kind: FailureKind, detail: str, retry_after: float | None = None) -> None:
        super().__init__(kind, detail, retry_after)
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.detail


class NotShared(Exception):
    """The fleet does not let this node go on; `detail` is a clause without a secret."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class OrderMemory(Protocol):
    """Keeps where the order for one key is, so that another node can go on with it. `keep`
    blocks. A CA is named by the URL of its directory.
    """

    def known(self, directory: str) -> str | None:
        """The address of the order at this CA, None where none was kept."""

    def keep(self, directory: str, address: str) -> None:
        """Keep it before the order is used. Raises `NotShared`, and then it is not used."""

    @property
    def may_be_lost(self) -> bool:
        """Whether a node may have placed an order for this key, and ended before it kept where."""

    def is_of_another_key(self, address: str) -> bool:
        """Whether the order there is for another key, perhaps for the same names."""


@dataclass(frozen=True, slots=True)
class IssueRequest:
    """What a certificate is asked for.

    `names` are in the form of `config.values.addresses.parse_server_name` (A-labels in lower case,
    `*.` for a wildcard, IP addresses); the CSR has the same. `csr_der` is PKCS #10 (RFC 2986),
    signed by the key that the certificate is for. `replaces` is the DER of the leaf that this one
    takes the place of (RFC 9773 5), None for the first one. `profile` names one of the issuer's
    own, None for its default. `heeds_seconds`: how long, at most, a rate limit of the issuer is
    respected, from when it was said. `order`: where the address of an order is kept.
    """

    names: tuple[str, ...]
    csr_der: bytes = field(repr=False)
    replaces: bytes | None = field(default=None, repr=False)
    profile: str | None = None
    heeds_seconds: float = float("inf")
    order: OrderMemory | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Issued:
    """A chain in PEM (RFC 7468), leaf first, then each one's issuer; the root may be missing (RFC
    8446 4.4.2).
    """

    chain_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RenewalWindow:
    """When an issuer wants a certificate renewed (RFC 9773 4.2); times with their time zone.

    `ask_again`: when the issuer wants to be asked for the window again, None where it said nothing.
    """

    start: datetime
    end: datetime
    ask_again: datetime | None = None


class Issuer(Protocol):
    """Signs certificates: a CA, or the CA of our own."""

    @property
    def name(self) -> str:
        """NAME of its `[issuer.NAME]`, for logs."""

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """What its chains have to end in; none: what the system trusts (`issuing.trust`).

        Raises `IssueFailed` where it cannot be read.
        """

    def signs(self, algorithm: KeyAlgorithm) -> bool:
        """Whether it certifies keys of this algorithm; known without asking anybody."""

    def issue(self, request: IssueRequest) -> Issued:
        """Get a certificate. Raises `IssueFailed`."""

    def renewal_window(self, leaf: x509.Certificate) -> RenewalWindow | None:
        """When it wants a certificate renewed (ARI, RFC 9773), or None. Raises `IssueFailed`."""


@runtime_checkable
class Revoker(Protocol):
    """An issuer that can take a certificate back."""

    def revoke(self, leaf: x509.Certificate, /) -> None:
        """Tell the world that a key is compromised. Raises `IssueFailed`."""


Issuers = Mapping[str, Issuer]
"""By NAME of `[issuer.NAME]`."""
