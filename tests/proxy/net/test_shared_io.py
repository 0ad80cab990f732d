"""Small sends of a turn go out together when it ends."""

import socket

import pytest

from proxy.net.readiness import EPOLLIN, Ready
from proxy.net.shared_io import READ_BUFFER_BYTES, Sender, SharedIo
from tests.fakes import FakeLoop


class Stream(Sender):
    """Keeps count of its flushes; may write again from inside one."""

    def __init__(self, order: list["Stream"], then: "Stream | None" = None, io: SharedIo | None = None) -> None:
        self.order, self.then, self.io = order, then, io

    def flush(self) -> None:
        self.order.append(self)
        if self.then is not None and self.io is not None:
            self.io.enlist(self.then)


def test_all_are_flushed_in_their_order_when_the_turn_ends() -> None:
    loop = FakeLoop()
    io = SharedIo(loop)
    flushed: list[Stream] = []
    streams = [Stream(flushed) for _ in range(5)]
    for stream in streams:
        io.enlist(stream)
    assert flushed == []
    assert len(loop.ready) == 1  # one callback for all of them
    loop.settle()
    assert flushed == streams
    loop.settle()
    assert flushed == streams


def test_many_do_not_wait_for_the_end_of_the_turn() -> None:
    loop = FakeLoop()
    io = SharedIo(loop)
    flushed: list[Stream] = []
    streams = [Stream(flushed) for _ in range(65)]
    for stream in streams[:63]:
        io.enlist(stream)
    assert flushed == []
    io.enlist(streams[63])
    assert flushed == streams[:64]
    io.enlist(streams[64])
    loop.settle()
    assert flushed == streams


def test_who_writes_while_others_are_flushed_has_its_turn_too() -> None:
    loop = FakeLoop()
    io = SharedIo(loop)
    flushed: list[Stream] = []
    second = Stream(flushed)
    first = Stream(flushed, second, io)
    io.enlist(first)
    loop.settle()
    assert flushed == [first, second]


def test_one_that_fails_strands_no_other() -> None:
    class Failing(Stream):
        def flush(self) -> None:
            raise LookupError("a flaw")

    loop = FakeLoop()
    io = SharedIo(loop)
    flushed: list[Stream] = []
    others = [Stream(flushed) for _ in range(3)]
    for stream in (others[0], Failing(flushed), *others[1:]):
        io.enlist(stream)
    with pytest.raises(LookupError, match="a flaw"):
        loop.settle()
    loop.settle()
    assert flushed == others


class Reader(Ready):
    """Has a small piece to send whenever it can read."""

    def __init__(self, io: SharedIo, flushed: list[Stream]) -> None:
        self.io, self.flushed = io, flushed
        self.sock, self.peer = socket.socketpair()
        io.readiness.change(self.sock.fileno(), 0, EPOLLIN, self)
        self.peer.send(b"x")

    def ready(self, events: int) -> None:
        assert events == EPOLLIN
        assert self.flushed == []
        self.io.enlist(Stream(self.flushed))

    def close(self) -> None:
        self.io.readiness.change(self.sock.fileno(), EPOLLIN, 0, self)
        self.sock.close()
        self.peer.close()


def test_what_reports_lead_to_is_flushed_right_behind_the_last_one() -> None:
    loop = FakeLoop()
    io = SharedIo(loop)
    flushed: list[Stream] = []
    readers = [Reader(io, flushed) for _ in range(3)]
    loop.turn()
    assert len(flushed) == 3
    assert not loop.ready  # without a callback of the loop
    for reader in readers:
        reader.close()


class Follower(Reader):
    """Asks to be called after the reports, from there once more, and writes each time."""

    def ready(self, events: int) -> None:
        super().ready(events)
        self.io.after_reports(self.follow)

    def follow(self) -> None:
        assert len(self.flushed) in (0, 4)
        self.io.enlist(Stream(self.flushed))
        if not self.flushed:
            self.io.after_reports(self.follow)


def test_what_comes_after_the_reports_is_flushed_with_the_rest_and_comes_again_in_the_next_turn() -> None:
    loop = FakeLoop()
    io = SharedIo(loop)
    flushed: list[Stream] = []
    readers = [Follower(io, flushed), *(Reader(io, flushed) for _ in range(2))]
    loop.turn()
    assert len(flushed) == 4
    for reader in readers:
        reader.close()
    loop.settle()
    assert len(flushed) == 5


class Composer(Reader):
    """Says after the reports what it has to send, unless it fails."""

    fails = False

    def ready(self, events: int) -> None:
        assert events == EPOLLIN
        self.io.after_reports(self.compose)

    def compose(self) -> None:
        if self.fails:
            raise LookupError("a flaw")
        self.io.enlist(Stream(self.flushed))


def test_what_several_write_after_the_reports_is_flushed_in_the_same_turn() -> None:
    loop = FakeLoop()
    io = SharedIo(loop)
    flushed: list[Stream] = []
    readers = [Composer(io, flushed) for _ in range(3)]
    loop.turn()
    assert len(flushed) == 3
    assert not loop.ready  # without a callback of the loop
    for reader in readers:
        reader.close()


def test_one_that_fails_after_the_reports_strands_no_other() -> None:
    loop = FakeLoop()
    io = SharedIo(loop)
    flushed: list[Stream] = []
    readers = [Composer(io, flushed) for _ in range(3)]
    readers[0].fails = True
    with pytest.raises(LookupError, match="a flaw"):
        loop.turn()
    for reader in readers:
        reader.close()
    loop.settle()
    assert len(flushed) == 2


def test_where_nothing_is_reported_it_comes_in_the_next_turn() -> None:
    loop = FakeLoop()
    called: list[bool] = []
    SharedIo(loop).after_reports(lambda: called.append(True))
    assert not called
    loop.turn()
    assert called == [True]


def test_what_fails_after_the_reports_strands_nobody() -> None:
    class Failing(Follower):
        def follow(self) -> None:
            raise LookupError("a flaw")

    loop = FakeLoop()
    io = SharedIo(loop)
    flushed: list[Stream] = []
    reader = Failing(io, flushed)
    with pytest.raises(LookupError, match="a flaw"):
        loop.turn()
    assert len(flushed) == 1
    reader.close()
    io.enlist(Stream(flushed))
    loop.turn()
    assert len(flushed) == 2


@pytest.mark.parametrize("count", [1, 1_023, 1_024, 16_406])
def test_view_shows_what_was_read_last(count: int) -> None:
    io = SharedIo(FakeLoop())
    for octet in (b"a", b"b"):
        io.room(16_406)[:] = octet * 16_406
        assert io.received(count) == octet * count
    assert io.room(16_406) is io.room(16_406)


@pytest.mark.parametrize(("reports", "most"), [(1, 5), (2, 2), (3, 1), (64, 1)])
def test_busy_streams_of_one_turn_share_the_room(reports: int, most: int) -> None:
    io = SharedIo(FakeLoop())
    io.readiness.reports = reports
    room = io.room(READ_BUFFER_BYTES)
    for _ in range(4):
        room = io.larger_room(room)
    assert len(room) // READ_BUFFER_BYTES == most
