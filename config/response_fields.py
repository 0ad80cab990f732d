"""Fields that a configuration may put into an answer. Pure."""

import re

from config.addresses import Refused
from config.problems import shown

# RFC 9110 5.6.2 and 5.5: a token, and visible characters with spaces between them. The value is
# ASCII, because clients disagree about other octets.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")

_FRAMING = frozenset(
    {"connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-authentication-info"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"}
    | {f"sec-websocket-{of}" for of in ("accept", "extensions", "protocol", "key", "version")}
)
"""They say where a message ends, or are about one connection (RFC 9110 7.6.1).

The proxy alone writes them: with a wrong one, a client takes a part of an answer for the next one.
"""
_OURS = frozenset({"date", "x-request-id"})
"""The proxy writes these into each answer."""


def parse_response_field_name(name: str) -> str:
    """Check the name of a field. Raises `Refused`."""
    if not _NAME.fullmatch(name):
        raise Refused('the name of a field, such as "Cache-Control"', found=shown(name))
    if name.lower() in _FRAMING:
        raise Refused(
            "no field about the connection or the length of a message: the proxy writes it", found=shown(name)
        )
    if name.lower() in _OURS:
        raise Refused("no such field: the proxy writes it into each answer", found=shown(name))
    return name


def parse_response_field_value(value: object) -> str:
    """Check the value of a field. Raises `Refused`."""
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise Refused("text in ASCII in one line, without white space at its ends")
    return value


def parse_response_fields(value: object) -> dict[str, str]:
    """Check a table of names and values. Raises `Refused`."""
    if not isinstance(value, dict):
        raise Refused('a table of fields, such as { Cache-Control = "no-store" }')
    fields: dict[str, str] = {}
    seen: set[str] = set()
    for name, content in value.items():
        parse_response_field_name(name)
        if name.lower() in seen:
            raise Refused("each field once", found=f"{shown(name)} again")
        seen.add(name.lower())
        try:
            fields[name] = parse_response_field_value(content)
        except Refused as error:
            raise Refused(f"for {name} {error.allowed}", found="another value") from None
    return fields
