"""What waits for slow clients: bounded for each, fair among all, and given back."""

from dataclasses import dataclass
from typing import Any

import pytest

from proxy.downstream.service.response_buffer import BufferLimits, ResponseBudget, ResponseBuffer
from proxy.limits.networks import EXEMPT

LIMITS = BufferLimits(most=100, total=1_000)


@dataclass
class Stream:
    """What leads to a client."""

    held_bytes: int = 0
    waiting_bytes: int = 0


class Client:
    """A connection of a client that takes nothing."""

    def __init__(self, budget: ResponseBudget, name: bytes) -> None:
        self.stream = Stream()
        self.buffer = ResponseBuffer(self.stream, budget)
        self.name = name

    def write(self, count: int, limits: BufferLimits = LIMITS) -> bool:
        self.stream.held_bytes += count
        return self.buffer.has_room(self.name, count, limits)

    def fill(self, piece: int, limits: BufferLimits = LIMITS) -> int:
        """Write as long as there is room; how much is held then."""
        while self.write(piece, limits):
            pass
        return self.stream.held_bytes


def test_answer_has_room_up_to_its_limit() -> None:
    budget = ResponseBudget()
    client = Client(budget, b"a")
    assert client.write(0)
    assert client.write(99)
    assert not client.write(1)
    assert (budget.held, budget.shortages) == (99, 0)


def test_what_was_taken_in_part_makes_room() -> None:
    client = Client(ResponseBudget(), b"a")
    client.fill(10)
    client.stream.held_bytes = 50
    assert client.write(0)


def test_what_was_taken_in_part_is_given_back() -> None:
    budget = ResponseBudget()
    client = Client(budget, b"a")
    client.fill(10, BufferLimits(most=1_000, total=100))
    client.stream.held_bytes = 5
    assert client.write(0, BufferLimits(most=1_000, total=100))
    assert budget.held == 5


def test_one_client_alone_comes_to_a_half() -> None:
    budget = ResponseBudget()
    connections = [Client(budget, b"a") for _ in range(20)]
    for client in connections:
        client.fill(10)
    assert 500 <= budget.held <= 510
    assert budget.shortages > 0


@pytest.mark.parametrize("clients", [2, 3, 4])
def test_several_come_to_equal_parts_and_leave_one_more_part_free(clients: int) -> None:
    budget = ResponseBudget()
    wide = BufferLimits(most=1_000, total=1_000)
    several = [Client(budget, b"%d" % number) for number in range(clients)]
    more = set(several)
    while more:
        more = {client for client in more if client.write(1, wide)}
    part = 1_000 // (clients + 1)
    assert all(abs(client.stream.held_bytes - part) <= clients for client in several)


def test_newcomer_has_room_whatever_another_one_holds() -> None:
    """And who has most is the first that gets no more."""
    budget = ResponseBudget()
    for _ in range(600):
        Client(budget, b"attacker").fill(10)
    assert Client(budget, b"honest").write(50)
    assert not Client(budget, b"attacker").write(1)


def test_clients_that_are_exempt_count_as_many() -> None:
    budget = ResponseBudget()
    for _ in range(9):
        assert Client(budget, EXEMPT).fill(10) == 100
    Client(budget, EXEMPT).write(99)
    Client(budget, EXEMPT).write(99)
    assert not Client(budget, EXEMPT).write(1)


def test_all_of_it_is_given_back() -> None:
    budget = ResponseBudget()
    clients = [Client(budget, name) for name in (b"a", b"a", b"b")]
    for client in clients:
        client.fill(30)
    for client in clients:
        client.buffer.release()
        client.buffer.release()
    assert (budget.held, budget._by_client) == (0, {})


def test_each_request_counts_for_its_own_client() -> None:
    """Behind a trusted peer the next one on a connection may be somebody else's."""
    budget = ResponseBudget()
    client = Client(budget, b"a")
    client.write(40)
    client.name = b"b"
    client.write(10)
    assert budget._by_client == {b"a": 50}, "what was begun for one is given back for the same"
    client.buffer.release()
    client.stream.held_bytes = 0
    client.write(10)
    assert budget._by_client == {b"b": 10}


def test_figures_are_told() -> None:
    budget = ResponseBudget()
    Client(budget, b"a").fill(60)
    assert budget.row() == {"held": 60, "shortages": 0}
    Client(budget, b"a").fill(60, BufferLimits(most=100, total=100))
    assert budget.row() == {"held": 60, "shortages": 1}


def test_without_a_buffer_servers_wait() -> None:
    assert not Client(ResponseBudget(), b"a").write(0, BufferLimits(most=0, total=1_000))
    assert not Client(ResponseBudget(), b"a").write(0, BufferLimits(most=100, total=0))


def test_it_is_the_backlog_of_its_client() -> None:
    client = Client(ResponseBudget(), b"a")
    client.stream.waiting_bytes = 7
    client.write(30)
    client.write(20)
    backlog: Any = client.buffer
    assert (backlog.waiting_bytes, backlog.written_bytes) == (7, 50)


def test_what_waits_beside_the_spool_counts_with_and_without_room() -> None:
    budget = ResponseBudget()
    client = Client(budget, b"a")
    client.fill(10)
    client.stream.held_bytes = 5_000
    client.buffer.hold(b"b")
    assert (budget.held_by(b"a"), budget.held_by(b"b")) == (5_000, 0)
    client.buffer.release()
    client.buffer.hold(b"b")
    assert (budget.held_by(b"a"), budget.held_by(b"b")) == (0, 5_000)
