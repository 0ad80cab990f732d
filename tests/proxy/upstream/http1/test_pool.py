"""Connections are lent, reused, bounded; nobody is served twice and nobody is forgotten."""

import asyncio
import re
import socket
import ssl
from asyncio import AbstractEventLoop
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from hypothesis import given
from hypothesis import strategies as st

from config.schema import ServerAddress
from proxy.limits.networks import EXEMPT
from proxy.net.deadlines import NEVER, Deadlines
from proxy.net.shared_io import SharedIo
from proxy.net.tasks import Tasks
from proxy.tls.openssl.stream import TlsLimits
from proxy.upstream.http1.connection import UpstreamConnection
from proxy.upstream.http1.pool import Pool
from proxy.upstream.pooling.carrier import Carrier
from proxy.upstream.pooling.client_link import NO_LINK, ClientLink
from proxy.upstream.pooling.dial import DialSettings
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.pooling.pools import PoolResources, PoolSettings, ServerLimits
from tests.fakes import LINGER
from tests.fakes_http import RESPONSES, RecordingExchange, request_head

CLIENT, OTHER = b"\x0a\0\0\1", b"\x0a\0\0\2"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Guest:
    """A borrower that sends one request as soon as it can."""

    def __init__(self, holder: bytes = CLIENT, link: ClientLink = NO_LINK) -> None:
        self.holder = holder
        self.link = link
        self.is_waiting = True
        self.connection: UpstreamConnection | None = None
        self.failures: list[UpstreamFault] = []
        self.details: list[str] = []
        self.exchange = RecordingExchange()
        self.has_left = False
        self.calls = 0

    def upstream_acquired(self, connection: Carrier) -> None:
        """Send the request."""
        assert isinstance(connection, UpstreamConnection)
        assert self.is_waiting
        assert connection.is_idle, "a connection that somebody else uses"
        self.calls += 1
        self.is_waiting = False
        self.connection = connection
        connection.begin(self.exchange, request_head(), None, b"GET / HTTP/1.1\r\n\r\n")
        connection.is_request_complete = True

    def upstream_unavailable(self, failure: UpstreamFailure) -> None:
        """Note the fault."""
        assert self.is_waiting
        self.calls += 1
        self.is_waiting = False
        self.failures.append(failure.fault)
        self.details.append(failure.detail)

    def leave(self) -> None:
        """The client is gone."""
        self.is_waiting = False
        self.has_left = True

    @property
    def is_served(self) -> bool:
        """Whether it has a connection and no answer yet."""
        return self.connection is not None and not self.exchange.events

    def answer(self) -> None:
        """Have the server answer."""
        assert self.connection is not None
        self.connection.data_received(ANSWER)


class Place:
    """A server at a Unix socket whose backlog takes every connection, and the pool in front of it."""

    def __init__(
        self, loop: AbstractEventLoop, directory: Path, limits: ServerLimits, tls: ssl.SSLContext | None
    ) -> None:
        self.loop = loop
        self.path = directory / "server.sock"
        self.limits = limits
        self._listening: socket.socket | None = None
        self.listen()
        address = ServerAddress("unix", path=str(self.path))
        self.errors: list[BaseException] = []
        self.deadlines = Deadlines(loop)
        self.tasks = Tasks(loop, self.errors.append)
        resources = PoolResources(SharedIo(loop), self.tasks, self.deadlines)
        dialling = DialSettings(address, 5.0, tls, ".a name that nobody can have", TlsLimits(32), LINGER)
        self.server = Pool(PoolSettings(dialling, RESPONSES, limits), resources)
        self.server.owner = self
        self.keeps_idle = True
        self.guests: list[Guest] = []

    def listen(self) -> None:
        """Take connections."""
        if self._listening is None:
            self._listening = socket.socket(socket.AF_UNIX)
            self._listening.bind(str(self.path))
            self._listening.listen(1_000)

    def dialled(self, fault: UpstreamFault | None) -> None:
        """How a dial ended is of no interest here."""

    def refuse(self) -> None:
        """Take none any more."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            self.path.unlink()

    def acquire(self, holder: bytes = CLIENT) -> Guest:
        """One more guest asks for a connection."""
        guest = Guest(holder)
        self.guests.append(guest)
        self.server.acquire(guest)
        return guest

    def settle(self) -> None:
        """Let the loop turn until dials and closes are through; connecting to a Unix socket never waits."""

        async def turns() -> None:
            for _ in range(8):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def numbers(self) -> dict[str, int]:
        """What `repr` says."""
        return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", repr(self.server))}

    def close(self) -> None:
        """End what is left."""
        self.refuse()
        self.loop.run_until_complete(self.tasks.cancel_all())
        for guest in self.guests:
            if guest.is_served and guest.connection is not None:
                guest.connection.abandon()
        self.server.close_idle()
        self.settle()


@contextmanager
def place(connections: int = 2, waiting: int = 2, tls: ssl.SSLContext | None = None) -> Iterator[Place]:
    """A pool with these limits, on a loop of its own."""
    with TemporaryDirectory() as directory, closing(uvloop.new_event_loop()) as loop:
        made = Place(loop, Path(directory), ServerLimits(connections, waiting, wait_seconds=5.0), tls)
        try:
            yield made
        finally:
            made.close()
        assert tls or made.errors == []


class TestLending:
    """What a borrower gets."""

    def test_first_request_dials(self) -> None:
        with place() as pool:
            guest = pool.acquire()
            assert pool.numbers() == {"open": 0, "idle": 0, "dialling": 1, "waiting": 0}
            pool.settle()
            assert guest.is_served
            assert pool.numbers() == {"open": 1, "idle": 0, "dialling": 0, "waiting": 0}

    def test_idle_connection_is_reused_at_once(self) -> None:
        with place() as pool:
            first = pool.acquire()
            pool.settle()
            first.answer()
            second = pool.acquire()
            assert second.connection is first.connection
            assert pool.numbers() == {"open": 1, "idle": 0, "dialling": 0, "waiting": 0}

    def test_connection_used_last_is_reused_first(self) -> None:
        with place() as pool:
            first, second = pool.acquire(), pool.acquire()
            pool.settle()
            first.answer()
            second.answer()
            assert pool.acquire().connection is second.connection

    def test_idle_connection_that_was_closed_is_passed_over(self) -> None:
        with place() as pool:
            first, second = pool.acquire(), pool.acquire()
            pool.settle()
            first.answer()
            second.answer()
            assert second.connection is not None
            second.connection.close_idle()
            assert pool.acquire().connection is first.connection

    def test_borrower_that_left_while_it_was_dialled_leaves_the_connection_to_the_next(self) -> None:
        with place() as pool:
            pool.acquire().leave()
            pool.settle()
            assert pool.numbers()["idle"] == 1
            assert pool.acquire().is_served

    def test_connection_that_nobody_wants_any_more_goes_to_who_waits(self) -> None:
        with place(connections=1) as pool:
            leaving, waiting = pool.acquire(), pool.acquire()
            leaving.leave()
            pool.settle()
            assert waiting.is_served

    def test_idle_connections_can_all_be_closed(self) -> None:
        with place() as pool:
            guests = [pool.acquire(), pool.acquire()]
            pool.settle()
            for guest in guests:
                guest.answer()
            pool.server.close_idle()
            pool.settle()
            assert pool.numbers() == {"open": 0, "idle": 0, "dialling": 0, "waiting": 0}

    def test_tasks_are_not_cancelled_into_errors(self) -> None:
        with place() as pool:
            pool.acquire()
            pool.loop.run_until_complete(pool.tasks.cancel_all())
            assert pool.errors == []


class TestLimits:
    """`connections`, `waiting` and `wait_timeout`."""

    def test_requests_beyond_the_connections_wait_in_order(self) -> None:
        with place() as pool:
            guests = [pool.acquire() for _ in range(4)]
            pool.settle()
            assert [guest.is_served for guest in guests] == [True, True, False, False]
            guests[1].answer()
            assert guests[2].connection is guests[1].connection
            guests[0].answer()
            assert guests[3].connection is guests[0].connection

    def test_requests_beyond_the_queue_are_refused_at_once(self) -> None:
        with place() as pool:
            guests = [pool.acquire() for _ in range(5)]
            assert guests[4].failures == [UpstreamFault.BUSY]

    def test_request_that_waits_too_long_is_refused(self) -> None:
        with place(connections=1) as pool:
            _, waiting = pool.acquire(), pool.acquire()
            (entry,) = pool.server.line._queue
            assert entry.deadline == entry.since + 5.0
            entry.deadline_passed(entry.deadline)
            assert waiting.failures == [UpstreamFault.BUSY]
            assert entry.deadline == NEVER
            assert pool.numbers()["waiting"] == 0

    def test_connection_goes_past_those_whose_clients_left(self) -> None:
        with place(connections=1) as pool:
            first, left, patient = pool.acquire(), pool.acquire(), pool.acquire()
            pool.settle()
            left.leave()
            first.answer()
            assert (left.calls, patient.is_served) == (0, True)

    def test_request_whose_client_left_hears_nothing(self) -> None:
        with place(connections=1) as pool:
            _, waiting = pool.acquire(), pool.acquire()
            waiting.leave()
            (entry,) = pool.server.line._queue
            entry.deadline_passed(entry.deadline)
            assert waiting.calls == 0

    def test_requests_whose_clients_left_keep_nobody_else_out(self) -> None:
        with place(connections=1, waiting=2) as pool:
            pool.acquire()
            for _ in range(2):
                pool.acquire().leave()
            guest = pool.acquire()
            assert guest.failures == []
            assert pool.numbers()["waiting"] == 1

    def test_connection_that_was_lost_makes_room(self) -> None:
        with place(connections=1) as pool:
            first, second = pool.acquire(), pool.acquire()
            pool.settle()
            assert first.connection is not None
            first.connection.abandon()
            pool.settle()
            assert second.is_served
            assert second.connection is not first.connection

    def test_load_counts_exchanges_dials_and_queue(self) -> None:
        with place(connections=1) as pool:
            assert pool.server.exchanges == 0
            first, _ = pool.acquire(), pool.acquire()
            assert pool.server.exchanges == 2
            pool.settle()
            assert pool.server.exchanges == 2
            first.answer()
            assert pool.server.exchanges == 1


class TestShares:
    """A client that holds on to connections leaves some to others; those that wait are served by client in turn."""

    def test_client_that_holds_its_share_waits_and_others_are_served(self) -> None:
        with place(connections=4, waiting=4) as pool:
            greedy = [pool.acquire() for _ in range(5)]
            other = pool.acquire(OTHER)
            pool.settle()
            assert [guest.is_served for guest in greedy] == [True, True, True, False, False]
            assert other.is_served

    def test_idle_connection_is_kept_for_others_too(self) -> None:
        with place(connections=4, waiting=4) as pool:
            other = pool.acquire(OTHER)
            greedy = [pool.acquire() for _ in range(4)]
            pool.settle()
            other.answer()
            assert pool.numbers() == {"open": 4, "idle": 1, "dialling": 0, "waiting": 1}
            assert not greedy[3].is_served
            assert pool.acquire(OTHER).connection is other.connection

    def test_client_that_gives_one_back_gets_one(self) -> None:
        with place(connections=4, waiting=4) as pool:
            greedy = [pool.acquire() for _ in range(4)]
            pool.settle()
            greedy[0].answer()
            assert greedy[3].connection is greedy[0].connection

    def test_share_is_given_back_where_there_is_no_room_to_use_it(self) -> None:
        with place(connections=1, waiting=1) as pool:
            first = pool.acquire()
            pool.settle()
            first.answer()
            assert first.connection is not None
            first.connection.close_idle()  # it counts until it is closed, in the next turn
            second = pool.acquire()
            assert pool.numbers()["waiting"] == 1
            pool.settle()
            assert second.is_served

    def test_exempt_client_gets_all(self) -> None:
        with place(connections=8) as pool:
            guests = [pool.acquire(EXEMPT) for _ in range(8)]
            pool.settle()
            assert all(guest.is_served for guest in guests)

    def test_connection_lost_in_a_dial_counts_no_more(self) -> None:
        with place(connections=4, waiting=4) as pool:
            pool.refuse()
            for _ in range(4):
                pool.acquire()
            pool.settle()
            pool.listen()
            guests = [pool.acquire() for _ in range(3)]
            pool.settle()
            assert all(guest.is_served for guest in guests)

    def test_those_that_wait_are_served_by_client_in_turn(self) -> None:
        with place(connections=1, waiting=4) as pool:
            served = pool.acquire()
            waiting = [pool.acquire(), pool.acquire(), pool.acquire(OTHER)]
            pool.settle()
            order = []
            for _ in range(3):
                served.answer()
                served = next(guest for guest in waiting if guest.is_served)
                order.append(waiting.index(served))
            assert order == [0, 2, 1]

    def test_full_queue_refuses_the_newest_of_the_client_with_most(self) -> None:
        with place(connections=1, waiting=3) as pool:
            pool.acquire()
            greedy = [pool.acquire() for _ in range(3)]
            other = pool.acquire(OTHER)
            assert [guest.failures for guest in greedy] == [[], [], [UpstreamFault.BUSY]]
            assert other.is_waiting
            assert pool.acquire().failures == [UpstreamFault.BUSY]
            assert pool.numbers()["waiting"] == 3

    def test_refusal_names_what_the_client_holds(self) -> None:
        with place(connections=1, waiting=0) as pool:
            pool.acquire()
            assert pool.acquire().details == [f"{pool.server.name}: of 1 connections this client holds 1"]


def picked(pool: Place, number: int, is_one: Callable[[Guest], bool]) -> list[Guest]:
    """One of the guests of whom it is true, if there is any."""
    candidates = [guest for guest in pool.guests if is_one(guest)]
    return [candidates[number % len(candidates)]] if candidates else []


def leave(pool: Place, number: int) -> None:
    """A client whose request waits closes its connection."""
    for guest in picked(pool, number, lambda one: one.is_waiting):
        guest.leave()


def answer(pool: Place, number: int) -> None:
    """A server answers."""
    for guest in picked(pool, number, lambda one: one.is_served):
        guest.answer()


def abandon(pool: Place, number: int) -> None:
    """A client whose request is with a server closes its connection."""
    for guest in picked(pool, number, lambda one: one.is_served):
        guest.exchange.events.append(("abandoned", None))
        assert guest.connection is not None
        guest.connection.abandon()


def lose(pool: Place, number: int) -> None:
    """A server closes without an answer."""
    for guest in picked(pool, number, lambda one: one.is_served):
        assert guest.connection is not None
        guest.connection.eof_received()


def wait(pool: Place, number: int) -> None:
    """A request has waited too long."""
    for entry in list(pool.server.line._queue)[number : number + 1]:
        entry.deadline_passed(entry.deadline)


def age(pool: Place, number: int) -> None:
    """A connection was not used for too long."""
    for connection in pool.server._idle[number : number + 1]:
        connection.deadline_passed(pool.loop.time())


HOLDERS = (CLIENT, CLIENT, OTHER, EXEMPT)
OPERATIONS: dict[str, Callable[[Place, int], object]] = {
    "acquire": lambda pool, number: pool.acquire(HOLDERS[number % len(HOLDERS)]),
    "answer": answer,
    "lose": lose,
    "abandon": abandon,
    "leave": leave,
    "wait": wait,
    "age": age,
    "settle": lambda pool, _: pool.settle(),
    "refuse": lambda pool, _: pool.refuse(),
    "listen": lambda pool, _: pool.listen(),
}
FREQUENT = [*OPERATIONS, "acquire", "acquire", "settle", "settle", "answer", "answer"]


@given(
    st.integers(1, 5),
    st.integers(0, 3),
    st.lists(st.tuples(st.sampled_from(FREQUENT), st.integers(0, 5)), max_size=40),
)
def test_whatever_happens_the_limits_hold_and_nobody_is_forgotten(
    connections: int, waiting: int, operations: list[tuple[str, int]]
) -> None:
    with place(connections, waiting) as pool:
        for operation, number in operations:
            OPERATIONS[operation](pool, number)
            numbers = pool.numbers()
            assert numbers["open"] + numbers["dialling"] <= connections
            assert numbers["waiting"] <= waiting
            assert all(guest.calls <= 1 for guest in pool.guests)
            used = [guest.connection for guest in pool.guests if guest.is_served]
            assert len(used) == len(set(used)), "one connection for two"
        for _ in range(waiting + 2):
            pool.settle()
        numbers = pool.numbers()
        served = sum(guest.is_served for guest in pool.guests)
        left_waiting = sum(guest.is_waiting for guest in pool.guests)
        held = Counter(guest.holder for guest in pool.guests if guest.is_served)
        assert numbers["dialling"] == 0
        assert numbers["open"] == served + numbers["idle"]
        assert numbers["waiting"] >= left_waiting
        free = connections - served
        for guest in pool.guests:
            share = 0 if guest.holder == EXEMPT else held[guest.holder]
            assert not guest.is_waiting or not free or share >= 3 * free, "one waits although its client may have more"
        assert all(guest.calls == 1 for guest in pool.guests if not guest.is_waiting and not guest.has_left)
        # whoever still waits is served once the others are done
        for _ in range(len(pool.guests)):
            for guest in pool.guests:
                if guest.is_served:
                    guest.answer()
            pool.settle()
        assert not any(guest.is_waiting for guest in pool.guests)
