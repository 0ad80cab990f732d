"""OpenSSL's steps of a turn stand together, there are few of them, and one that fails strands nobody."""

from collections.abc import Callable

import pytest

from proxy.tls.openssl.step_queue import StepQueue
from tests.fakes import FakeLoop


def nothing() -> None:
    """A handshake that has nothing else to do."""


class Handshake:
    """Keeps a record of what it was told; may do something else in its place."""

    def __init__(
        self, name: int, record: list[str], step: Callable[[], None] = nothing, stepped: Callable[[], None] = nothing
    ) -> None:
        self.name, self.record = name, record
        self.when_step, self.when_stepped = step, stepped

    def step(self) -> None:
        self.when_step()
        self.record.append(f"step {self.name}")

    def stepped(self) -> None:
        self.when_stepped()
        self.record.append(f"stepped {self.name}")


def flaw() -> None:
    """What nobody thought of."""
    raise LookupError("a flaw")


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def queue(loop: FakeLoop) -> StepQueue:
    return StepQueue(loop.call_soon)


def test_all_step_before_anybody_goes_on(loop: FakeLoop, queue: StepQueue) -> None:
    record: list[str] = []
    for name in range(3):
        queue.enlist(Handshake(name, record))
    assert record == []
    assert len(loop.ready) == 1  # one callback for all of them
    loop.turn()
    assert record == ["step 0", "step 1", "step 2", "stepped 0", "stepped 1", "stepped 2"]
    assert not loop.turn()


def test_a_turn_makes_eight_steps(loop: FakeLoop, queue: StepQueue) -> None:
    record: list[str] = []
    for name in range(20):
        queue.enlist(Handshake(name, record))
    made = []
    while loop.turn():
        made.append(len(record) // 2)
    assert made == [8, 16, 20]
    assert [entry for entry in record if entry.startswith("stepped")] == [f"stepped {name}" for name in range(20)]


def test_it_is_behind_while_more_wait_than_a_turn_makes(loop: FakeLoop, queue: StepQueue) -> None:
    said = []
    for name in range(17):
        queue.enlist(Handshake(name, []))
        said.append(queue.is_behind)
    assert said == [False] * 8 + [True] * 9
    loop.turn()
    assert queue.is_behind
    loop.turn()
    assert not queue.is_behind


def test_who_goes_on_may_enlist_again(loop: FakeLoop, queue: StepQueue) -> None:
    record: list[str] = []
    second = Handshake(2, record)
    queue.enlist(Handshake(1, record, stepped=lambda: queue.enlist(second)))
    loop.settle()
    assert record == ["step 1", "stepped 1", "step 2", "stepped 2"]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_step_that_fails_strands_nobody(loop: FakeLoop, queue: StepQueue, failing: int) -> None:
    loop.failures = []
    record: list[str] = []
    for name in range(3):
        queue.enlist(Handshake(name, record, step=flaw if name == failing else nothing))
    loop.settle()
    assert [str(failure) for failure in loop.failures] == ["a flaw"]
    others = {0, 1, 2} - {failing}
    assert sorted(record) == sorted([f"step {name}" for name in others] + [f"stepped {name}" for name in others])


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_one_that_cannot_go_on_strands_nobody(loop: FakeLoop, queue: StepQueue, failing: int) -> None:
    loop.failures = []
    record: list[str] = []
    for name in range(3):
        queue.enlist(Handshake(name, record, stepped=flaw if name == failing else nothing))
    loop.settle()
    assert [str(failure) for failure in loop.failures] == ["a flaw"]
    assert [entry for entry in record if entry.startswith("stepped")] == [
        f"stepped {name}" for name in range(3) if name != failing
    ]
