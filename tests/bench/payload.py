"""What payload encryption costs beside cryptography's MultiFernet in a loop: the same keys, the same octets, CPU of this process."""

import base64
import os
import time
from collections.abc import Callable

from cryptography.fernet import Fernet, MultiFernet

from proxy.payload.keys.keyring import Keyring, RingPolicy
from proxy.payload.messages.binding import ID_BYTES, BoundExchange, Direction
from proxy.payload.messages.codec import FreshnessWindow, RingCodec
from proxy.payload.messages.stream import LARGEST_PIECE, StreamOpener, StreamSealer, Vow

MESSAGE = os.urandom(1_024)
PIECES = 16  # of a stream: a mebibyte
_MESSAGES = 4_000
_STREAMS = 12
_WINDOW = FreshnessWindow(3_600.0, 3_600.0)
_POLICY = RingPolicy(1e9, 1 << 60, 3)


def rings() -> tuple[MultiFernet, RingCodec]:
    """The same four keys for both."""
    ring = Keyring.fresh("bench", os.urandom(32), 0.0)
    for _ in range(3):
        ring = ring.with_pending(os.urandom(32), 0.0).activated(_POLICY, 0.0)
    theirs = MultiFernet([Fernet(base64.urlsafe_b64encode(key.secret)) for key in ring.readable])
    return theirs, RingCodec(ring, lambda _ring, _version: None)


def message_microseconds(theirs: MultiFernet, ours: RingCodec) -> tuple[float, float]:
    """CPU for a message of 1 KiB, opened and another one sealed, in MultiFernet and here."""
    now = time.time()  # noqa: TID251 - a measurement
    token = theirs.encrypt(MESSAGE)

    def by_theirs() -> None:
        theirs.decrypt(token)
        theirs.encrypt(MESSAGE)

    def by_ours() -> None:
        ours.open(token, _WINDOW, now)
        ours.seal(MESSAGE, now)

    return _cpu(by_theirs, _MESSAGES), _cpu(by_ours, _MESSAGES)


def stream_milliseconds(theirs: MultiFernet, ours: RingCodec) -> tuple[float, float]:
    """CPU for a mebibyte in tokens of 64 KiB, opened and sealed again, in MultiFernet and here."""
    now = time.time()  # noqa: TID251 - a measurement
    piece = os.urandom(LARGEST_PIECE)
    digest = BoundExchange(b"POST", b"bench.test", b"/", b"bench").digest(Direction.REQUEST)
    tokens = [theirs.encrypt(piece) for _ in range(PIECES)]
    sealer = StreamSealer(ours, Vow(bytes(ID_BYTES), digest), None)
    sealer.receive_data(piece * PIECES)
    stream = sealer.finish(now)

    def by_theirs() -> None:
        for token in tokens:
            theirs.encrypt(theirs.decrypt(token))

    def by_ours() -> None:
        opener = StreamOpener(ours, digest, _WINDOW)
        again = StreamSealer(ours, Vow(bytes(ID_BYTES), digest), None)
        for start in range(0, len(stream), 65_536):  # as it comes from a socket
            for opened in opener.receive_data(stream[start : start + 65_536], now):
                again.receive_data(opened)
            again.data_to_send(now)
        opener.finish()
        again.finish(now)

    return _cpu(by_theirs, _STREAMS) / 1_000, _cpu(by_ours, _STREAMS) / 1_000


def _cpu(operate: Callable[[], None], times: int) -> float:
    """Microseconds of CPU for each of them."""
    before = time.process_time()
    for _ in range(times):
        operate()
    return (time.process_time() - before) / times * 1e6
