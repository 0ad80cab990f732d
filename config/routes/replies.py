"""The shape of what a route answers itself: `respond` and `redirect`. Pure."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from config.routes.fields import check_field_name, fault_of_value
from config.values.addresses import Refused
from config.values.kinds import FilePath, Table
from config.values.problems import shown

# RFC 9110: these have no content (15.3.5, 15.3.6, 15.4.5).
_WITHOUT_BODY = frozenset({204, 205, 304})
# 206 answers a Range, which is not supported; 426 needs the fields of an upgrade.
_NOT_OURS = frozenset({206, 426})
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_BODY = 65_536
"""Characters of `body`: a longer text is hard to read in a configuration, so a file is better."""

# RFC 9110 5.5. Clients disagree about octets beyond ASCII.
_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")

# RFC 3986 appendix A, the characters of a URI without the braces of our placeholders.
_REST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?#-]|%[0-9A-Fa-f]{2}|\{(?:path|query|host)\})*")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_AUTHORITY = re.compile(rf"(?:(?:{_LABEL}\.)*(?:{_LABEL}\.?|\{{host\}})|\[[0-9A-Fa-f:.]+\])(?::(?:[1-9][0-9]{{0,4}}))?")
# A path that follows another slash would begin an authority: "//evil.example" (RFC 3986 4.2).
_BEGINS_AUTHORITY = re.compile(r"/(?:[/\\]|\{path\})")
# The end of an authority.
_AUTHORITY_END = re.compile(r"[/?#]|\{path\}|\{query\}")


def _parse_status(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599 or value in _NOT_OURS:
        raise Refused("a final status from 200 to 599, without 206 and 426, which need more than an answer")
    return value


def _parse_body(value: str) -> str:
    if len(value) > _MOST_BODY:
        raise Refused(f"at most {_MOST_BODY:_} characters, or a file", found=f"a text of {len(value):_} characters")
    return value


def _parse_redirect_status(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in _REDIRECTS:
        raise Refused("301, 302, 303, 307 or 308 (308 keeps method and body, and browsers remember it)")
    return value


def _parse_fields(fields: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in fields.items():
        check_field_name(name)
        if name.lower() == "etag":
            raise Refused('no "ETag": the proxy makes it from the body', found=shown(name))
        if not _VALUE.fullmatch(value):
            raise Refused(
                "text in ASCII in one line, without white space at its ends",
                found=f"{shown(name)} with {fault_of_value(value)}",
            )
    if len({name.lower() for name in fields}) != len(fields):
        raise Refused("each field once")
    return fields


def _parse_target(value: str) -> str:
    scheme = next((one for one in ("https://", "http://") if value.startswith(one)), "")
    rest = value.removeprefix(scheme)
    if scheme:
        end = _AUTHORITY_END.search(rest)
        authority, rest = (rest, "") if end is None else (rest[: end.start()], rest[end.start() :])
        if not _AUTHORITY.fullmatch(authority):
            raise Refused('a host behind the scheme, with {host} only as its end, such as "https://new.example{path}"')
    elif not value.startswith("/") or _BEGINS_AUTHORITY.match(value):
        raise Refused('"https://HOST..." or a path that starts with one "/" and fixed text, such as "/new{path}"')
    if not _REST.fullmatch(rest):
        raise Refused("a URL in ASCII with no placeholder but {path}, {query} and {host}")
    return value


class RespondConfig(Table):
    """`route.respond`: an answer that needs no server: `status`, `headers`, and a body as text or
    in a file.
    """

    status: Annotated[int, PlainValidator(_parse_status)] = 200
    headers: Annotated[dict[str, str], AfterValidator(_parse_fields)] = Field(default_factory=dict, max_length=32)
    body: Annotated[str, AfterValidator(_parse_body)] | None = None
    file: FilePath | None = None

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        if self.body is not None and self.file is not None:
            raise Refused("either body or file", found="body and file", about=("body", "file"))
        for key in ("body", "file"):
            if getattr(self, key) is not None and self.status in _WITHOUT_BODY:
                found = f"{key} together with status {self.status}"
                phrase = HTTPStatus(self.status).phrase
                raise Refused(f"no {key}: {self.status} {phrase} has no content", found=found, about=(key, "status"))
        return self


class RedirectConfig(Table):
    """`route.redirect`: the URL that a client is sent to, with {path}, {query} and {host}."""

    to: Annotated[str, AfterValidator(_parse_target)]
    status: Annotated[int, PlainValidator(_parse_redirect_status)] = 308
