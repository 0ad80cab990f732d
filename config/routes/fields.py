"""The fields that a `[[route]]` changes: `request_headers` and `response_headers`. Pure."""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from config.values.addresses import Refused
from config.values.kinds import Table


class Variable(StrEnum):
    """What `{NAME}` stands for in the value of a field."""

    CLIENT = "client"
    HOST = "host"
    """The host that was asked for: lower-case, without port."""
    REQUEST_ID = "request_id"
    """The value of X-Request-Id."""
    TLS_GROUP = "tls_group"
    """The group of the key exchange."""


_MOST: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
# Visible ASCII with single spaces and tabs inside: no byte ends the line or begins another one.
_VALUE: Final = re.compile(r"[!-~](?:[ !-~]{0,4094}[!-~])?")
_PART: Final = re.compile(r"\{\{|\}\}|\{([a-z_]*)\}|([{}])")
_AUTHORITY: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}(?::[0-9]{1,5})?")

_FRAMING: Final = "it says where a message ends or how it is coded, and the proxy decides that"
_CONNECTION: Final = "it is about one connection, and the proxy writes it for each of its two"
_FORWARDING: Final = "it tells servers who the client is, and the proxy writes it"
_OURS: Final = "the proxy writes it"

# What no route may touch, and why. The first that fits.
_NEVER: Final = (
    (re.compile("content-length|content-encoding|content-range|transfer-encoding|trailer|expect"), _FRAMING),
    (
        re.compile("connection|keep-alive|proxy|proxy-.*|te|upgrade|http2-settings|sec-websocket-.*"),
        _CONNECTION,
    ),
    (
        re.compile("forwarded|x-forwarded(?!-prefix$).*|client-cert.*|x-client-cert.*|ssl-.*|x-ssl-.*|x-tls-group"),
        _FORWARDING,
    ),
    (re.compile("via|date|x-request-id|payload-.*"), _OURS),
)


def template_parts(text: str) -> Iterator[str | Variable]:
    """Split a field's value into text and variables; `{{` and `}}` are braces. Raises `Refused`."""
    end = 0
    for found in _PART.finditer(text):
        if found.start() > end:
            yield text[end : found.start()]
        end = found.end()
        if found[0] in {"{{", "}}"}:
            yield found[0][0]
        elif found[1] in set(Variable):
            yield Variable(found[1])
        else:
            known = ", ".join(f"{{{one}}}" for one in Variable)
            raise Refused(f'the variables {known}, and "{{{{" and "}}}}" for braces', found=f'"{found[0]}"')
    if end < len(text):
        yield text[end:]


def plain_name(name: str) -> str:
    """The name as gateway interfaces read it: to them X_User is X-User."""
    return re.sub("[^a-z0-9]", "-", name.lower())


def check_field_name(name: str) -> None:
    """Refuse a name that is none, or that the proxy alone may write. Raises `Refused`."""
    if not _NAME.fullmatch(name):
        raise Refused("names of fields (RFC 9110 section 5.1)", found=f'"{name}"')
    for pattern, reason in _NEVER:
        # a gateway interface takes X_Forwarded_For for X-Forwarded-For
        if pattern.fullmatch(plain_name(name)):
            raise Refused(f"other fields: {reason}", found=f'"{name}"')


def fault_of_value(value: str) -> str:
    """What is wrong with the value of a field, without the value, which may be a secret."""
    if not value:
        return "an empty value"
    if value != value.strip(" \t"):
        return "white space at the beginning or the end"
    wrong = next((one for one in value if not " " <= one <= "~"), None)
    if wrong is None:
        return f"a value of {len(value):_} characters"
    return "a line break" if wrong in "\r\n" else f"the character U+{ord(wrong):04X}"


def _parse_values(values: Mapping[str, str]) -> Mapping[str, str]:
    seen: set[str] = set()
    for name, value in values.items():
        check_field_name(name)
        if name.lower() in seen:
            raise Refused("each field once", found=f'"{name}" twice')
        seen.add(name.lower())
        if not _VALUE.fullmatch(value):
            raise Refused(
                "values of 1 to 4,096 visible ASCII characters, with spaces inside",
                found=f'"{name}" with {fault_of_value(value)}',
            )
        for _ in template_parts(value):
            pass  # it raises for what is not a variable
    return values


def _parse_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        check_field_name(name)
    if len({name.lower() for name in names}) != len(names):
        raise Refused("each field once")
    return names


Values = Annotated[dict[str, str], AfterValidator(_parse_values), Field(max_length=_MOST)]


class FieldsConfig(Table):
    """Fields that a route changes: `remove` comes first, then `set`, then `add`.

    `set` takes the place of fields of the name, `add` stands beside them.
    """

    set: Values = Field(default_factory=dict)
    add: Values = Field(default_factory=dict)
    remove: Annotated[tuple[str, ...], AfterValidator(_parse_names), Field(max_length=_MOST)] = ()

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.set or self.add or self.remove):
            raise Refused("set, add or remove", found="a table that changes nothing")
        return self


def _parse_request_fields(fields: FieldsConfig) -> FieldsConfig:
    host = [value for name, value in fields.set.items() if name.lower() == "host"]
    if host and not _AUTHORITY.fullmatch(host[0]):
        raise Refused("one host as Host, such as chat.internal:8080", found=f'set.Host = "{host[0]}"')
    if any(name.lower() == "host" for name in (*fields.add, *fields.remove)):
        raise Refused("Host in set only: a request has exactly one", found="Host in add or remove")
    return fields


def _parse_response_fields(fields: FieldsConfig) -> FieldsConfig:
    if any(name.lower() == "host" for name in (*fields.set, *fields.add, *fields.remove)):
        raise Refused("fields of responses", found="Host")
    return fields


RequestFieldsConfig = Annotated[FieldsConfig, AfterValidator(_parse_request_fields)]
ResponseFieldsConfig = Annotated[FieldsConfig, AfterValidator(_parse_response_fields)]
