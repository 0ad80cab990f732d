"""Messages to and from a CA: those of the `acme` library, with additions. Pure.

`acme` writes a message without fields as an empty body, which means POST-as-GET. So `payload` makes
the bytes of every message here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, TypeVar

from acme import messages
from josepy.errors import DeserializationError
from josepy.interfaces import JSONDeSerializable
from josepy.json_util import JSONObjectWithFields, field

QUESTION: Final = b""
"""POST-as-GET (RFC 8555 section 6.3)."""

# Of authorizations (RFC 8555 section 7.1.6); `acme` refuses to read what has a status that it was
# never reported.
EXPIRED: Final = messages.Status("expired")

Message = TypeVar("Message", bound=JSONObjectWithFields)


class AcmeDocumentUnreadable(Exception):
    """A document of a CA that is not `what` it should be."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"an answer that is not a valid {self.what}"


class NewOrder(messages.NewOrder):
    """An order that says which certificate it takes the place of (RFC 9773 section 5)."""

    replaces: str = field("replaces", omitempty=True)


@dataclass(frozen=True, slots=True)
class Directory:
    """The addresses of a CA (RFC 8555 section 7.1.1)."""

    new_nonce: str
    new_account: str
    new_order: str
    revoke_cert: str | None
    key_change: str | None
    renewal_info: str | None
    """RFC 9773 section 4: None for a CA that has no opinion on renewals."""
    profiles: frozenset[str]
    """Names of certificate profiles (draft-ietf-acme-profiles); empty for a CA that has none."""
    needs_binding: bool
    """Whether accounts have to be bound to external ones (RFC 8555 section 7.3.4)."""


def directory_of(document: Mapping[str, Any]) -> Directory:
    """Read a directory. Raises `AcmeDocumentUnreadable`."""
    try:
        read = messages.Directory.from_json(dict(document))
        meta = read["meta"]
        renewal_info = document.get("renewalInfo")
        revoke_cert = document.get("revokeCert")
        key_change = document.get("keyChange")
        nonce, account, order = (read[name] for name in ("newNonce", "newAccount", "newOrder"))
    except (KeyError, TypeError, ValueError, AttributeError, DeserializationError):
        raise AcmeDocumentUnreadable("ACME directory") from None
    if not all(isinstance(one, str) for one in (nonce, account, order)):
        raise AcmeDocumentUnreadable("ACME directory")
    return Directory(
        new_nonce=nonce,
        new_account=account,
        new_order=order,
        revoke_cert=revoke_cert if isinstance(revoke_cert, str) else None,
        key_change=key_change if isinstance(key_change, str) else None,
        renewal_info=renewal_info if isinstance(renewal_info, str) else None,
        profiles=frozenset(meta.profiles) if isinstance(meta.profiles, Mapping) else frozenset(),
        needs_binding=bool(meta.external_account_required),
    )


def read(kind: type[Message], document: Mapping[str, Any], what: str) -> Message:
    """Read an answer. Raises `AcmeDocumentUnreadable`."""
    try:
        message: Message = kind.from_json(document)
    except (DeserializationError, KeyError, TypeError, ValueError, AttributeError):
        raise AcmeDocumentUnreadable(what) from None
    return message


def listed(body: bytes) -> list[str]:
    """The URLs of a list of orders (RFC 8555 section 7.1.2.1). Raises `AcmeDocumentUnreadable`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    urls = document.get("orders") if isinstance(document, dict) else document  # step-ca sends the bare array
    if not isinstance(urls, list) or not all(isinstance(one, str) for one in urls):
        raise AcmeDocumentUnreadable("list of orders")
    return urls


def payload(message: JSONDeSerializable) -> bytes:
    """Write a message; one without fields is an empty object (RFC 8555 section 7.5.1)."""
    return json.dumps(message.to_json()).encode()


def identifier_of(name: str) -> messages.Identifier:
    """A DNS name (with `*.` for a wildcard, RFC 8555 section 7.1.3) or an IP address (RFC 8738
    section 3).
    """
    try:
        ip_address(name)
    except ValueError:
        return messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name)
    return messages.Identifier(typ=messages.IDENTIFIER_IP, value=name)
