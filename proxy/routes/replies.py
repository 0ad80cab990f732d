"""An answer of fixed content: `respond` of a route. Pure."""

from collections.abc import Collection, Mapping
from typing import Final

from proxy.http.head import Header
from proxy.http.local_answers import LocalAnswer, LocalRequest, WrongMethod, entity_tag, is_known

MOST_BYTES: Final = 1_048_576
"""Each worker keeps the content in memory. A server can send longer files in parts."""

_SAFE: Final = (b"GET", b"HEAD")
_OK = 200
_NO_CONTENT = 204
_NOT_MODIFIED = 304
_CORS: Final = b"access-control-"
_ALLOW_ORIGIN: Final = b"access-control-allow-origin"
_ALLOW_METHODS: Final = b"access-control-allow-methods"
_CONTENT_TYPE: Final = b"content-type"

_TEXT: Final = "; charset=utf-8"
_TYPES: Final = {
    "asc": "text/plain",
    "avif": "image/avif",
    "css": "text/css",
    "gif": "image/gif",
    "htm": "text/html",
    "html": "text/html",
    "ico": "image/x-icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff2": "font/woff2",
    "xml": "application/xml",
}
"""By the ending of a name. The table of the system would differ from machine to machine."""


def content_type_of(name: str) -> bytes:
    """The Content-Type of a file, which is a download if its ending says nothing."""
    found = _TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
    return (found + _TEXT if found.startswith("text/") else found).encode()


class Reply:
    """One answer for all requests."""

    def __init__(
        self,
        status: int,
        headers: Mapping[bytes, bytes],
        content_type: bytes,
        body: bytes,
        methods: Collection[bytes] = (),
    ) -> None:
        """`content_type` holds unless `headers` have one, and only if there is a body.

        `methods` are those that get the answer, GET and HEAD if there are none. If `headers` let
        scripts of other origins read it, OPTIONS tells them so, unless `methods` leave it out.
        """
        names = {name.lower() for name in headers}
        given: list[Header] = [*headers.items()]
        if body and _CONTENT_TYPE not in names:
            given.insert(0, (b"Content-Type", content_type))
        allowed = set(methods or _SAFE)
        self._preflight: LocalAnswer | None = None
        self._etag = b""
        if status == _OK:
            self._etag = entity_tag(body)
            given.append((b"ETag", self._etag))
        if _ALLOW_ORIGIN in names and (not methods or b"OPTIONS" in methods):
            told = b", ".join(sorted(allowed - {b"OPTIONS"}))
            allowed.add(b"OPTIONS")
            self._preflight = LocalAnswer(_NO_CONTENT, b"", _preflight_lines(headers, told))
        self._methods: Final = frozenset(allowed)
        self._answer: Final = LocalAnswer(status, body, _lines(given))
        kept = [header for header in given if header[0].lower() != _CONTENT_TYPE]
        self._unchanged: Final = LocalAnswer(_NOT_MODIFIED, b"", _lines(kept))

    def answer(self, request: LocalRequest, now: float) -> LocalAnswer:
        """Answer a request. Raises `WrongMethod`."""
        del now
        method = request.method
        if method not in self._methods:
            raise WrongMethod(b", ".join(sorted(self._methods)))
        if method == b"OPTIONS" and self._preflight is not None:
            return self._preflight
        if self._etag and method in _SAFE and is_known(self._etag, request.headers):
            return self._unchanged
        return self._answer


def _preflight_lines(headers: Mapping[bytes, bytes], methods: bytes) -> bytes:
    """What a preflight is told (Fetch section 3.3): the fields about other origins, and methods."""
    given = [header for header in headers.items() if header[0].lower().startswith(_CORS)]
    if all(name.lower() != _ALLOW_METHODS for name, _ in given):
        given.append((b"Access-Control-Allow-Methods", methods))
    return _lines([*given, (b"Allow", b"%b, OPTIONS" % methods)])


def _lines(headers: list[Header]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
