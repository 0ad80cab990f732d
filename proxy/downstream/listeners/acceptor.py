"""Accepts the connections of one listener, a few in each turn of the loop.

It pauses while descriptors or memory are short.
"""

import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable, Collection
from socket import SocketType
from typing import Final

from proxy.limits.reasons import ConnectionReason
from proxy.limits.scarcity import Scarcity
from proxy.net.tcp_options import queued_connections

# Connections taken per turn of the loop: enough to empty a queue quickly, and few enough that the
# loop serves established ones in between.
_ACCEPTS_PER_TURN: Final = 16
# The same while handshakes wait for their turn: fewer than one turn finishes. With more, a long
# queue, as after a restart, would become handshakes in flight, and those above that limit are
# refused. At least one: a client that keeps handshakes waiting must not lock out others.
_ACCEPTS_WHEN_BEHIND: Final = 1
# Compiled code looks up what a module has by its name, each time.
_IPV4: Final = socket.AF_INET
_IPV6: Final = socket.AF_INET6
_STREAM: Final = socket.SOCK_STREAM


def _never_behind() -> bool:
    return False


class Acceptor:
    """There is one for each listener. A `limits.scarcity.Pausable`."""

    def __init__(
        self,
        name: str,
        loop: AbstractEventLoop,
        scarcity: Scarcity,
        accepted: Callable[[SocketType, str], None],
        is_behind: Callable[[], bool] = _never_behind,
    ) -> None:
        """`accepted` gets each connection with the address of its client.

        `is_behind` says whether earlier connections wait for their turn.
        """
        self.name: Final = name
        self._loop = loop
        self._scarcity = scarcity
        self._accepted = accepted
        self._is_behind = is_behind
        self._sockets: frozenset[socket.socket] = frozenset()
        self._is_paused = False

    def accept_on(self, sockets: Collection[socket.socket]) -> None:
        """Accept on exactly these listening sockets from now on.

        Any other socket is closed, after the connections in its queue were accepted: when the last
        process closes a socket, the kernel resets the connections that are left in its queue.
        """
        before, self._sockets = self._sockets, frozenset(sockets)
        if not (before and self._is_paused):
            for sock in self._sockets - before:
                self._loop.add_reader(sock, self._acceptable, sock)
        for sock in before - self._sockets:
            self._loop.remove_reader(sock)
            while self._accept_some(sock, _ACCEPTS_PER_TURN):
                pass
            sock.close()
        if before and not self._sockets:
            self._scarcity.forget(self)
        elif self._sockets and not before:
            self._is_paused = False
            self._scarcity.watch(self)

    def leave(self) -> None:
        """Accept no more connections. Other processes with copies of the sockets take the rest."""
        before, self._sockets = self._sockets, frozenset()
        for sock in before:
            self._loop.remove_reader(sock)
            sock.close()
        self._scarcity.forget(self)

    def _acceptable(self, listening: socket.socket) -> None:
        if self._is_behind():
            most = _ACCEPTS_WHEN_BEHIND
        else:
            # An `accept` that finds nothing makes a socket for nothing: 6.5 µs. To ask first takes
            # 1 µs.
            most = min(max(queued_connections(listening), 1), _ACCEPTS_PER_TURN)
        self._accept_some(listening, most)

    def _accept_some(self, listening: socket.socket, most: int) -> bool:
        """Accept up to `most` waiting connections. Returns whether there may be more."""
        for _ in range(most):
            try:
                # the steps of `accept`, without its look-ups in enums: they take longer than the
                # system call
                descriptor, address = listening._accept()  # type: ignore[attr-defined]  # noqa: SLF001
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError as error:
                self._scarcity.socket_refused(error.errno or 0)
                return False
            family = _IPV6 if len(address) == 4 else _IPV4  # the first has a flow and a scope too
            # the class in C: its subclass in Python takes 2 µs more to make and to close
            sock = SocketType(family, _STREAM, 0, descriptor)
            self._accepted(sock, address[0].partition("%")[0])  # a link-local address comes with its zone
            if descriptor >= self._scarcity.reserve_begins:
                self._scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
                return False
        return True

    def pause(self) -> None:
        """Accept no connections until `resume`; new ones wait in the kernel."""
        self._is_paused = True
        for sock in self._sockets:
            self._loop.remove_reader(sock)

    def resume(self) -> None:
        self._is_paused = False
        for sock in self._sockets:
            self._loop.add_reader(sock, self._acceptable, sock)
