"""Problem documents of a CA (RFC 8555 section 6.7, RFC 9457): whether to retry, and the sentence to
log. Pure.

The text of a CA is foreign: it is truncated and made printable before it is logged.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from certs.issuing.issuer import FailureKind, IssueFailed

_PREFIX: Final = "urn:ietf:params:acme:error:"
_LONGEST_TEXT: Final = 300
_MOST_SUBPROBLEMS: Final = 16
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]+")
# An absurd header must not stop renewals for years: a 47-day certificate needs a retry within days.
_LONGEST_RETRY_SECONDS: Final = 7 * 86_400.0

_TOO_MANY_REQUESTS: Final = 429  # RFC 6585 section 4
_SERVER_ERRORS: Final = range(500, 600)
# Errors of RFC 8555 section 6.7 that come back until the configuration or the account is changed.
_PERMANENT: Final = frozenset(
    {
        "accountDoesNotExist",
        "badCSR",
        "badPublicKey",
        "badSignatureAlgorithm",
        "externalAccountRequired",
        "invalidContact",
        "invalidProfile",  # draft-ietf-acme-profiles
        "malformed",
        "rejectedIdentifier",
        "unsupportedContact",
        "unsupportedIdentifier",
        "userActionRequired",
    }
)


@dataclass(frozen=True, slots=True)
class Subproblem:
    """What is wrong with one name of an order (RFC 8555 section 6.7.1)."""

    type: str
    detail: str
    name: str | None


class AcmeProblem(Exception):
    """A CA refuses a request.

    `type` is the name after `urn:ietf:params:acme:error:`, complete for other URNs, empty without a
    document. `retry_after`: seconds from the header Retry-After, or None.
    """

    def __init__(
        self,
        status: int,
        type_: str,
        detail: str,
        retry_after: float | None = None,
        subproblems: Sequence[Subproblem] = (),
    ) -> None:
        super().__init__(status, type_, detail)
        self.status = status
        self.type = type_
        self.detail = detail
        self.retry_after = retry_after
        self.subproblems = tuple(subproblems)

    def __str__(self) -> str:
        told = [_clause(self.type or f"status {self.status}", None, self.detail)]
        told += [_clause(one.type, one.name, one.detail) for one in self.subproblems]
        return "; ".join(told)

    @property
    def kind(self) -> FailureKind:
        types = {self.type, *(one.type for one in self.subproblems)}
        if "rateLimited" in types or self.status == _TOO_MANY_REQUESTS:
            return FailureKind.RATE_LIMITED
        if self.status not in _SERVER_ERRORS and types & _PERMANENT:
            return FailureKind.PERMANENT
        return FailureKind.TEMPORARY

    def as_failure(self, issuer: str, about: str) -> IssueFailed:
        """The same for the rotation; `about` is what was asked for."""
        return IssueFailed(self.kind, f"{issuer}: {about}: {self}", self.retry_after)


def _clause(type_: str, name: str | None, detail: str) -> str:
    subject = type_ if name is None else f"{type_} for {name}"
    return f"{subject} ({detail})" if detail else subject


def problem_of(status: int, document: object, retry_after: float | None = None) -> AcmeProblem:
    """Read an error answer. `document` may be of any type: it is foreign."""
    if not isinstance(document, Mapping):
        return AcmeProblem(status, "", "", retry_after)
    listed = document.get("subproblems")
    subproblems = [_subproblem(one) for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    return AcmeProblem(status, _type(document), _detail(document), retry_after, subproblems[:_MOST_SUBPROBLEMS])


def _subproblem(document: Mapping[str, Any]) -> Subproblem:
    identifier = document.get("identifier")
    name = printable(identifier.get("value")) if isinstance(identifier, Mapping) else ""
    return Subproblem(_type(document), _detail(document), name or None)


def _type(document: Mapping[str, Any]) -> str:
    return printable(document.get("type")).removeprefix(_PREFIX)


def _detail(document: Mapping[str, Any]) -> str:
    return printable(document.get("detail")) or printable(document.get("title"))


def printable(text: object) -> str:
    """A foreign text on one line, in ASCII, truncated; empty if it is not text."""
    if not isinstance(text, str):
        return ""
    clean = _UNPRINTABLE.sub(" ", text).strip()
    return clean if len(clean) <= _LONGEST_TEXT else f"{clean[:_LONGEST_TEXT]}..."


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Read Retry-After (RFC 9110 section 10.2.3: seconds, or a date), from `now` on; None where it
    says nothing.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:12])  # more digits than any time has
    else:
        try:
            seconds = (parsedate_to_datetime(text) - now).total_seconds()
        except (TypeError, ValueError):  # no date; one without a zone cannot be compared
            return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_SECONDS)
