"""OpenSSL's steps in a server's handshake. Every step of a handshake is made here.

Theory of operation. `server_step` is one step: bytes in, bytes out. A handshake that stays on the
loop makes its steps by `ServerSteps`, in its turn of the queue (`step_queue`). A signing thread
makes them at once (`attempt`).

Session tickets are made in the last step if the client's request came with its Finished. They wait
for our first bytes then (`stream`). So they take no turn of OpenSSL in the middle of the answer,
which would push its code and data out of the processor's caches: 15 µs of a handshake.
"""

import ssl
from ssl import SSLContext
from time import perf_counter
from typing import Final, Protocol

from proxy.tls.openssl.driver import TlsDriver
from proxy.tls.openssl.step_queue import StepQueue
from proxy.tls.openssl.tls_object import TlsObject

# Compiled code looks a name that it imports up in a dictionary, each time.
_clock: Final = perf_counter
# Header 5, "GET / HTTP/1.1" with its line end 16, content type 1, tag 16. A client that asks for
# nothing sends an alert, which is shorter.
_SHORTEST_REQUEST: Final = 38


class ServerStep:
    """What OpenSSL made of the client's bytes."""

    # no dataclass and no tuple: mypyc makes one in a third of the time, and reads it faster
    def __init__(  # noqa: PLR0913 - its fields
        self,
        tls: TlsObject,
        output: bytes,
        rest: bytes,
        is_finished: bool,  # noqa: FBT001 - a fact
        error: ssl.SSLError | None,
        seconds: float,
        tickets: bytes,
    ) -> None:
        """`output` is for the client: a flight, or an alert.

        `tls` made the step. `rest` came behind the end of the handshake. `tickets` go out with the
        first bytes that are written.
        """
        self.tls: Final = tls
        self.output: Final = output
        self.rest: Final = rest
        self.is_finished: Final = is_finished
        self.error: Final = error
        self.seconds: Final = seconds
        self.tickets: Final = tickets


def server_step(tls: TlsObject, driver: TlsDriver, data: bytes, tickets: int = 0) -> ServerStep:
    """Give OpenSSL bytes of the client, and take what it made of them.

    Makes `tickets` if the handshake finishes and a request follows.
    """
    started = _clock()
    is_finished, output, rest, sealed, error = driver.handshake(tls, data, tickets, _SHORTEST_REQUEST)
    return ServerStep(tls, output, rest, is_finished, error, _clock() - started, sealed)


class StepOwner(Protocol):
    def stepped(self, made: ServerStep) -> None:
        """Send what the step brought, and continue or end."""


class ServerSteps:
    """The steps of one handshake, with one SSL object, each in its turn of the queue."""

    def __init__(self, source: SSLContext | TlsObject, driver: TlsDriver, queue: StepQueue, owner: StepOwner) -> None:
        """`source` is a context, from which the first step makes the object, or an object in
        mid-handshake.
        """
        self._source = source
        self._driver = driver
        self._queue = queue
        self._owner = owner
        self._waiting = b""
        self._made: ServerStep | None = None
        self.tickets = 0
        """How many the client gets; the last step may make them."""

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
        self._waiting = b""
        self._made = None

    def step(self) -> None:
        """Make the step (`step_queue.Stepping`)."""
        data, self._waiting = self._waiting, b""
        if data:
            tls = self._source
            if isinstance(tls, SSLContext):
                # here and not when the hello came: so OpenSSL's data of the object is in the
                # processor's caches for the step
                tls = self._source = self._driver.server_side(tls)
            self._made = server_step(tls, self._driver, data, self.tickets)

    def stepped(self) -> None:
        """Tell the owner the result of the step (`step_queue.Stepping`)."""
        made, self._made = self._made, None
        if made is not None:
            self._owner.stepped(made)
