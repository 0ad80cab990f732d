"""The head of an answer on a payload route. Pure.

An encrypted answer must not tell how its content was coded or ranged before, nor digests of it
(they would reveal the plaintext), nor that every cache may keep it. It has to tell
`Content-Encoding`, `Vary`, and to scripts of other origins the names of our fields.
"""

from collections.abc import Container, Iterable
from typing import Final

from proxy.http.grammar import list_elements

OUR_REQUEST_FIELDS: Final = (
    b"Content-Encoding",
    b"Payload-Key",
    b"Payload-Session",
    b"Payload-Accept",
    b"Payload-Nonce",
)
OUR_ANSWER_FIELDS: Final = (b"Content-Encoding", b"Payload-Key", b"Payload-Plain")
PLAIN_MARK: Final = b"Payload-Plain: proxy\r\n"
"""Marks an answer of the proxy itself: it is not encrypted, and nothing in it is authentic."""

# The fields that a page may read, beside those that Fetch always lets it read.
_EXPOSED: Final = b"Payload-Plain, Retry-After, X-Request-Id"

_VARY: Final = (b"Accept-Encoding", b"Payload-Key", b"Payload-Session")
_REMOVED: Final = frozenset(
    b"accept-ranges content-range content-md5 digest content-digest repr-digest etag cache-control vary content-encoding"
    b" expires pragma payload-key payload-plain".split()
)


def refusal_lines(origin: bytes | None, allowed: Container[bytes]) -> bytes:
    """The lines of an answer of the proxy itself to a page of an origin.

    A page may read the answer to a request with cookies too, because cookies do not change the
    answer.
    """
    if origin is None or origin not in allowed:
        return PLAIN_MARK
    return (
        b"%bAccess-Control-Allow-Origin: %b\r\nAccess-Control-Allow-Credentials: true\r\n"
        b"Access-Control-Expose-Headers: %b\r\nVary: Origin\r\n" % (PLAIN_MARK, origin, _EXPOSED)
    )


def plain_lines(lines: Iterable[bytes]) -> list[bytes]:
    """The lines of an answer that is sent as it came: another request might get it encrypted."""
    return _with_cors([*_without(lines, frozenset({b"vary", b"payload-plain"})), _vary(_list(lines, b"vary"))])


def sealed_lines(lines: list[bytes], coding: bytes, key: bytes) -> list[bytes]:
    """The lines of an encrypted answer.

    `coding` is empty for an answer without content. `key` names ring and version, or is empty.
    """
    kept = _without(lines, _REMOVED)
    for line in lines:
        name, value = _split(line)
        if name == b"etag":
            # RFC 9110 8.8.1: two encryptions of one content are equal in meaning, not in octets
            kept.append(b"ETag: %b\r\n" % (value if value.startswith(b"W/") else b"W/" + value))
    codings = [*_list(lines, b"content-encoding"), *([coding] if coding else [])]
    if codings:
        kept.append(b"Content-Encoding: %b\r\n" % b", ".join(codings))
    if key:
        kept.append(b"Payload-Key: %b\r\n" % key)
    kept.append(b"Cache-Control: %b\r\n" % _cache_control(_list(lines, b"cache-control")))
    kept.append(_vary(_list(lines, b"vary")))
    return _with_cors(kept)


def _cache_control(said: list[bytes]) -> bytes:
    """RFC 9111 5.2.2: keep a value that has no-store, which may say more; replace any other."""
    return b", ".join(said) if b"no-store" in [one.lower() for one in said] else b"no-store"


def _vary(said: list[bytes]) -> bytes:
    if b"*" in said:
        return b"Vary: *\r\n"
    return b"Vary: %b\r\n" % b", ".join(_union(said, _VARY))


def _with_cors(lines: list[bytes]) -> list[bytes]:
    """Name our fields if the backend lets a page of another origin read its answer (Fetch 3.3)."""
    names = {_split(line)[0] for line in lines}
    if b"access-control-allow-origin" not in names:
        return lines
    wanted: dict[bytes, tuple[bytes, tuple[bytes, ...]]] = {
        b"access-control-expose-headers": (b"Access-Control-Expose-Headers", OUR_ANSWER_FIELDS)
    }
    if b"access-control-allow-methods" in names or b"access-control-allow-headers" in names:
        # the answer to a preflight; many backends say this in every answer, so the names above are
        # needed beside it
        wanted[b"access-control-allow-headers"] = (b"Access-Control-Allow-Headers", OUR_REQUEST_FIELDS)
    kept = _without(lines, frozenset(wanted))
    for lowered, (name, ours) in wanted.items():
        kept.append(b"%b: %b\r\n" % (name, b", ".join(_union(_list(lines, lowered), ours))))
    return kept


def _union(said: list[bytes], ours: Iterable[bytes]) -> list[bytes]:
    known = {one.lower() for one in said}
    return [*said, *(one for one in ours if one.lower() not in known)]


def _without(lines: Iterable[bytes], names: frozenset[bytes]) -> list[bytes]:
    return [line for line in lines if _split(line)[0] not in names]


def _list(lines: Iterable[bytes], name: bytes) -> list[bytes]:
    return list_elements([value for found, value in map(_split, lines) if found == name])


def _split(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()
