"""What the proxy answers itself on hosts with sessions: its keys, and tickets. Pure.

Both are public and read no cookie, so scripts of every origin may use them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxy.http.local_answers import LocalAnswer, LocalRequest, WrongMethod, entity_tag, is_known
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.sessions import Agreed, Opening, Sessions, decoded

if TYPE_CHECKING:
    from proxy.limits.request_rates import RequestRate

KEYS_PATH: Final = "/.well-known/payload-keys"
SESSIONS_PATH: Final = "/.well-known/payload-sessions"
REQUEST_BYTES: Final = 65_536
"""Far above the message of any suite."""

FOR_EVERY_ORIGIN: Final = (
    b"Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After, X-Request-Id\r\n"
)
"""Field lines of every answer."""

_JSON: Final = b"application/json"


@dataclass(frozen=True, slots=True)
class SlowAnswer:
    """An answer whose `secret` a thread has to compute; `rate` limits how often."""

    rate: "RequestRate"
    secret: Callable[[], bytes]
    """Raises `MessageUnreadable`."""
    answer: Callable[[bytes], LocalAnswer]


def key_endpoint(document: bytes) -> Callable[[LocalRequest, float], LocalAnswer]:
    """`GET /.well-known/payload-keys`.

    A key of Classic McEliece makes the document 0.9 MB, so a client may keep it. It asks each time
    whether the keys are still the same (RFC 9111 section 5.2.2.4): a revoked one is gone at once.
    """
    tag = entity_tag(document)
    fields = b"Cache-Control: no-cache\r\nETag: %b\r\n%b" % (tag, FOR_EVERY_ORIGIN)
    whole = LocalAnswer(200, document, b"Content-Type: %b\r\n%b" % (_JSON, fields))
    unchanged = LocalAnswer(304, b"", fields)

    def answer(request: LocalRequest, _now: float) -> LocalAnswer:
        match request.method:
            case b"GET" | b"HEAD":
                return unchanged if is_known(tag, request.headers) else whole
            case b"OPTIONS":
                return _preflight(b"GET")
            case _:
                raise WrongMethod(b"GET, HEAD, OPTIONS")

    return answer


def session_endpoint(
    sessions: Sessions, slow_rate: "RequestRate"
) -> Callable[[LocalRequest, float], LocalAnswer | SlowAnswer]:
    """`POST /.well-known/payload-sessions`; `slow_rate` is that of suites that take a thread."""

    def answer(request: LocalRequest, now: float) -> LocalAnswer | SlowAnswer:
        match request.method:
            case b"POST":
                found = _established(sessions, request.body, now)
                if isinstance(found, Opening):
                    agreed = found.agreed
                    return SlowAnswer(slow_rate, found.secret, lambda secret: _ticket(agreed(secret)))
                return _ticket(found)
            case b"OPTIONS":
                return _preflight(b"POST")
            case _:
                raise WrongMethod(b"POST, OPTIONS")

    return answer


def _established(sessions: Sessions, body: bytes, now: float) -> Agreed | Opening:
    try:
        asked = json.loads(body)
        suite = asked["suite"]
        version = asked["key"]
        message = decoded(asked["message"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PayloadFault(Cause.BAD_HANDSHAKE) from None
    if not isinstance(suite, str) or not isinstance(version, int):
        raise PayloadFault(Cause.BAD_HANDSHAKE)
    return sessions.establish(suite, version, message, now)


def _ticket(agreed: Agreed) -> LocalAnswer:
    return _answer(json.dumps({"ticket": agreed.ticket.decode(), "expires": agreed.expires}).encode())


def _answer(body: bytes) -> LocalAnswer:
    return LocalAnswer(200, body, b"Content-Type: %b\r\nCache-Control: no-store\r\n%b" % (_JSON, FOR_EVERY_ORIGIN))


def _preflight(method: bytes) -> LocalAnswer:
    fields = (
        b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: %b\r\n"
        b"Access-Control-Allow-Headers: Content-Type\r\nCache-Control: no-store\r\n" % method
    )
    return LocalAnswer(204, b"", fields)
