"""Rings, channels and messages for the tests of payload encryption, by fixed keys and a fixed time."""

from proxy.http.framing import RequestFraming, request_framing
from proxy.http.head import RequestHead
from proxy.payload.keys.keyring import Keyring, RingPolicy
from proxy.payload.messages.binding import ID_BYTES, BoundExchange, Direction
from proxy.payload.messages.channel import MessageCipher, MessageEnvelope
from proxy.payload.messages.codec import FreshnessWindow, RingCodec
from proxy.payload.messages.stream import Vow

NOW = 1_780_315_200.25
WINDOW = FreshnessWindow(max_age=60.0, skew=30.0)
POLICY = RingPolicy(rotate_seconds=3_600.0, quota=100, overlap=2)
PLACE = BoundExchange(b"POST", b"chat.test", b"/letters?room=1", b"chat")
MESSAGE_ID = bytes(range(ID_BYTES))
VOW = Vow(MESSAGE_ID, PLACE.digest(Direction.REQUEST))


def secret(number: int) -> bytes:
    """A key that is another one for each number."""
    return bytes([number]) * 32


def rotated(ring: Keyring, times: int = 1) -> Keyring:
    """The ring after some rotations."""
    for _ in range(times):
        version = max(key.version for key in ring.keys) + 1
        ring = ring.with_pending(secret(version), NOW).activated(POLICY, NOW)
    return ring


def ring(rotations: int = 0, name: str = "chat") -> Keyring:
    """A ring whose key of version N is `secret(N)`."""
    return rotated(Keyring.fresh(name, secret(1), NOW), rotations)


def codec(of: Keyring | None = None, counted: list[tuple[str, int]] | None = None) -> RingCodec:
    """A codec that notes what it encrypts."""
    told = [] if counted is None else counted
    return RingCodec(ring() if of is None else of, lambda name, version: told.append((name, version)))


def channel(
    of: Keyring | None = None, *, is_bound: bool = False, envelope: MessageEnvelope = MessageEnvelope.NONE
) -> MessageCipher:
    """A shared ring as a channel."""
    both = codec(of)
    return MessageCipher(both.name.encode(), both, both, is_bound, envelope, WINDOW)


def framing(*lines: str, start: str = "POST /letters?room=1 HTTP/1.1") -> RequestFraming:
    """What a request means."""
    method, target, _ = start.split(" ")
    pairs = [line.encode().partition(b": ") for line in ("Host: chat.test", *lines)]
    headers = [(name, value) for name, _, value in pairs]
    return request_framing(RequestHead(method.encode(), target.encode(), 1, headers))
