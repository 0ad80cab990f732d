"""What a `[[route]]` may ask of a request beside host and path. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from config.values.addresses import Refused

# The methods that are served: `proxy.http.head.METHODS`, which a test compares.
_METHODS = (
    "GET HEAD POST PUT DELETE OPTIONS PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH MKCALENDAR ACL"
)
METHODS = frozenset(_METHODS.split())
ANY_VALUE = "*"

_FIELD_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_FIELD_VALUE = re.compile(r"[!-+\--~](?:[ -+\--~]{0,254}[!-+\--~])?")
_PARAMETER = re.compile(r"[A-Za-z0-9._~-]{1,64}")
# They are about the connection, decide on framing or routing, or are removed from untrusted
# clients, so a condition on them would hold never or always.
_NO_CONDITION = re.compile(
    "connection|content-length|cookie|expect|forwarded|host|http2-settings|keep-alive|proxy"
    "|proxy-.*|sec-websocket-.*|te|trailer|transfer-encoding|true-client-ip|upgrade|via|x-client-ip"
    "|x-cluster-client-ip|x-original-(url|uri|method|host)|x-rewrite-url|x-real-ip|x-request-id|x-tls-group|(x-forwarded|client-cert|x-client-cert|ssl-|x-ssl-).*"
)
_MOST = 8


def _parse_methods(value: tuple[str, ...]) -> tuple[str, ...]:
    for method in value:
        if method not in METHODS:
            allowed = 'methods that are served, in upper case, such as "GET" and "POST"'
            raise Refused(allowed, found=f'"{method}"')
    if len(set(value)) != len(value):
        raise Refused("each method once")
    return tuple(sorted(value))


def _parse_headers(value: Mapping[str, str]) -> Mapping[str, str]:
    parsed: dict[str, str] = {}
    for name, wanted in value.items():
        lowered = name.lower()
        if not _FIELD_NAME.fullmatch(name):
            raise Refused("names of fields: letters, digits and hyphens", found=f'"{name}"')
        if _NO_CONDITION.fullmatch(lowered):
            raise Refused("fields that go from the client to the server as they are", found=f'"{name}"')
        if lowered in parsed:
            raise Refused("each field once", found=f'"{name}" twice')
        if wanted != ANY_VALUE and not _FIELD_VALUE.fullmatch(wanted):
            raise Refused(
                f'"{ANY_VALUE}" for any value, or one value without comma in visible ASCII, of at most 256 characters',
                found=f'"{name}" with another value',
            )
        parsed[lowered] = wanted
    return dict(sorted(parsed.items()))


def _parse_query(value: Mapping[str, str]) -> Mapping[str, str]:
    for name, wanted in value.items():
        if not _PARAMETER.fullmatch(name) or (wanted != ANY_VALUE and not _PARAMETER.fullmatch(wanted)):
            raise Refused(
                f'names and values of up to 64 letters, digits and "-._~", which no server decodes, or "{ANY_VALUE}"'
                " for any value",
                found=f'"{name}" = "{wanted}"',
            )
    return dict(sorted(value.items()))


def with_head(methods: Iterable[str]) -> frozenset[str]:
    """The methods, and HEAD wherever GET is among them (RFC 9110 section 9.3.2)."""
    return frozenset(methods) | ({"HEAD"} if "GET" in methods else set())


Methods = Annotated[tuple[str, ...], AfterValidator(_parse_methods), Field(min_length=1)]
HeaderConditions = Annotated[dict[str, str], AfterValidator(_parse_headers), Field(min_length=1, max_length=_MOST)]
QueryConditions = Annotated[dict[str, str], AfterValidator(_parse_query), Field(min_length=1, max_length=_MOST)]
