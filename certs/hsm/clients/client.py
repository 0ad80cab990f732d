"""Blocking calls to a PKCS#11 module, each with a deadline: for the command line and for
threads.
"""

import itertools
import time
from typing import Self

from certs.hsm import frames
from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.calls import Answer, Call
from certs.hsm.clients.spawning import Spawned, request
from certs.hsm.errors import HsmError
from certs.hsm.facts import TokenFacts


class TokenProcess:
    """A process with one module.

    Once a deadline has passed or the process is gone, every call raises TokenProcessLost.

    A context manager: at its end the process logs out and ends, or is killed. Not for several
    threads at once.
    """

    def __init__(self) -> None:
        """Start the process. Raises OSError when the system has no room for another one."""
        self._spawned = Spawned()
        self._numbers = itertools.count(1)

    @classmethod
    def logged_in(cls, access: TokenAccess) -> Self:
        """Start one, load the module and log in to the token. Raises an HsmError."""
        process = cls()
        try:
            process.log_in(access)
        except BaseException:
            process.close()
            raise
        return process

    @property
    def pid(self) -> int:
        return self._spawned.pid

    def perform(self, call: Call[Answer]) -> Answer:
        """Make a call. Raises DeadlinePassed after `call.seconds`, TokenProcessLost, or the error
        that the call names.
        """
        number = next(self._numbers)
        end = time.monotonic() + call.seconds
        with self._spawned.exchanging(call):
            payload = self._exchange(request(number, call), end)
        return self._spawned.answer(number, call, payload)

    def log_in(self, access: TokenAccess, likely_slot: int | None = None) -> TokenFacts:
        """Load the module, find the token and log in. Raises an HsmError."""
        self.perform(calls.load(access.module))
        found = self.perform(calls.find(access.token, likely_slot))
        return self.perform(calls.log_in(access, found.token.slot))

    def close(self) -> None:
        """Log out and end the process; kill it when it does not."""
        if self._spawned.is_usable:
            try:
                self.perform(calls.bye())
            except HsmError:
                pass  # killed below, which is an end too
            finally:
                self._spawned.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, frame: bytes, end: float) -> bytes:
        sock = self._spawned.socket
        sock.settimeout(max(0.001, end - time.monotonic()))
        sock.sendall(frame)
        return self._exactly(frames.length_of(self._exactly(frames.HEADER.size, end)), end)

    def _exactly(self, count: int, end: float) -> bytes:
        received = bytearray()
        while len(received) < count:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._spawned.socket.settimeout(left)
            part = self._spawned.socket.recv(count - len(received))
            if not part:
                raise EOFError
            received += part
        return bytes(received)
