"""Why a message is refused: one stable `type` for each cause, and a remedy for the client. Pure.

The text of a cause is fixed, so nothing of a key, of a token or of its content can get into an
answer or a log.
"""

from enum import Enum
from typing import Final

_URN: Final = "urn:plexigate:problem:payload-"
_FETCH: Final = "fetch the keys again (export the ring, or read /.well-known/payload-keys), then repeat the request"
_CLOCK: Final = "set the clock of the device, then repeat the request with a new token"
_ENCRYPT: Final = "encrypt the body: Content-Encoding: fernet or fernet-stream, and Payload-Key or Payload-Session"


class Cause(Enum):
    """A cause: its `slug`, the status, the title, a sentence, and the remedy."""

    REQUIRED = ("required", 415, "Payload Encryption Required", "this route accepts encrypted bodies only", _ENCRYPT)
    NO_KEY_NAMED = (
        "key-not-named", 401, "Payload Key Not Named", "the request names no key for the response", _ENCRYPT,
    )  # fmt: skip
    UNKNOWN_KEY = ("key-unknown", 401, "Payload Key Unknown", "this route has no key of that name", _FETCH)
    RETIRED_KEY = ("key-retired", 401, "Payload Key Retired", "the key of this message is no longer accepted", _FETCH)
    REVOKED_KEY = ("key-revoked", 401, "Payload Key Revoked", "the key of this message was revoked", _FETCH)
    BAD_SESSION = (
        "session-unknown", 401, "Payload Session Unknown",
        "this proxy did not make the ticket of the session, or the ticket has expired",
        "make a new session, then repeat the request",
    )  # fmt: skip
    BAD_TOKEN = (
        "token-invalid", 400, "Payload Token Invalid", "no key of this route can decrypt the body",
        "check the key, and that no machine on the way changes the body; if this does not help, fetch the keys again",
    )  # fmt: skip
    BAD_STREAM = (
        "stream-broken", 400, "Payload Stream Broken", "tokens of the body are missing, repeated or out of order",
        "send the whole message again as a new one",
    )  # fmt: skip
    MISPLACED = (
        "misplaced", 400, "Payload Misplaced", "the token was made for another method, host, path or direction",
        "make the token for exactly this request; no gateway on the way may rewrite the path",
    )  # fmt: skip
    EXPIRED = ("expired", 400, "Payload Expired", "the token is older than this proxy accepts", _CLOCK)
    FROM_THE_FUTURE = ("not-yet-valid", 400, "Payload Not Yet Valid", "the token's time is in the future", _CLOCK)
    REPLAYED = (
        "replayed", 400, "Payload Replayed", "the proxy got this message before", "encrypt it again as a new message",
    )  # fmt: skip
    TOO_LARGE = (
        "too-large", 413, "Payload Too Large", "the message is longer than a single token or this route allows",
        "use Content-Encoding: fernet-stream for bodies above 256 KiB",
    )  # fmt: skip
    BAD_CODING = (
        "coding-unsupported", 415, "Payload Coding Unsupported",
        "this route does not decrypt this content coding", "use Content-Encoding: fernet or fernet-stream, alone",
    )  # fmt: skip
    WEBSOCKET = (
        "websocket-refused", 403, "WebSocket Refused", "this route requires encrypted payloads and accepts no WebSockets",
        "use requests, or ask the operator for payload_websocket = true",
    )  # fmt: skip
    BAD_HANDSHAKE = (
        "session-request-invalid", 400, "Payload Session Request Invalid",
        "the message names no current key, or this key cannot decrypt it", _FETCH,
    )  # fmt: skip
    ANSWER_TOO_LARGE = (
        "answer-too-large", 502, "Payload Answer Too Large",
        "the response does not fit into a single token, and the client accepts no stream",
        "send Payload-Accept: fernet-stream",
    )  # fmt: skip

    def __init__(self, slug: str, status: int, title: str, detail: str, remedy: str) -> None:
        """`detail` and `remedy` are for people; `slug` and `status` stay as they are."""
        self.slug = slug
        self.status = status
        self.title = title
        self.detail = detail
        self.remedy = remedy

    @property
    def type(self) -> str:
        """The problem's type (RFC 9457 3.1.1)."""
        return _URN + self.slug

    @property
    def reason(self) -> str:
        return f"payload: {self.slug}"

    @property
    def members(self) -> dict[str, object]:
        """What the problem says besides status and detail."""
        return {"type": self.type, "title": self.title, "remedy": self.remedy}


class PayloadFault(Exception):
    """A message that is refused; the cause is all there is to say about it."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause = cause

    def __str__(self) -> str:
        return self.cause.detail
