"""The errors that the proxy answers requests with. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from proxy.downstream.requests.answer_writer import OwnAnswer
from proxy.downstream.requests.glimpse import glimpse
from proxy.http.head import MalformedMessage, RequestHead
from proxy.http.problems import TITLES, prefers_html, problem_response
from proxy.limits.reasons import RequestReason
from proxy.observe.logs.access_log import TargetRecord
from proxy.payload.messages.causes import Cause
from proxy.routes.error_pages import ErrorPage, ErrorPages
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault

# Fields that a status must or should bring with it.
_EXTRA_FIELDS: Final = {
    # RFC 9110 section 15.5.2: a challenge about which browsers do not ask their users
    401: b"WWW-Authenticate: Payload\r\n",
    # RFC 9110 section 12.5.3: what the route would take
    415: b"Accept-Encoding: fernet, fernet-stream\r\n",
    # RFC 6455 section 4.4, RFC 9110 section 15.5.22
    426: b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    # RFC 9110 section 15.6.4: soon, as the cause is usually a restart or a burst
    503: b"Retry-After: 1\r\n",
}
# A WebSocket that was refused for want of room: others last, so not as soon as after a restart.
_ROOM_SECONDS: Final = 5


class SealedBodyRefused(MalformedMessage):
    """A body that payload encryption does not take."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.status, cause.detail)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer of an authorization server, which the client gets as it is."""

    reason: bytes
    lines: bytes
    """Whole field lines, without those about the connection."""
    body: bytes
    noted: frozenset[bytes]
    """Which fields of ours the lines have already, in lower case: Date, X-Request-Id."""


@dataclass(frozen=True, slots=True)
class RequestRefusal:
    """An answer of ours, as an error.

    `detail` is for the client, `reason` for the log, and `members` are for the problem's body.
    """

    status: int
    detail: str
    reason: str
    members: Mapping[str, object] = field(default_factory=dict)
    retry_after: int | None = None
    """Seconds, if the usual ones of the status are wrong here."""
    allow: bytes | None = None
    """Of a 405 (RFC 9110 section 15.5.6)."""
    target: TargetRecord | None = None
    """What is known of a request that was not understood."""
    fields: bytes | None = None
    """Whole field lines in place of those that the status brings with it."""
    given: GivenAnswer | None = None
    """What the client gets instead of a problem document."""
    pages: ErrorPages | None = None
    """Go before the pages of the route."""


def bad_head(error: MalformedMessage, data: bytes) -> RequestRefusal:
    """The answer to a head that has no single meaning; `data` begins with it."""
    reason = f"{RequestReason.MALFORMED_REQUEST}: {error.reason}"
    return RequestRefusal(error.status, error.reason, reason, target=glimpse(data))


def late_head(data: bytes) -> RequestRefusal:
    """The answer to a head of which only `data` came in time."""
    detail = "the request head did not arrive in time"
    return RequestRefusal(408, detail, RequestReason.HEAD_TIMEOUT, target=glimpse(data))


def late_body(reason: str) -> RequestRefusal:
    """The answer to a body that did not come in time; `reason` says which limit it missed."""
    return RequestRefusal(408, "the request body did not arrive in time", reason)


def body_too_long(most: int) -> RequestRefusal:
    """The answer to a body whose declared length is over the limit (RFC 9110 section 15.5.14)."""
    return RequestRefusal(413, f"this route takes bodies of up to {most} bytes", RequestReason.BODY_TOO_LONG)


def wrong_method(allowed: bytes) -> RequestRefusal:
    """The answer to a method that a route does not take; `allowed` is the value of Allow."""
    detail = f"this is answered to {allowed.decode()}"
    return RequestRefusal(405, detail, RequestReason.METHOD_NOT_ALLOWED, allow=allowed)


def all_down(retry_after: int) -> RequestRefusal:
    """The answer to a request that found no server; `retry_after` is in seconds."""
    sentence = UpstreamFault.ALL_DOWN.sentence
    return RequestRefusal(UpstreamFault.ALL_DOWN.status, sentence, sentence, retry_after=retry_after)


def upstream_failure(failure: UpstreamFailure) -> RequestRefusal:
    """The answer to a request that a server did not answer."""
    return RequestRefusal(failure.fault.status, failure.fault.sentence, str(failure))


def payload_refused(cause: Cause) -> RequestRefusal:
    """The answer to a message that payload encryption does not take."""
    return RequestRefusal(cause.status, cause.detail, cause.reason, cause.members)


def body_refused(error: MalformedMessage) -> RequestRefusal:
    """The answer to a body that breaks the rules of its framing, or of payload encryption."""
    if isinstance(error, SealedBodyRefused):
        return payload_refused(error.cause)
    return RequestRefusal(error.status, error.reason, f"{RequestReason.MALFORMED_BODY}: {error.reason}")


def too_many_websockets(limit: str) -> RequestRefusal:
    """The answer to a WebSocket for which there is no room; `limit` is the one that was reached.

    Over HTTP/2 too it is an answer, and not REFUSED_STREAM: browsers try that again at once.
    """
    detail = "there are too many WebSockets: try again later"
    return RequestRefusal(503, detail, f"{RequestReason.TOO_MANY_WEBSOCKETS}: {limit}", retry_after=_ROOM_SECONDS)


def too_many_requests(wait: float) -> RequestRefusal:
    """The answer to a request over the rate of its route (RFC 6585 section 4).

    The client may send it again after `wait` seconds.
    """
    seconds = max(1, math.ceil(wait))
    unit = "second" if seconds == 1 else "seconds"
    return RequestRefusal(
        429, f"too many requests: try again in {seconds} {unit}", RequestReason.RATE, retry_after=seconds
    )


def refusal_answer(
    refusal: RequestRefusal,
    head: RequestHead | None,
    *,
    date: bytes,
    request_id: bytes,
    mark: bytes = b"",
    pages: ErrorPages | None = None,
) -> OwnAnswer:
    """Write the answer. `head` is None for a request that was not understood.

    `mark` are further field lines. `pages` are those of the operator.
    """
    if refusal.given is not None:
        return _given_answer(refusal.status, refusal.given, head, date=date, request_id=request_id, mark=mark)
    accept = None if head is None else _accept(head)
    shown_id = request_id.decode("ascii")
    page = _page(refusal, accept, refusal.pages) or _page(refusal, accept, pages)
    if page is None:
        content_type, body = problem_response(refusal.status, refusal.detail, accept, shown_id, refusal.members)
    else:
        content_type = page.content_type
        body = page.body(refusal.status, refusal.detail, shown_id)
    sent = b"" if head is not None and head.method == b"HEAD" else body
    lines = b"".join(
        (
            b"Content-Type: %b\r\n" % content_type.encode(),
            b"Content-Length: %d\r\nDate: %b\r\nCache-Control: no-store\r\n" % (len(body), date),
            b"X-Request-Id: %b\r\n" % request_id,
            _extra_fields(refusal),
            mark,
        )
    )
    return OwnAnswer(refusal.status, TITLES[refusal.status].encode(), lines, sent)


def _page(refusal: RequestRefusal, accept: bytes | None, pages: ErrorPages | None) -> ErrorPage | None:
    """The page of the operator. A program still gets a problem that has a type of its own."""
    if pages is None:
        return None
    is_html = accept is not None and prefers_html(accept)
    return None if "type" in refusal.members and not is_html else pages.find(refusal.status, is_html=is_html)


def _given_answer(
    status: int, given: GivenAnswer, head: RequestHead | None, *, date: bytes, request_id: bytes, mark: bytes
) -> OwnAnswer:
    own_date = b"" if b"date" in given.noted else b"Date: %b\r\n" % date
    own_id = b"" if b"x-request-id" in given.noted else b"X-Request-Id: %b\r\n" % request_id
    lines = b"%bContent-Length: %d\r\n%b%b%b" % (given.lines, len(given.body), own_date, own_id, mark)
    sent = b"" if head is not None and head.method == b"HEAD" else given.body
    return OwnAnswer(status, given.reason, lines, sent)


def _extra_fields(refusal: RequestRefusal) -> bytes:
    if refusal.fields is not None:
        return refusal.fields
    if refusal.retry_after is not None:
        return b"Retry-After: %d\r\n" % refusal.retry_after
    if refusal.allow is not None:
        return b"Allow: %b\r\n" % refusal.allow
    return _EXTRA_FIELDS.get(refusal.status, b"")


def _accept(head: RequestHead) -> bytes | None:
    """The value of all Accept lines (RFC 9110 section 5.3), None if there is none."""
    values = [value for name, value in head.headers if name.lower() == b"accept"]
    return b", ".join(values) if values else None
