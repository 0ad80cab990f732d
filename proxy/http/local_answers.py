"""A request that the proxy answers itself, without a server, and the answer. Pure."""

from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus

from proxy.http.grammar import list_elements
from proxy.http.head import Header


@dataclass(frozen=True, slots=True)
class LocalRequest:
    """What an answer may depend on."""

    method: bytes
    host: bytes
    """In lower case, without port, brackets or final dot."""
    target: bytes
    """In origin-form, with the query."""
    headers: list[Header]
    body: bytes
    """Empty where it is discarded."""


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """An answer that needs no upstream; `fields` are whole lines, none of them about framing."""

    status: int
    body: bytes
    fields: bytes


class WrongMethod(Exception):
    """Answered with 405 and the methods that there are."""

    def __init__(self, allowed: bytes) -> None:
        super().__init__(allowed)
        self.allowed = allowed


def reason_phrase(status: int) -> bytes:
    """The phrase of a status (RFC 9110 section 15), empty for one that has none."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


def has_content(status: int) -> bool:
    """Whether an answer with this status has a body and its length (RFC 9110 section 8.6)."""
    return status not in {204, 304}


def entity_tag(body: bytes) -> bytes:
    """An ETag (RFC 9110 section 8.8.3). The same content has the same in each worker and after a
    restart.
    """
    return b'"%b"' % sha256(body).hexdigest()[:32].encode()


def is_known(etag: bytes, headers: list[Header]) -> bool:
    """Whether the client has this content (RFC 9110 section 13.1.2: by weak comparison)."""
    values = [value for name, value in headers if name.lower() == b"if-none-match"]
    if not values:
        return False
    tags = list_elements(values)
    return tags == [b"*"] or any(tag.removeprefix(b"W/") == etag for tag in tags)
