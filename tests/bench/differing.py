"""Requests and answers that repeat, or differ as those of users do: in values that no message had before.

All have the same fields. What differs says the name of a request, and the path that it asks for: the upstream answers below
`/up/same` with the same fields each time, and below `/up/new` with others.
"""

from collections.abc import Sequence
from typing import Final

from tests.bench.exchanges import Exchange, Kind, request
from tests.bench.messages import NEW, NOW, Message

_KNOWN: Final = "3b9ac9ff3b9ac9ff"
_LENGTHS: Final = range(126, 142)
_POSTED: Final = range(900, 1_150, 16)


def _fields(value: str) -> str:
    """Two fields with values of their own, as clients send that revalidate and that are traced."""
    return f'If-None-Match: "{value}"\ntraceparent: 00-4bf92f3577b34da6{value}-00f067aa0ba902b7-01\n'


SAME: Final = request("same", "GET /up/same/messages", _fields(_KNOWN))
PATH: Final = request("path", f"GET /up/same/messages?before={NEW}", _fields(_KNOWN))
FIELDS: Final = request("fields", "GET /up/same/messages", _fields(NEW))
ANSWER: Final = request("answer", "GET /up/new/messages", _fields(_KNOWN))
BOTH: Final = request("both", "GET /up/new/messages", _fields(NEW))
"""What users send."""


def _post(size: int, path: str, value: str, content: str) -> Exchange:
    body = b'{"text":"' + content.encode().ljust(size - 11, b"x") + b'"}'
    further = f"Content-Type: application/json\nContent-Length: {size}\nOrigin: https://localhost\n"
    return request("posted", f"POST {path}", further + _fields(value), body)


POSTED_BYTES: Final = 1_024
POST_SAME: Final = _post(POSTED_BYTES, "/up/same/messages", _KNOWN, "")
POST_NEW: Final = Exchange(
    "post-new",
    Kind.HTTP,
    [one for size in _POSTED for one in _post(size, f"/up/new/messages/{NEW}", NEW, NEW).messages],
)
"""A path, two fields, a length, a body and an answer of its own."""


def answer(status: str, body: bytes, *fields: str) -> bytes:
    """An answer of a server for chats."""
    lines = [f"HTTP/1.1 {status}", "Server: chat", f"Date: {NOW}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _message(size: int, value: str) -> bytes:
    body = b'{"text":"' + b"x" * (size - 11) + b'"}'
    known = ("Content-Type: application/json", "Cache-Control: no-cache", "Vary: Origin")
    return answer("200 OK", body, *known, f'ETag: "{value}"', f"X-Request-Id: {value}")


ANSWERS: Final[Sequence[Message]] = [
    Message("* /up/same/*", _message(126, _KNOWN)),
    *[Message("* /up/new/*", _message(size, NEW)) for size in _LENGTHS],
]
