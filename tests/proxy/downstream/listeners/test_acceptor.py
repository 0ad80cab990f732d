"""Taking connections off listening sockets: how many at a time, when not at all, and what becomes of those that wait."""

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from proxy.downstream.listeners.acceptor import Acceptor
from proxy.limits.idleness import Idle
from proxy.limits.reasons import ConnectionReason
from proxy.limits.scarcity import ResourceLimits, Scarcity
from tests.fakes import FakeFigures, FakeLoop


class NoClients:
    """Nobody who could make room."""

    count = 0

    def bound_tunnels(self, most: int) -> None:
        """There are none."""

    def shed(self, most: int) -> list[Idle]:
        """End nobody."""
        del most
        return []


class Failing(socket.socket):
    """A listening socket whose `accept` fails with what the test puts there."""

    error: OSError | None = None
    tries = 0

    def _accept(self) -> tuple[int, object]:
        """Fail, or accept."""
        self.tries += 1
        if self.error is not None:
            raise self.error
        accepted: tuple[int, object] = super()._accept()  # type: ignore[misc]
        return accepted


@dataclass
class Door:
    """An acceptor with one socket, and what it took."""

    loop: FakeLoop = field(default_factory=FakeLoop)
    accepted: list[tuple[socket.SocketType, str]] = field(default_factory=list)
    counted: list[tuple[str, ConnectionReason]] = field(default_factory=list)
    clients: list[socket.socket] = field(default_factory=list)
    is_behind: bool = False

    def __post_init__(self) -> None:
        """Accept."""
        self.figures = FakeFigures()
        self.scarcity = Scarcity(self.loop, self.figures, NoClients(), lambda *one: self.counted.append(one[:2]))
        self.scarcity.start(ResourceLimits(descriptor_reserve=100, memory_bytes=1_000_000))
        self.sock = self.listening()
        self.acceptor = Acceptor("public", self.loop, self.scarcity, self.take, lambda: self.is_behind)
        self.acceptor.accept_on([self.sock])

    @staticmethod
    def listening(host: str = "127.0.0.1") -> Failing:
        """A socket that listens."""
        sock = Failing(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        sock.bind((host, 0))
        sock.listen(100)
        sock.settimeout(0)
        return sock

    def take(self, sock: socket.SocketType, address: str) -> None:
        """Keep what was accepted."""
        self.accepted.append((sock, address))

    def connect(self, count: int = 1, to: socket.socket | None = None) -> None:
        """Clients that wait in the queue."""
        host, port = (to or self.sock).getsockname()[:2]
        self.clients += [socket.create_connection((host, port)) for _ in range(count)]

    def close(self) -> None:
        """Leave nothing open."""
        self.acceptor.accept_on(())
        for sock in [*self.clients, *(sock for sock, _ in self.accepted)]:
            sock.close()


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.close()


def test_client_comes_with_its_address(door: Door) -> None:
    six = door.listening("::1")
    door.acceptor.accept_on([door.sock, six])
    door.connect()
    door.connect(to=six)
    door.loop.settle()
    assert sorted(address for _, address in door.accepted) == ["127.0.0.1", "::1"]
    assert {sock.family for sock, _ in door.accepted} == {socket.AF_INET, socket.AF_INET6}


def test_a_crowd_is_accepted_in_several_turns_and_slower_while_others_wait(door: Door) -> None:
    door.connect(20)
    door.loop.turn()
    assert len(door.accepted) == 16
    door.is_behind = True
    door.loop.turn()
    assert len(door.accepted) == 17


def test_accept_is_called_once_for_each_connection_that_waits(door: Door) -> None:
    door.connect(3)
    door.loop.turn()
    assert len(door.accepted) == door.sock.tries == 3


def test_socket_that_is_left_out_is_emptied_and_closed(door: Door) -> None:
    door.connect(19)
    door.acceptor.accept_on(())
    assert len(door.accepted) == 19
    assert door.sock.fileno() == -1


@pytest.mark.parametrize("is_paused", [False, True])
def test_what_waits_is_left_to_who_has_a_copy_of_the_socket(door: Door, is_paused: bool) -> None:  # noqa: FBT001 - a parameter
    with door.sock.dup() as copy:
        if is_paused:
            door.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
        door.connect(3)
        door.acceptor.leave()
        door.loop.advance(1)
        assert door.accepted == []
        assert door.sock.fileno() == -1
        copy.settimeout(5)
        for _ in range(3):
            copy.accept()[0].close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
def test_exhaustion_pauses_and_is_counted_for_the_listener(door: Door, number: int) -> None:
    door.sock.error = OSError(number, "exhausted")
    door.connect()
    door.loop.turn()
    reason = ConnectionReason.OUT_OF_DESCRIPTORS if number == errno.EMFILE else ConnectionReason.OUT_OF_MEMORY
    assert door.counted == [("public", reason)]
    assert door.sock not in door.loop.readers
    door.sock.error = None
    door.loop.advance(0.2)
    assert len(door.accepted) == 1


def test_socket_that_comes_during_the_pause_waits_for_its_end(door: Door) -> None:
    door.figures.lowest_free_descriptor = 990
    door.scarcity.short_of(ConnectionReason.OUT_OF_DESCRIPTORS)
    more = door.listening()
    door.acceptor.accept_on([door.sock, more])
    assert more not in door.loop.readers
    door.figures.lowest_free_descriptor = 20
    door.loop.advance(0.2)
    assert {door.sock, more} <= set(door.loop.readers)
    door.acceptor.accept_on([door.sock])
