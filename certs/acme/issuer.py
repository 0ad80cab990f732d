"""An `Issuer` that is an ACME CA. Each attempt is a conversation of its own; every failure becomes
an `IssueFailed`.

The methods block, if necessary for minutes, in a thread of the caller. Each request runs in a
further thread (`deadline`), so that no CA can hold the caller's thread for longer than
`AcmeTimeouts` allows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.acme.challenges.challenges import NotOffered
from certs.acme.challenges.proofs import PresentingFailed, Solver
from certs.acme.challenges.silences import Silences
from certs.acme.client.account_key import NoBindingKey
from certs.acme.client.accounts import AccountDamaged, AccountStore
from certs.acme.client.messages import AcmeDocumentUnreadable, identifier_of
from certs.acme.client.sealed_accounts import AccountOutOfReach
from certs.acme.client.session import AcmeOrder, Session
from certs.acme.client.sign_in import BindingMissing, Membership, SignIn
from certs.acme.client.wire import CaUnreachable, Wire, WireSettings
from certs.acme.ordering import NameRefused, OrderFailed, Ordering, OrderOverdue
from certs.acme.problems import AcmeProblem
from certs.acme.renewal_info import NoWindow, certificate_id, window_of
from certs.acme.timeouts import AcmeClocks, AcmeTimeouts
from certs.issuing.issuer import FailureKind, Issued, IssueFailed, IssueRequest, RenewalWindow
from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from config.loading.reading import read_regular
from config.tables.issuers import AcmeChallenge

_LARGEST_FILE: Final = 1_048_576  # bytes, as of PEM files
_MOST_ORDERS: Final = 100  # of an account are looked at: each is a request
# States of an order that was not finalized (RFC 8555 section 7.1.6).
_UNUSED: Final = frozenset({"pending", "ready"})
# What public CAs certify (CA/Browser Forum, Baseline Requirements 6.1.1.3); neither Ed25519 nor
# ML-DSA is among it.
_CERTIFIED: Final = frozenset({KeyFamily.ECDSA, KeyFamily.RSA})
# statuses of a CA that does not know a certificate: another CA issued it
_NOT_ITS_OWN: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
_PERMANENT: Final = (AccountDamaged, BindingMissing, NoBindingKey, NotOffered)
_TEMPORARY: Final = (AccountOutOfReach, CaUnreachable, OrderOverdue, PresentingFailed, AcmeDocumentUnreadable, OSError)


class ProfileUnknown(Exception):
    """The CA has no such profile; `offered` are those that it has."""

    def __init__(self, profile: str, offered: frozenset[str]) -> None:
        super().__init__(profile, offered)
        self.profile = profile
        self.offered = offered

    def __str__(self) -> str:
        offered = ", ".join(sorted(self.offered)) or "none"
        return f"the CA has no profile {self.profile}; its profiles: {offered}"


@dataclass(frozen=True, slots=True)
class AcmeSettings:
    """Which CA, how it is asked and for what.

    PEM files of authorities, None for those of the system: `trust` for the CA's own TLS, `roots`
    for what its chains end in. `profile` None: the CA's default.
    """

    membership: Membership
    challenge: AcmeChallenge
    profile: str | None = None
    trust: Path | None = None
    roots: Path | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an issuer works with. `tell` takes a line for each step, with the issuer's name."""

    store: AccountStore
    solver: Solver
    tell: Callable[[str], None]
    silences: Silences = field(default_factory=Silences)
    clocks: AcmeClocks = field(default_factory=AcmeClocks)
    patience: AcmeTimeouts = field(default_factory=AcmeTimeouts)


class AcmeIssuer:
    """An `Issuer` (see `issuing.issuer`)."""

    def __init__(self, name: str, settings: AcmeSettings, surroundings: Surroundings) -> None:
        self._name = name
        self._settings = settings
        self._around = surroundings
        self._sign_in = SignIn(settings.membership, surroundings.store, self._tell)

    @property
    def name(self) -> str:
        return self._name

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The roots of its chains. Raises `IssueFailed` for a file without certificates."""
        path = self._settings.roots
        if path is None:
            return ()
        try:
            return tuple(x509.load_pem_x509_certificates(read_regular(path, _LARGEST_FILE).content))
        except (OSError, ValueError):
            detail = f"{self._name}: root_file {path} cannot be read as certificates in PEM"
            raise IssueFailed(FailureKind.PERMANENT, detail) from None

    def signs(self, algorithm: KeyAlgorithm) -> bool:
        """Whether CAs certify such keys."""
        return algorithm.family in _CERTIFIED

    def issue(self, request: IssueRequest) -> Issued:
        """Get a certificate. Raises `IssueFailed`, at once during a wait that the CA asked for."""
        names = frozenset(request.names)
        self._keep_quiet(names, request.heeds_seconds)
        _ = self.roots  # fails before the order: CAs count orders, and a chain without roots cannot be verified
        about = ", ".join(sorted(names))
        try:
            with self._failures_of(about), self._wire() as wire:
                session = self._sign_in.session(wire)
                order = self._order(session, request)
                chain = self._ordering(session).fulfil(order, request.csr_der)
                self._tell(f"issued for {about}")
                return Issued(_certificates_only(chain))
        except IssueFailed as failure:
            if failure.kind is FailureKind.RATE_LIMITED and failure.retry_after is not None:
                now = self._around.clocks.monotonic()
                self._around.silences.keep(self._settings.membership.directory, names, now, failure.retry_after)
            raise

    def renewal_window(self, leaf: x509.Certificate) -> RenewalWindow | None:
        """When the CA wants its certificate renewed (RFC 9773); None if it does not say."""
        now = self._around.clocks.now()
        identifier = certificate_id(leaf)
        # section 4.3: "Clients MUST NOT check a certificate's RenewalInfo after the certificate has
        # expired."
        if identifier is None or leaf.not_valid_after_utc <= now:
            return None
        with self._failures_of("renewal information"), self._wire() as wire:
            try:
                answer = self._sign_in.visit(wire).renewal_info(identifier)
                return None if answer is None else window_of(answer.document, answer.retry_after, now)
            except AcmeProblem as problem:
                if problem.status in _NOT_ITS_OWN:
                    return None
                raise

    def revoke(self, leaf: x509.Certificate) -> None:
        """Report a compromised key to the CA (RFC 8555 section 7.6). Raises `IssueFailed`."""
        with self._failures_of("revocation"), self._wire() as wire:
            self._sign_in.session(wire).revoke(leaf.public_bytes(Encoding.DER))

    # -- an attempt

    def _order(self, session: Session, request: IssueRequest) -> AcmeOrder:
        directory = self._settings.membership.directory
        address = None if request.order is None else request.order.known(directory)
        begun = None if address is None else session.order_at(address)
        if begun is not None:
            self._tell(f"going on with the order {address}")
            return begun
        lost = self._lost(session, request) if address is None else None
        order = lost or self._new_order(session, request)
        if request.order is not None:
            request.order.keep(directory, order.url)
        return order

    def _lost(self, session: Session, request: IssueRequest) -> AcmeOrder | None:
        """The order of a node that ended before it kept its address, if the CA lists it."""
        memory = request.order
        if memory is None or not memory.may_be_lost:
            return None
        profile = request.profile or self._settings.profile
        names = {identifier_of(name) for name in request.names}
        with suppress(AcmeProblem, AcmeDocumentUnreadable):  # of a CA that has no such list
            for url in islice(session.order_urls(), _MOST_ORDERS):
                order = None if memory.is_of_another_key(url) else session.order_at(url)
                if order is None or order.status not in _UNUSED:
                    continue
                if set(order.body.identifiers or ()) == names and profile in {None, order.body.profile}:
                    self._tell(f"going on with the order {url}, which a node has placed that ended in that moment")
                    return order
        self._tell("a node ended while it placed an order, and the CA does not list it: this one may be the second")
        return None

    def _new_order(self, session: Session, request: IssueRequest) -> AcmeOrder:
        profile = request.profile or self._settings.profile
        if profile is not None and profile not in session.directory.profiles:
            raise ProfileUnknown(profile, session.directory.profiles)
        replaces = None
        if request.replaces is not None and session.directory.renewal_info is not None:
            replaces = certificate_id(x509.load_der_x509_certificate(request.replaces))
        try:
            return session.order(request.names, profile, replaces)
        except AcmeProblem as problem:
            self._sign_in.repair(session, problem)
            return session.order(request.names, profile, replaces)

    def _ordering(self, session: Session) -> Ordering:
        around = self._around
        return Ordering(session, around.solver, self._settings.challenge, around.clocks, around.patience, self._tell)

    @contextmanager
    def _wire(self) -> Iterator[Wire]:
        """A conversation of its own: the thread of an overdue call may still use the last one."""
        settings = WireSettings(self._settings.trust, self._around.patience.call)
        wire = Wire(settings, self._around.clocks.now)
        try:
            yield wire
        finally:
            wire.close()

    def _tell(self, line: str) -> None:
        self._around.tell(f"{self._name}: {line}")

    # -- failures

    def _keep_quiet(self, names: frozenset[str], heeds_seconds: float) -> None:
        directory = self._settings.membership.directory
        now = self._around.clocks.monotonic()
        left = self._around.silences.left(directory, names, now, heeds_seconds)
        if left > 0:
            until = self._around.clocks.now() + timedelta(seconds=left)
            detail = f"{self._name}: the CA accepts no request for {', '.join(sorted(names))} until {until:%Y-%m-%d %H:%M:%S} UTC"
            raise IssueFailed(FailureKind.RATE_LIMITED, detail, left)

    @contextmanager
    def _failures_of(self, about: str) -> Iterator[None]:
        """Translate all expected errors to `IssueFailed`."""
        try:
            yield
        except AcmeProblem as problem:
            raise problem.as_failure(self._name, about) from None
        except (NameRefused, OrderFailed) as refusal:
            kind = FailureKind.TEMPORARY if refusal.problem is None else refusal.problem.kind
            raise IssueFailed(kind, f"{self._name}: {refusal}") from None
        except NoWindow as error:
            raise IssueFailed(FailureKind.TEMPORARY, f"{self._name}: {error}") from None
        except (*_PERMANENT, ProfileUnknown) as error:
            raise IssueFailed(FailureKind.PERMANENT, f"{self._name}: {about}: {error}") from None
        except _TEMPORARY as error:
            raise IssueFailed(FailureKind.TEMPORARY, f"{self._name}: {about}: {error}") from None


def _certificates_only(chain: bytes) -> bytes:
    """The certificates of an answer, no other text. Raises `AcmeDocumentUnreadable`."""
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise AcmeDocumentUnreadable("chain of certificates in PEM") from None
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
