"""One epoll set: who waits for what is told, nobody else is, and a stale report harms nobody."""

import socket
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from select import EPOLLERR, EPOLLHUP

import pytest

from proxy.net.readiness import EPOLLIN, EPOLLOUT, Ready, SocketReadiness
from tests.fakes import FakeLoop

NOTHING = 0
Make = Callable[[], "Stream"]


class Stream(Ready):
    """One end of a pair, and what it was told of it."""

    def __init__(self, readiness: SocketReadiness) -> None:
        self.readiness = readiness
        self.sock, self.peer = socket.socketpair()
        self.told: list[int] = []
        self.watched = NOTHING
        self.when_ready: Callable[[], None] = lambda: None

    def ready(self, events: int) -> None:
        self.told.append(events)
        self.when_ready()

    def wait_for(self, events: int) -> None:
        self.readiness.change(self.sock.fileno(), self.watched, events, self)
        self.watched = events

    def close(self) -> None:
        if self.watched:
            self.wait_for(NOTHING)
        self.sock.close()  # the second time does nothing
        self.peer.close()


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def readiness(loop: FakeLoop) -> SocketReadiness:
    return SocketReadiness(loop, lambda: None)


@pytest.fixture
def make(readiness: SocketReadiness) -> Iterator[Make]:
    made: list[Stream] = []

    def one() -> Stream:
        made.append(Stream(readiness))
        return made[-1]

    yield one
    for stream in made:
        stream.close()


@pytest.fixture
def stream(make: Make) -> Stream:
    return make()


def test_only_what_is_waited_for_is_told(loop: FakeLoop, stream: Stream) -> None:
    stream.wait_for(EPOLLIN)
    assert not loop.turn()
    stream.peer.send(b"x")
    loop.turn()
    assert stream.told == [EPOLLIN]
    stream.wait_for(EPOLLIN | EPOLLOUT)
    loop.turn()
    stream.wait_for(EPOLLOUT)
    loop.turn()
    assert stream.told == [EPOLLIN, EPOLLIN | EPOLLOUT, EPOLLOUT]
    stream.wait_for(NOTHING)
    assert not loop.turn()
    assert len(stream.readiness) == 0


def test_what_is_left_is_told_again(loop: FakeLoop, stream: Stream) -> None:
    stream.wait_for(EPOLLIN)
    stream.peer.send(b"xy")
    for _ in range(3):
        loop.turn()
    assert stream.told == [EPOLLIN] * 3
    stream.sock.recv(2)
    assert not loop.turn()


def test_hang_up_and_error_come_with_the_report(loop: FakeLoop, stream: Stream) -> None:
    stream.sock.send(b"that nobody reads makes it a reset")
    stream.wait_for(EPOLLIN)
    stream.peer.close()
    loop.turn()
    (events,) = stream.told
    assert events & EPOLLHUP
    assert events & EPOLLERR


def test_one_that_another_closed_is_not_told(loop: FakeLoop, make: Make) -> None:
    streams = [make(), make()]
    for one, other in (streams, reversed(streams)):
        one.when_ready = other.close
        one.wait_for(EPOLLIN)
        one.peer.send(b"x")
    loop.turn()
    assert sorted(len(one.told) for one in streams) == [0, 1]


def test_number_that_was_reused_at_once_belongs_to_the_new_one(loop: FakeLoop, make: Make) -> None:
    first, second = make(), make()
    made: list[Stream] = []

    def replace() -> None:
        told, other = sorted((first, second), key=lambda one: one.told, reverse=True)
        told.sock.recv(1)
        number = other.sock.fileno()
        other.close()
        made.append(make())
        assert number in (made[0].sock.fileno(), made[0].peer.fileno())
        made[0].wait_for(EPOLLIN)

    for one in (first, second):
        one.when_ready = replace
        one.wait_for(EPOLLIN)
        one.peer.send(b"x")
    loop.turn()
    assert made[0].told in ([], [EPOLLIN])  # a stale report finds a socket that does not block
    made[0].told.clear()
    assert [len(first.told), len(second.told)] in ([0, 1], [1, 0])
    made[0].peer.send(b"x")
    loop.turn()
    assert made[0].told == [EPOLLIN]


def test_a_turn_tells_sixty_four_and_forgets_nobody(loop: FakeLoop, make: Make) -> None:
    streams = [make() for _ in range(100)]
    for one in streams:
        one.when_ready = lambda one=one: one.sock.recv(1)  # type: ignore[misc]
        one.wait_for(EPOLLIN)
        one.peer.send(b"x")
    loop.turn()
    assert sum(len(one.told) for one in streams) == 64
    loop.turn()
    assert [len(one.told) for one in streams] == [1] * 100


def test_one_that_fails_strands_nobody(loop: FakeLoop, make: Make) -> None:
    """The rest of its batch is reported again."""
    failing, other = make(), make()

    def fail() -> None:
        failing.sock.recv(1)
        raise LookupError("a flaw")

    failing.when_ready = fail
    for one in (failing, other):
        one.wait_for(EPOLLIN)
        one.peer.send(b"x")
    with pytest.raises(LookupError, match="a flaw"):
        loop.turn()
    loop.turn()
    assert failing.told == [EPOLLIN]
    assert EPOLLIN in other.told


@pytest.mark.parametrize("fails", [False, True])
def test_end_of_the_reports_is_told_after_all_of_them_even_if_one_fails(loop: FakeLoop, *, fails: bool) -> None:
    order: list[str] = []
    epoll = SocketReadiness(loop, lambda: order.append(f"end, reporting: {epoll.is_reporting}"))
    streams = [Stream(epoll) for _ in range(2)]

    def note() -> None:
        order.append(f"report, reporting: {epoll.is_reporting}")
        if fails:
            raise LookupError("a flaw")

    for stream in streams:
        stream.when_ready = note
        stream.wait_for(EPOLLIN)
        stream.peer.send(b"x")
    with pytest.raises(LookupError, match="a flaw") if fails else nullcontext():
        loop.turn()
    assert order == ["report, reporting: True"] * (1 if fails else 2) + ["end, reporting: True"]
    assert not epoll.is_reporting
    for stream in streams:
        stream.close()
