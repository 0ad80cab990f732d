"""The handshake on CRYPTO frames: records both ways. Whole ones are in the tests of the listener."""

from collections.abc import Iterator
from typing import Any

import pytest

from proxy.quic.handshake import CryptoStream, OwnSteps, records_of
from tests.proxy.quic.test_transport import World

PROTOCOL = -501


class Step:
    """One that is made and told."""

    def __init__(self, steps: OwnSteps, then: "Step | None" = None) -> None:
        self.steps, self.then = steps, then
        self.told: list[str] = []

    def step(self) -> None:
        self.told.append("step")

    def stepped(self) -> None:
        self.told.append("stepped")
        if self.then is not None:
            self.steps.enlist(self.then)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.sock.close()


@pytest.mark.parametrize(("level", "kind"), [(0, 22), (2, 23), (3, 23)])
def test_what_comes_is_put_into_records(level: int, kind: int) -> None:
    assert records_of(level, b"abc") == bytes([kind, 3, 3, 0, 3]) + b"abc"
    long = records_of(level, bytes(20_000))
    assert long[:5] == bytes([kind, 3, 3, 64, 0])
    assert long[5 + 16_384 : 10 + 16_384] == bytes([kind, 3, 3]) + (3_616).to_bytes(2)
    assert len(long) == 20_010


def test_steps_are_made_at_once_with_those_that_follow() -> None:
    asked: list[Any] = []
    steps = OwnSteps(asked.append)
    second = Step(steps)
    first = Step(steps, second)
    steps.enlist(first)
    assert len(asked) == 1
    steps.run()
    steps.run()
    assert first.told == second.told == ["step", "stepped"]


def test_what_is_written_is_applied(world: World) -> None:
    turns: list[int] = []
    applied: list[bytes] = []
    errors = [0, PROTOCOL]

    def apply(data: bytes) -> int:
        applied.append(data)
        return errors.pop(0)

    world.native.apply = apply
    stream = CryptoStream(world.transport, lambda: turns.append(1))
    stream.write(b"first")
    assert (applied, turns, world.transport.fault) == ([b"first"], [1], None)
    stream.write(b"second")
    assert world.transport.fault
    world.loop.settle()
    stream.write(b"third")
    assert applied == [b"first", b"second"]
    assert stream.unread_bytes == 0


@pytest.mark.parametrize(("way", "closes"), [("end", 1), ("abort", 1), ("drop", 0)])
def test_its_ends_are_those_of_the_connection(world: World, way: str, closes: int) -> None:
    stream = CryptoStream(world.transport, lambda: None)
    stream.pause_reading()
    stream.resume_reading()
    getattr(stream, way)()
    world.loop.settle()
    assert len(world.native.calls("close")) == closes
    assert world.ends == 1
