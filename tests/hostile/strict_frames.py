"""A reader of WebSocket frames that takes nothing but what RFC 6455 section 5 allows; see `strict`."""

from dataclasses import dataclass

from tests.hostile.strict import NotStrict

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


@dataclass(frozen=True, slots=True)
class Frame:
    """One WebSocket frame, unmasked. `first` is its first octet: FIN, reserved bits, opcode."""

    first: int
    payload: bytes

    @property
    def opcode(self) -> int:
        """What kind of frame it is."""
        return self.first & 0x0F


class FrameReader:
    """Reads WebSocket frames that are all masked (to a server), or all not (to a client)."""

    def __init__(self, *, is_masked: bool, reserved: int = 0) -> None:
        """`reserved`: the bits that an extension may set."""
        self.frames: list[Frame] = []
        self._is_masked = is_masked
        self._reserved = reserved
        self._buffer = bytearray()
        self._is_in_message = False
        self._is_closed = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises NotStrict."""
        self._buffer += data
        while self._take():
            pass

    def _take(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        first, second = buffer[0], buffer[1]
        size = {126: 2, 127: 8}.get(second & 0x7F, 0)
        start = 2 + size + (4 if second & 0x80 else 0)
        self._check(first, second)
        if len(buffer) < start:
            return False
        length = int.from_bytes(buffer[2 : 2 + size]) if size else second & 0x7F
        if size and length < (126 if size == 2 else 65_536):
            raise NotStrict("length in more octets than it needs")
        if len(buffer) < start + length:
            return False
        payload = bytes(buffer[start : start + length])
        if second & 0x80:
            payload = unmasked(payload, bytes(buffer[start - 4 : start]))
        del buffer[: start + length]
        self._check_sequence(first)
        self.frames.append(Frame(first, payload))
        return True

    def _check(self, first: int, second: int) -> None:
        if bool(second & 0x80) is not self._is_masked:
            raise NotStrict("wrong masking")
        if first & 0x70 & ~self._reserved or first & 0x0F not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise NotStrict(f"first octet 0x{first:02x}")
        if first & 0x08 and (not first & 0x80 or second & 0x7F > 125):
            raise NotStrict("control frame in fragments or too long")

    def _check_sequence(self, first: int) -> None:
        if self._is_closed:
            raise NotStrict("frame behind a close frame")
        if first & 0x08:
            self._is_closed = first & 0x0F == CLOSE
            return
        if self._is_in_message is not (first & 0x0F == CONTINUATION):
            raise NotStrict("fragments out of order")
        self._is_in_message = not first & 0x80


def unmasked(payload: bytes, key: bytes) -> bytes:
    """Apply a masking key, which also takes it off (RFC 6455 section 5.3)."""
    if not payload:
        return b""
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(pad)).to_bytes(len(payload))
