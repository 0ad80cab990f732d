"""OpenSSL's steps in a server's handshake. Every step of a handshake is made here.

Theory of operation. `server_step` is one step: bytes in, bytes out, both BIOs empty before and
after. A handshake that stays on the loop makes its steps by `ServerSteps`, in its turn of the queue
(`step_queue`). A signing thread makes them at once (`attempt`).
"""

import ssl
from time import perf_counter
from typing import Final, Protocol

from proxy.tls.step_queue import StepQueue
from proxy.tls.stream import BioPair
from proxy.tls.tls_object import TlsObject, shake_hands


class ServerStep:
    """What OpenSSL made of the client's bytes."""

    # no dataclass and no tuple: mypyc makes one in a third of the time, and reads it faster
    __slots__ = ("error", "is_finished", "output", "rest", "seconds", "tls")

    def __init__(
        self,
        tls: TlsObject,
        output: bytes,
        rest: bytes,
        is_finished: bool,  # noqa: FBT001 - a fact
        error: ssl.SSLError | None,
        seconds: float,
    ) -> None:
        """`output` is for the client: a flight, or an alert.

        `tls` made the step. `rest` came behind the end of the handshake.
        """
        self.tls: Final = tls
        self.output: Final = output
        self.rest: Final = rest
        self.is_finished: Final = is_finished
        self.error: Final = error
        self.seconds: Final = seconds


def server_step(tls: TlsObject, bios: BioPair, data: bytes) -> ServerStep:
    """Give OpenSSL bytes of the client, and take out of the BIOs what it made of them."""
    bios.incoming.write(data)
    error: ssl.SSLError | None = None
    is_finished, rest = False, b""
    started = perf_counter()
    try:
        is_finished = shake_hands(tls)
    except ssl.SSLError as failure:
        error = failure
        bios.incoming.read()
    else:
        if is_finished:
            # what came in the same segment as the client's Finished
            rest = bios.incoming.read()
    seconds = perf_counter() - started
    return ServerStep(tls, bios.outgoing.read(), rest, is_finished, error, seconds)


class StepOwner(Protocol):
    """The handshake that needs the steps."""

    def stepped(self, made: ServerStep) -> None:
        """Send what the step brought, and go on or end."""


class ServerSteps:
    """The steps of one handshake, with one SSL object, each in its turn of the queue."""

    __slots__ = ("_bios", "_made", "_owner", "_queue", "_source", "_waiting")

    def __init__(self, source: ssl.SSLContext | TlsObject, bios: BioPair, queue: StepQueue, owner: StepOwner) -> None:
        """`source` is a context, from which the first step makes the object, or an object in
        mid-handshake.
        """
        self._source = source
        self._bios = bios
        self._queue = queue
        self._owner = owner
        self._waiting = b""
        self._made: ServerStep | None = None

    @property
    def has_waiting(self) -> bool:
        """Whether bytes of the client wait for the next step."""
        return bool(self._waiting)

    def receive_data(self, data: bytes) -> None:
        """Give OpenSSL these bytes in the next step."""
        if not self._waiting:
            self._queue.enlist(self)
        self._waiting += data

    def abandon(self) -> None:
        """End the steps: the handshake is over, and the owner is not told any more."""
        self._waiting, self._made = b"", None

    def step(self) -> None:
        """Make the step (`step_queue.Stepping`)."""
        data, self._waiting = self._waiting, b""
        if data:
            tls = self._source
            if isinstance(tls, ssl.SSLContext):
                # here and not when the hello came: so OpenSSL's data of the object is in the
                # processor's caches for the step
                tls = self._source = self._bios.server_side(tls)
            self._made = server_step(tls, self._bios, data)

    def stepped(self) -> None:
        """Tell the owner the result of the step (`step_queue.Stepping`)."""
        made, self._made = self._made, None
        if made is not None:
            self._owner.stepped(made)
