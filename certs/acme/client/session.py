"""One conversation with one CA, step by step (RFC 8555 section 7).

Each method is one request, or one and its nonces.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypedDict
from urllib.parse import urljoin

from acme import messages
from josepy.json_util import encode_b64jose
from requests.utils import parse_header_links

from certs.acme.challenges.challenges import TlsAlpn01Response
from certs.acme.challenges.proofs import Proof
from certs.acme.client.accounts import AcmeAccount
from certs.acme.client.messages import (
    QUESTION,
    AcmeDocumentUnreadable,
    Directory,
    NewOrder,
    directory_of,
    identifier_of,
    listed,
    payload,
    read,
)
from certs.acme.client.wire import AcmeResponse, Wire
from certs.acme.problems import AcmeProblem, problem_of

# What a CA says about a predecessor that it will not have (RFC 9773 section 5): replaced already,
# or not one of its own. An order without it is as good, only not exempt from limits. To pebble
# one that it cannot find is an internal error; it looks for serial numbers without a leading zero.
_NO_SUCH_PREDECESSOR: Final = frozenset({"alreadyReplaced", "malformed", "unauthorized"})
_STATUSES_OF_PREDECESSORS: Final = frozenset({404, 409, 500})
# Of an order of another account, or one that has expired and was removed.
_NO_SUCH_ORDER: Final = frozenset({"accountDoesNotExist", "malformed", "unauthorized"})
_STATUSES_OF_GONE: Final = frozenset({404, 410})
_KEY_COMPROMISE: Final = 1  # RFC 5280 section 5.3.1
_ACCEPTED: Final = payload(TlsAlpn01Response(key_authorization=""))


@dataclass(frozen=True, slots=True)
class Binding:
    """Proof of an external account (RFC 8555 section 7.3.4); `mac_key` is base64url."""

    key_id: str
    mac_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AcmeOrder:
    """`is_taken_up`: another process has placed it, and may have left proofs behind."""

    url: str
    body: messages.Order
    retry_after: float | None
    is_taken_up: bool = False

    @property
    def status(self) -> str:
        """`pending`, `ready`, `processing`, `valid` or `invalid` (RFC 8555 section 7.1.6)."""
        return str(self.body.status.name)

    @property
    def problem(self) -> AcmeProblem | None:
        """Why it is invalid, as far as the CA says."""
        return None if self.body.error is None else problem_of(200, self.body.error.to_json())


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a CA knows about one name."""

    url: str
    body: messages.Authorization
    retry_after: float | None

    @property
    def name(self) -> str:
        """The name, without `*.`."""
        return str(self.body.identifier.value)

    @property
    def status(self) -> str:
        """`pending`, `valid`, `invalid`, `deactivated`, `expired` or `revoked`."""
        return str(self.body.status.name)

    @property
    def is_looked_at(self) -> bool:
        """Whether the CA was told to look (RFC 8555 section 7.1.6)."""
        return any(one.status != messages.STATUS_PENDING for one in self.body.challenges)

    @property
    def problem(self) -> AcmeProblem | None:
        """What the CA met when it looked."""
        errors = [one.error for one in self.body.challenges if one.error is not None]
        return problem_of(200, errors[0].to_json()) if errors else None


class _NewAccount(TypedDict, total=False):
    """RFC 8555 section 7.3."""

    termsOfServiceAgreed: bool
    contact: list[str]
    externalAccountBinding: object


class Session:
    """Talks to a CA for one account.

    All methods raise `AcmeProblem`, `CaUnreachable` or `AcmeDocumentUnreadable`.
    """

    def __init__(self, wire: Wire, directory: Directory, account: AcmeAccount) -> None:
        self._wire = wire
        self.directory: Final = directory
        self.account = account

    def register(self, contact: Sequence[str], binding: Binding | None) -> AcmeAccount:
        """Register the account, or find it by its key.

        Returns it with its URL. Raises `NoBindingKey` too.

        Agrees to the terms of service: the operator chose the CA by naming its directory.
        """
        url = self.directory.new_account
        facts: _NewAccount = {"termsOfServiceAgreed": True}
        if contact:
            facts["contact"] = [f"mailto:{address}" for address in contact]
        if binding is not None:
            facts["externalAccountBinding"] = self.account.key.binding(binding.key_id, binding.mac_key, url)
        # by the key itself, as the account has no URL yet (RFC 8555 section 6.2)
        signer = partial(self.account.key.signed, account=None)
        answer = self._wire.post(url, json.dumps(facts).encode(), signer, self.directory.new_nonce)
        self.account = self.account.registered_as(answer.location)
        return self.account

    def find(self) -> bool:
        """Whether the CA knows an account by the new key (RFC 8555 section 7.3.1)."""
        successor = self.account.succeeded().key
        url = self.directory.new_account
        question = json.dumps({"onlyReturnExisting": True}).encode()
        try:
            self._wire.post(url, question, partial(successor.signed, account=None), self.directory.new_nonce)
        except AcmeProblem as problem:
            if problem.type != "accountDoesNotExist":
                raise
            return False
        return True

    def change_key(self) -> None:
        """Have the CA know the account by its new key alone (RFC 8555 section 7.3.5)."""
        url = self.directory.key_change
        account = self.account
        assert account.url is not None  # registered first
        assert account.successor is not None
        if url is None:
            raise AcmeDocumentUnreadable("ACME directory with a place for changes of keys")
        self._post(url, account.key.succession(account.successor, account.url, url))

    def order(self, names: Sequence[str], profile: str | None, replaces: str | None) -> AcmeOrder:
        """Place an order. If the CA will not have the certificate that it `replaces`, the order
        goes without it.
        """
        wanted = NewOrder(identifiers=[identifier_of(name) for name in names], profile=profile, replaces=replaces)
        try:
            answer = self._post(self.directory.new_order, payload(wanted))
        except AcmeProblem as problem:
            if replaces is None or not _is_about_predecessor(problem):
                raise
            answer = self._post(self.directory.new_order, payload(wanted.update(replaces=None)))
        return _order(answer.location, answer)

    def order_at(self, url: str) -> AcmeOrder | None:
        """An order that another process has placed; None if it leads to nothing any more."""
        try:
            order = _order(url, self._post(url, QUESTION))
        except AcmeProblem as problem:
            if problem.status in _STATUSES_OF_GONE or problem.type in _NO_SUCH_ORDER:
                return None
            raise
        return None if order.status == "invalid" else replace(order, is_taken_up=True)

    def order_urls(self) -> Iterator[str]:
        """Those of this account that the CA lists (RFC 8555 section 7.1.2.1), page by page. Let's
        Encrypt is among the CAs that list none.
        """
        assert self.account.url is not None  # registered first
        page = self._post(self.account.url, QUESTION).document.get("orders")
        while isinstance(page, str):
            answer = self._post(page, QUESTION)
            yield from listed(answer.body)
            links = parse_header_links(answer.headers.get("Link", ""))
            page = next((urljoin(page, link["url"]) for link in links if link.get("rel") == "next"), None)

    def look(self, order: AcmeOrder) -> AcmeOrder:
        return _order(order.url, self._post(order.url, QUESTION))

    def authorization(self, url: str) -> Authorization:
        """See what the CA knows about a name of an order."""
        answer = self._post(url, QUESTION)
        body = read(messages.Authorization, answer.document, "authorization")
        if body.identifier is None or body.status is None or body.challenges is None:
            raise AcmeDocumentUnreadable("authorization")
        return Authorization(url, body, answer.retry_after)

    def accept(self, proof: Proof) -> None:
        self._post(proof.url, _ACCEPTED)

    def finalize(self, order: AcmeOrder, csr_der: bytes) -> AcmeOrder:
        """Hand in the request for the certificate (PKCS #10)."""
        request = {"csr": encode_b64jose(csr_der)}
        return _order(order.url, self._post(order.body.finalize, json.dumps(request).encode()))

    def chain(self, order: AcmeOrder) -> bytes:
        """Fetch the certificate of a valid order and its chain, in PEM (RFC 8555 section 7.4.2)."""
        if order.body.certificate is None:
            raise AcmeDocumentUnreadable("order with a certificate")
        return self._post(order.body.certificate, QUESTION).body

    def revoke(self, certificate_der: bytes) -> None:
        """Have a certificate revoked because its key is compromised (RFC 8555 section 7.6); one
        that is already is as good.
        """
        if self.directory.revoke_cert is None:
            raise AcmeDocumentUnreadable("ACME directory with a place for revocations")
        request = {"certificate": encode_b64jose(certificate_der), "reason": _KEY_COMPROMISE}
        try:
            self._post(self.directory.revoke_cert, json.dumps(request).encode())
        except AcmeProblem as problem:
            if problem.type != "alreadyRevoked":
                raise

    def renewal_info(self, certificate_id: str) -> AcmeResponse | None:
        """What the CA says about the renewal of a certificate (RFC 9773 section 4.1); not signed.

        None: it has no opinion.
        """
        if self.directory.renewal_info is None:
            return None
        return self._wire.get(f"{self.directory.renewal_info.rstrip('/')}/{certificate_id}")

    def _post(self, url: str, content: bytes) -> AcmeResponse:
        assert self.account.url is not None  # registered first
        signer = partial(self.account.key.signed, account=self.account.url)
        return self._wire.post(url, content, signer, self.directory.new_nonce)


def open_directory(wire: Wire, url: str) -> Directory:
    """Fetch where everything is at a CA. Raises as the methods of `Session`."""
    return directory_of(wire.get(url).document)


def _is_about_predecessor(problem: AcmeProblem) -> bool:
    return problem.type in _NO_SUCH_PREDECESSOR or problem.status in _STATUSES_OF_PREDECESSORS


def _order(url: str, answer: AcmeResponse) -> AcmeOrder:
    body = read(messages.Order, answer.document, "order")
    if body.status is None or body.finalize is None or body.authorizations is None:
        raise AcmeDocumentUnreadable("order")
    return AcmeOrder(url, body, answer.retry_after)
