"""What came and went on a socket, since it was asked last."""

from collections.abc import Iterator

import pytest

from proxy.net.shared_io import READ_BUFFER_BYTES
from tests.fakes import FakeLoop, Wire


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def wire(loop: FakeLoop) -> Iterator[Wire]:
    wire = Wire(loop)
    yield wire
    wire.close()


def test_each_byte_is_counted_once(wire: Wire, loop: FakeLoop) -> None:
    wire.stream.resume_reading()
    for _ in range(2):
        wire.peer.send(b"four")
        loop.settle()
    wire.stream.write(b"twelve bytes")
    assert wire.stream.take_wire_bytes() == (8, 12), "what goes out at the end of the turn has gone"
    loop.settle()
    assert wire.stream.take_wire_bytes() == (0, 0)
    wire.peer.send(b"more")
    wire.stream.write(b"x" * 20_000)
    loop.settle()
    assert wire.stream.take_wire_bytes() == (4, 20_000)


def test_what_is_read_on_counts(wire: Wire, loop: FakeLoop) -> None:
    further: list[int] = []
    wire.owner.when_data = lambda _: further.append(len(wire.stream.read_on(3)))
    wire.stream.resume_reading()
    wire.peer.send(b"x" * (READ_BUFFER_BYTES + 3))
    loop.turn()
    assert further == [3]
    assert wire.stream.take_wire_bytes() == (READ_BUFFER_BYTES + 3, 0)


def test_what_the_kernel_does_not_take_has_not_gone(wire: Wire, loop: FakeLoop) -> None:
    wire.limit_buffers()
    wire.stream.write(b"x" * 1_000_000)
    taken = 1_000_000 - wire.stream.held_bytes
    assert wire.stream.take_wire_bytes() == (0, taken)
    received = 0
    while received < 1_000_000:
        received += len(wire.peer.recv(65_536))
        loop.turn()
    assert wire.stream.take_wire_bytes() == (0, 1_000_000 - taken)
