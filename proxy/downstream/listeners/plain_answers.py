"""The answers to requests without TLS. Pure.

A CA gets the answer to its challenge (http-01, RFC 8555 section 8.3). A client that checks a
certificate of the internal CA gets the list of what that has revoked. Others are sent to https.

Only names of identities are redirected. A redirect to any name in Host would let untrusted clients
send people elsewhere under our name. A challenge is answered under any name, because a CA asks
before an identity has a certificate. No answer has Strict-Transport-Security, which browsers must
ignore without TLS (RFC 6797 section 7.2).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from config.values.addresses import is_covered
from proxy.downstream.requests.glimpse import glimpse
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.http.head import HeadLimits, MalformedMessage, RequestHead, parse_request_head
from proxy.http.target import HTTPS_PORT, Authority, origin_form, parse_authority
from proxy.limits.reasons import RequestReason
from proxy.observe.logs.access_log import TargetRecord

Tokens = Mapping[str, str]
"""Token -> key authorization, of the challenges that are pending."""

Lists = Mapping[str, bytes]
"""Address without its scheme and port -> revocation list in DER, of the internal CAs."""

_CHALLENGE: Final = b"/.well-known/acme-challenge/"
_HTTP_PORT: Final = 80
_ABSOLUTE: Final = re.compile(rb"http://([^/?#]*)(.*)", re.IGNORECASE)
_READING: Final = frozenset({b"GET", b"HEAD"})


@dataclass(frozen=True, slots=True)
class PlainRules:
    """What a configuration says about requests without TLS: its names, and the port of https."""

    names: frozenset[str]
    https_port: int


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    """An answer that is not a refusal: its status line with its own field lines, and its body."""

    status: int
    start: bytes
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class PlainDecision:
    """What a request gets, and what is known of it: no head if it was not understood."""

    answer: PlainAnswer | RequestRefusal
    head: RequestHead | None = None
    target: TargetRecord | None = None
    """With its query, which the log may have to leave out."""


def judgement(raw: bytes, limits: HeadLimits, rules: PlainRules, tokens: Tokens, lists: Lists) -> PlainDecision:
    """Judge a head, from its first byte to its CRLF CRLF."""
    head = None
    try:
        head = parse_request_head(raw, limits)
        hosts = [value for name, value in head.headers if name.lower() == b"host"]
        if len(hosts) != 1:  # RFC 9112 section 3.2
            raise MalformedMessage(400, "not exactly one Host")  # noqa: TRY301 - one way out for all that is malformed
        authority = parse_authority(hosts[0])
        target = origin_form(head.method, _without_origin(head.target, authority), hosts[0])
    except MalformedMessage as error:
        reason = f"{RequestReason.MALFORMED_REQUEST}: {error.reason}"
        return PlainDecision(RequestRefusal(error.status, error.reason, reason), head, glimpse(raw))
    if target.startswith(_CHALLENGE):
        answer = _challenge(head.method, target, tokens)
    elif (found := lists.get((authority.host + target).decode("latin-1"))) is not None and head.method in _READING:
        # RFC 5280 section 4.2.1.13, RFC 2585 section 4.3
        answer = PlainAnswer(200, b"HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\n", found)
    else:
        answer = _https(authority, target, rules)
    path, mark, query = target.decode("latin-1").partition("?")
    shown = TargetRecord(authority.host.decode("ascii"), head.method.decode("ascii"), path, query if mark else None)
    shown.headers = head.headers
    return PlainDecision(answer, head, shown)


def _without_origin(target: bytes, authority: Authority) -> bytes:
    """Turn absolute-form into origin-form: each server has to take it (RFC 9112 section 3.2.2)."""
    if target.startswith(b"/"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise MalformedMessage(400, "invalid request target")
    named = parse_authority(absolute[1])
    rest = absolute[2]
    if (named.host, named.port or _HTTP_PORT) != (authority.host, authority.port or _HTTP_PORT):
        raise MalformedMessage(400, "request target and Host differ")
    return rest if rest.startswith(b"/") else b"/" + rest


def _challenge(method: bytes, target: bytes, tokens: Tokens) -> PlainAnswer | RequestRefusal:
    found = tokens.get(target.removeprefix(_CHALLENGE).decode("ascii", "replace"))
    if found is None or method not in _READING:
        return RequestRefusal(404, "no such challenge is pending", RequestReason.NO_ROUTE)
    return PlainAnswer(200, b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n", found.encode())


def _https(authority: Authority, target: bytes, rules: PlainRules) -> PlainAnswer | RequestRefusal:
    host = authority.host
    if not is_covered(host.decode("ascii"), rules.names):
        return RequestRefusal(404, "nothing is served here", RequestReason.NO_ROUTE)
    port = b"" if rules.https_port == HTTPS_PORT else b":%d" % rules.https_port
    location = b"https://%b%b%b" % (b"[%b]" % host if host.find(b":") >= 0 else host, port, target)
    return PlainAnswer(308, b"HTTP/1.1 308 Permanent Redirect\r\nLocation: %b\r\n" % location)
