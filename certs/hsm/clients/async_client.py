"""Calls to a PKCS#11 module from an event loop that does not block meanwhile: for the parent."""

import asyncio
import itertools
from typing import Self

from certs.hsm import frames
from certs.hsm.access import TokenAccess
from certs.hsm.clients import calls
from certs.hsm.clients.calls import Answer, Call
from certs.hsm.clients.spawning import Spawned, UserIds, request
from certs.hsm.errors import HsmError


class AsyncTokenProcess:
    """A process with one module, for tasks: one call at a time, in the order in which they were
    made.

    Once a deadline has passed, a call was cancelled or the process is gone, every call raises
    TokenProcessLost. An asynchronous context manager, as `client.TokenProcess`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, user: UserIds | None = None) -> None:
        """Start the process, as another user if one is named.

        Raises OSError when the system has no room for another one.
        """
        self._loop = loop
        self._spawned = Spawned(user)
        self._spawned.socket.settimeout(0)
        self._numbers = itertools.count(1)
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int:
        return self._spawned.pid

    @property
    def is_usable(self) -> bool:
        return self._spawned.is_usable

    async def perform(self, call: Call[Answer]) -> Answer:
        """Make a call. Raises DeadlinePassed after `call.seconds`, TokenProcessLost, or the error
        that the call names.

        The time begins when the calls before it are done, each of which has a deadline of its own.
        """
        async with self._turn:
            number = next(self._numbers)
            with self._spawned.exchanging(call):
                async with asyncio.timeout(call.seconds):
                    payload = await self._exchange(request(number, call))
        return self._spawned.answer(number, call, payload)

    async def close(self) -> None:
        """Log out and end the process; kill it when it does not."""
        if self._spawned.is_usable:
            try:
                await self.perform(calls.bye())
            except HsmError:
                pass  # killed below, which is an end too
            finally:
                self.kill()

    def kill(self) -> None:
        """End it at once; a pending call raises TokenProcessLost."""
        if self._turn.locked():
            self._spawned.kill()  # not closed under the loop's reader: the pending call sees the end and closes
        else:
            self._spawned.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _exchange(self, frame: bytes) -> bytes:
        await self._loop.sock_sendall(self._spawned.socket, frame)
        return await self._exactly(frames.length_of(await self._exactly(frames.HEADER.size)))

    async def _exactly(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            part = await self._loop.sock_recv(self._spawned.socket, count - len(received))
            if not part:
                raise EOFError
            received += part
        return bytes(received)


async def fault_for(
    loop: asyncio.AbstractEventLoop, access: TokenAccess, user: UserIds | None, likely_slot: int | None = None
) -> HsmError | None:
    """What keeps a user (None: this one) from a token, None if nothing does. `likely_slot` is where
    others found it.

    The files of a software token, the socket of a device's daemon and the library itself have
    owners. A user without access to them finds no token, or other tokens. This does not log in.

    Raises OSError when the system has no room for another process.
    """
    process = AsyncTokenProcess(loop, user)
    try:
        await process.perform(calls.load(access.module))
        await process.perform(calls.find(access.token, likely_slot))
    except HsmError as error:
        return error
    finally:
        process.kill()
    return None
