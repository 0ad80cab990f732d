"""Requests wait in turn, for a bounded time; `test_pool` has the rest, by a whole pool."""

from proxy.net.deadlines import Deadlines
from proxy.upstream.pooling.failures import UpstreamFault
from proxy.upstream.pooling.pools import ServerLimits
from proxy.upstream.pooling.shares import Shares
from proxy.upstream.pooling.waiting import WaitingLine
from tests.fakes import FakeLoop
from tests.http2_upstream import StreamGuest


def line(loop: FakeLoop, waiting: int = 2) -> WaitingLine:
    """A queue for a server with two connections."""
    return WaitingLine("chat", ServerLimits(2, waiting, 5.0), Shares(2), Deadlines(loop), loop.time)


def test_the_first_is_next() -> None:
    loop = FakeLoop()
    queue, guests = line(loop), [StreamGuest(), StreamGuest()]
    for guest in guests:
        queue.enqueue(guest)
    loop.now += 2.0
    for guest in guests:
        waiting = queue.next()
        assert waiting is not None
        assert waiting.borrower is guest
    assert (queue.next(), queue.waiting, queue.wait_seconds) == (None, 0, 4.0)


def test_those_that_left_are_passed_over() -> None:
    queue, guest = line(FakeLoop()), StreamGuest()
    queue.enqueue(guest)
    guest.is_waiting = False
    assert queue.next() is None


def test_more_than_the_queue_takes_are_refused() -> None:
    queue, guests = line(FakeLoop(), waiting=1), [StreamGuest(), StreamGuest()]
    for guest in guests:
        queue.enqueue(guest)
    failure = guests[1].failure
    assert failure is not None
    assert failure.fault is UpstreamFault.BUSY


def test_a_wait_is_bounded() -> None:
    loop = FakeLoop()
    queue, guest = line(loop), StreamGuest()
    queue.enqueue(guest)
    (waiting,) = queue._queue
    assert waiting.deadline == loop.now + 5.0
    waiting.deadline_passed(loop.now)
    assert (guest.failure is not None, queue.waiting) == (True, 0)
