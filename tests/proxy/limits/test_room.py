"""Who is admitted to a listener, who makes room, and what workers do about what only others can
end."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from proxy.limits.connections import ClientCounts, ConnectionCounts, ListenerLimits
from proxy.limits.idleness import Idle, Shown
from proxy.limits.networks import EXEMPT, network_of
from proxy.limits.rates import Rate
from proxy.limits.reasons import ConnectionReason
from proxy.limits.room import Room
from proxy.limits.shared import SharedTable

ONE, TWO, THREE = (network_of(f"192.0.2.{number}") for number in (1, 2, 3))
R = ConnectionReason


def limits(
    *, connections: int = 100, of_one: int = 50, in_flight: int = 100, in_flight_of_one: int = 50, burst: int = 100
) -> ListenerLimits:
    """Limits, of which a test names the one it is about."""
    return ListenerLimits(connections, of_one, in_flight, in_flight_of_one, Rate.of(1.0, burst), 10.0)


@dataclass
class FakeConnections:
    """The idle ones of a process, which close as soon as they are asked to end."""

    idle: list[Idle] = field(default_factory=list)
    searches: int = 0

    def shed_idle(self, most: int, listener: str, client: bytes | None = None) -> list[Idle]:
        """End the first ones."""
        assert listener == "public"
        self.searches += 1
        meant = [one for one in self.idle if client is None or one.client == client][:most]
        self.idle = [one for one in self.idle if one not in meant]
        return meant

    def count_idle(self, listener: str) -> int:
        """All of them."""
        assert listener == "public"
        return len(self.idle)


@dataclass(eq=False)
class Peer:
    """A connection whose handshake is not over."""

    worker: "WorkerRoom"
    counts: ClientCounts
    client: bytes
    since: float
    is_unread: bool = False
    awaits_client: bool = True
    is_shed: bool = False

    def shed(self) -> None:
        """End."""
        assert not self.is_shed
        self.is_shed = True
        self.over()
        self.worker.counts.closed(self.counts)

    def over(self) -> None:
        """The handshake is over."""
        self.worker.room.over(self, self.counts)


class WorkerRoom:
    """The listener in one worker."""

    now = 1_000.0

    def __init__(self, table: SharedTable) -> None:
        self.limits = limits()
        self.counts = ConnectionCounts("public", table, lambda: self.now)
        self.connections = FakeConnections()
        self.reasons: Counter[str] = Counter()
        self.ended: list[bytes] = []
        self.room = Room("public", self.counts, self.connections, lambda: self.now, self.count)

    def count(self, reason: ConnectionReason, client: bytes) -> None:
        """Count one that was ended."""
        self.reasons[reason.value] += 1
        self.ended.append(client)

    def comes(self, network: bytes = ONE, *, is_exempt: bool = False) -> Peer | ConnectionReason:
        """A newcomer, or why it is none."""
        admitted = self.room.admit(network, self.limits, is_exempt=is_exempt)
        if isinstance(admitted, ConnectionReason):
            return admitted
        peer = Peer(self, admitted, EXEMPT if is_exempt else network, self.now)
        self.room.accepted(peer)
        return peer

    def silent(self, network: bytes = ONE) -> Peer:
        """One that is admitted."""
        peer = self.comes(network)
        assert isinstance(peer, Peer)
        return peer

    def answered(self, network: bytes = ONE) -> Peer:
        """One with a ClientHello, that owes the rest."""
        peer = self.silent(network)
        assert self.room.hello_shown(peer, peer.counts, self.limits)
        return peer

    def connected(self, network: bytes = ONE) -> Peer:
        """One whose handshake is over."""
        peer = self.answered(network)
        peer.over()
        return peer

    def idle(self, network: bytes = ONE) -> None:
        """One that is connected and has no request."""
        self.connected(network)
        self.connections.idle.append(Idle(Shown.HANDSHAKE, self.now, "public", network))

    def look(self, seconds: float = 0.25) -> None:
        """Time passes, and it looks."""
        self.now += seconds
        self.room.look(self.limits)


@pytest.fixture
def workers() -> Iterator[tuple[WorkerRoom, WorkerRoom]]:
    table = SharedTable.create(3)
    yield WorkerRoom(SharedTable(table.fd, 1)), WorkerRoom(SharedTable(table.fd, 2))
    os.close(table.fd)


@pytest.fixture
def here(workers: tuple[WorkerRoom, WorkerRoom]) -> WorkerRoom:
    return workers[0]


@pytest.fixture
def there(workers: tuple[WorkerRoom, WorkerRoom]) -> WorkerRoom:
    return workers[1]


class TestHandshakes:
    def test_the_oldest_silent_one_of_whom_has_most_makes_room(self, here: WorkerRoom) -> None:
        here.limits = limits(in_flight=4)
        first, lone, second = here.silent(ONE), here.silent(TWO), here.silent(ONE)
        here.silent(ONE)
        newest = here.silent(THREE)
        assert [one.is_shed for one in (first, lone, second, newest)] == [True, False, False, False]
        assert (here.reasons, here.ended) == ({R.SHED_SILENT: 1}, [ONE])
        assert here.counts.in_flight == 4

    def test_each_of_an_exempt_network_counts_for_itself(self, here: WorkerRoom) -> None:
        here.limits = limits(in_flight=5)
        several = [here.comes(ONE, is_exempt=True) for _ in range(3)]
        here.silent(TWO)
        here.silent(TWO)
        here.silent(THREE)
        assert here.ended == [TWO]
        assert not any(isinstance(one, ConnectionReason) or one.is_shed for one in several)

    def test_one_whose_first_bytes_are_there_is_spared(self, here: WorkerRoom) -> None:
        here.limits = limits(in_flight=3)
        unread, second, third = here.silent(), here.silent(), here.silent()
        unread.is_unread = True
        here.silent()
        here.silent()
        assert [one.is_shed for one in (unread, second, third)] == [False, True, True]

    def test_where_all_are_like_that_the_oldest_goes_all_the_same(self, here: WorkerRoom) -> None:
        """Or a byte to each of them at the same time would shut others out."""
        here.limits = limits(in_flight=90)
        several = [here.silent(bytes([number])) for number in range(90)]
        for one in several:
            one.is_unread = True
        here.silent()
        assert sum(one.is_shed for one in several) == 1

    def test_one_that_was_answered_goes_before_one_that_has_just_come(self, here: WorkerRoom) -> None:
        """A copied ClientHello costs nothing; and each honest client is silent at first."""
        here.limits = limits(in_flight=4)
        crowd = [here.answered() for _ in range(3)]
        honest = here.silent(TWO)
        here.silent(THREE)
        here.silent(bytes(4))
        assert [one.is_shed for one in (*crowd, honest)] == [True, True, False, False]
        assert here.reasons == {R.SHED_UNFINISHED: 2}

    def test_one_that_waits_for_us_never_goes(self, here: WorkerRoom) -> None:
        here.limits = limits(in_flight=3)
        stepping, signed, other = here.answered(), here.answered(), here.answered(TWO)
        stepping.awaits_client = signed.awaits_client = False
        here.room.token_asked(signed)
        here.silent(THREE)
        assert [one.is_shed for one in (stepping, signed, other)] == [False, False, True]
        here.silent(TWO).awaits_client = False
        assert here.comes() is R.HANDSHAKES_IN_FLIGHT
        signed.awaits_client = True
        for _ in range(2):  # after a second ClientHello, too
            here.room.token_answered(signed)
        here.silent()
        assert signed.is_shed
        assert here.counts.in_flight == 3

    def test_of_one_client_they_count_from_the_hello_on(self, here: WorkerRoom) -> None:
        here.limits = limits(in_flight_of_one=1)
        for _ in range(5):
            here.silent()
        first = here.answered()
        other = here.answered(TWO)
        second = here.answered()
        assert [one.is_shed for one in (first, other, second)] == [True, False, False]
        second.awaits_client = False
        late = here.silent()
        assert not here.room.hello_shown(late, late.counts, here.limits)
        second.awaits_client = True
        assert not here.room.hello_shown(late, late.counts, here.limits), "it was looked for just now"
        here.now += 0.3
        assert here.room.hello_shown(late, late.counts, here.limits)

    def test_of_an_exempt_network_there_may_be_any_number(self, here: WorkerRoom) -> None:
        here.limits = limits(in_flight_of_one=1, of_one=1, burst=1)
        for _ in range(3):
            peer = here.comes(is_exempt=True)
            assert isinstance(peer, Peer)
            assert here.room.hello_shown(peer, peer.counts, here.limits)


class TestConnections:
    def test_silent_ones_make_room_then_unfinished_ones_then_idle_ones(self, here: WorkerRoom) -> None:
        here.limits = limits(connections=4)
        here.idle()
        here.connected(TWO)
        here.answered()
        here.silent()
        here.now += 1
        for _ in range(3):
            here.connected(THREE)
        assert here.reasons == {R.SHED_SILENT: 1, R.SHED_UNFINISHED: 1, R.SHED_IDLE: 1}
        assert here.comes(TWO) is R.CONNECTIONS

    def test_who_has_just_come_is_not_pushed_out_for_idle_ones(self, here: WorkerRoom) -> None:
        here.limits = limits(connections=3)
        here.idle()
        here.idle()
        honest = here.silent(TWO)
        here.connected(THREE)
        assert here.reasons == {R.SHED_IDLE: 1}
        here.connections.idle.clear()
        here.silent(THREE)
        assert honest.is_shed, "there is nobody else"

    def test_of_one_client_only_its_own_make_room(self, here: WorkerRoom) -> None:
        here.limits = limits(of_one=3)
        other = here.silent(TWO)
        here.idle()
        here.answered()
        here.silent()
        here.now += 1
        for _ in range(3):
            here.connected()
        assert here.ended == [ONE] * 3
        assert here.reasons == {R.SHED_SILENT: 1, R.SHED_UNFINISHED: 1, R.SHED_IDLE: 1}
        assert here.comes() is R.CONNECTIONS_PER_ADDRESS
        assert not other.is_shed

    def test_of_one_client_that_has_nothing_else_the_one_before_goes(self, here: WorkerRoom) -> None:
        here.limits = limits(of_one=1)
        first = here.silent()
        here.silent()
        assert first.is_shed

    def test_a_search_in_vain_is_not_made_again_at_once(self, here: WorkerRoom) -> None:
        here.limits = limits(connections=2, of_one=1)
        here.connected()
        for _ in range(3):
            assert here.comes() is R.CONNECTIONS_PER_ADDRESS
        assert here.connections.searches == 1
        here.connected(TWO)
        for _ in range(3):
            assert here.comes(THREE) is R.CONNECTIONS
        assert here.connections.searches == 2
        here.now += 0.3
        assert here.comes(THREE) is R.CONNECTIONS
        assert here.connections.searches == 3

    def test_the_rate_of_one_client_is_none_of_others(self, here: WorkerRoom) -> None:
        here.limits = limits(burst=1)
        here.silent()
        assert here.comes() is R.HANDSHAKE_RATE
        here.silent(TWO)

    @pytest.mark.parametrize("total", [{"connections": 3}, {"in_flight": 2}])
    @pytest.mark.parametrize(
        ("own", "reason"), [({"burst": 1}, R.HANDSHAKE_RATE), ({"of_one": 1}, R.CONNECTIONS_PER_ADDRESS)]
    )
    def test_who_is_refused_for_itself_has_pushed_out_nobody(
        self, here: WorkerRoom, own: dict[str, int], total: dict[str, int], reason: ConnectionReason
    ) -> None:
        here.connected()
        here.silent(TWO)
        here.silent(TWO)
        here.now += 0.9
        here.limits = limits(**own, **total)
        assert here.comes() is reason
        assert not here.reasons


class TestTunnels:
    """A WebSocket over HTTP/2 is a connection for every limit on them, but has no handshake."""

    def tunnel(self, worker: WorkerRoom, network: bytes = ONE) -> ClientCounts | ConnectionReason:
        """One more."""
        return worker.room.admit_tunnel(network, worker.limits)

    def test_each_counts_for_its_client_and_for_all_workers(self, here: WorkerRoom, there: WorkerRoom) -> None:
        here.limits = there.limits = limits(connections=4, of_one=2)
        here.connected()
        tunnel = self.tunnel(there)
        assert isinstance(tunnel, ClientCounts)
        assert (self.tunnel(here), self.tunnel(there), here.comes()) == (R.CONNECTIONS_PER_ADDRESS,) * 3
        here.connected(TWO)
        here.connected(THREE)
        assert self.tunnel(there, bytes(4)) is R.CONNECTIONS
        assert self.tunnel(there, EXEMPT) is R.CONNECTIONS, "the limit on all is one on exempt clients too"
        assert (there.counts.open, there.counts.in_flight) == (1, 0)
        there.counts.closed(tunnel)
        here.connected(bytes(4))

    @pytest.mark.parametrize("limit", [{"of_one": 2}, {"connections": 2}])
    def test_what_is_idle_makes_room_for_one(self, here: WorkerRoom, limit: dict[str, int]) -> None:
        here.limits = limits(**limit)
        here.idle()
        here.connected()
        assert isinstance(self.tunnel(here), ClientCounts)
        assert here.reasons == {R.SHED_IDLE: 1}

    def test_exempt_clients_may_have_more_than_one_address(self, here: WorkerRoom) -> None:
        here.limits = limits(of_one=1)
        assert all(isinstance(self.tunnel(here, EXEMPT), ClientCounts) for _ in range(3))


class TestIntroducedByABalancer:
    """It is admitted as exempt, and counts for its client once a header names one."""

    def test_it_counts_for_the_client_from_then_on(self, here: WorkerRoom) -> None:
        sent = here.comes(is_exempt=True)
        assert isinstance(sent, Peer)
        client = here.room.identify(sent.counts, TWO, here.limits, is_exempt=False)
        assert not isinstance(client, ConnectionReason)
        assert (client.network, client.connections, sent.counts.connections) == (TWO, 1, 0)
        here.counts.closed(client)
        assert here.counts._clients == {}

    @pytest.mark.parametrize("own", [{"of_one": 1}, {"burst": 1}])
    def test_beyond_a_limit_of_the_client_it_stays_the_balancers(self, here: WorkerRoom, own: dict[str, int]) -> None:
        here.limits = limits(**own)
        here.connected(TWO)
        sent = here.comes(is_exempt=True)
        assert isinstance(sent, Peer)
        refused = here.room.identify(sent.counts, TWO, here.limits, is_exempt=False)
        assert isinstance(refused, ConnectionReason)
        assert sent.counts.connections == 1
        assert not isinstance(here.room.identify(sent.counts, TWO, here.limits, is_exempt=True), ConnectionReason)

    def test_one_of_the_client_may_make_room(self, here: WorkerRoom) -> None:
        here.limits = limits(of_one=1)
        here.silent(TWO)
        here.now += 0.9
        sent = here.comes(is_exempt=True)
        assert isinstance(sent, Peer)
        assert not isinstance(here.room.identify(sent.counts, TWO, here.limits, is_exempt=False), ConnectionReason)
        assert here.reasons == {R.SHED_SILENT: 1}

    def test_who_is_handed_on_makes_no_room(self, here: WorkerRoom) -> None:
        here.limits = limits(in_flight=1)
        one = here.comes(is_exempt=True)
        assert isinstance(one, Peer)
        here.room.handed_on(one)
        assert here.comes(TWO) is R.HANDSHAKES_IN_FLIGHT


class TestSeveralWorkers:
    def test_limits_are_those_of_all(self, here: WorkerRoom, there: WorkerRoom) -> None:
        for limit, reason in (
            (limits(connections=2), R.CONNECTIONS),
            (limits(of_one=2), R.CONNECTIONS_PER_ADDRESS),
        ):
            here.limits = there.limits = limit
            several = [here.connected(), there.connected()]
            assert here.comes() is there.comes() is reason
            for one in several:
                one.worker.counts.closed(one.counts)

    def test_where_only_others_can_make_room_it_is_taken_and_they_end_what_is_too_much(
        self, here: WorkerRoom, there: WorkerRoom
    ) -> None:
        """Nobody is turned away because the silent ones happen to be with another worker."""
        here.limits = there.limits = limits(in_flight=10)
        crowd = [there.silent(TWO) for _ in range(10)]
        honest = [here.silent() for _ in range(3)]
        assert here.counts.surplus(here.limits)[1] == 4
        there.look()
        assert [one.is_shed for one in crowd] == [True] * 3 + [False] * 7
        assert not any(one.is_shed for one in honest)
        assert here.counts.surplus(here.limits)[1] == 1

    def test_not_more_is_taken_than_the_others_can_spare(self, here: WorkerRoom, there: WorkerRoom) -> None:
        here.limits = there.limits = limits(in_flight=4)
        busy = [there.answered(TWO) for _ in range(3)]
        for one in busy:
            there.room.token_asked(one)
        there.silent(TWO)
        first = here.answered()
        first.awaits_client = False
        assert here.comes() is R.HANDSHAKES_IN_FLIGHT
        there.look()
        assert there.reasons == {R.SHED_SILENT: 1}

    def test_idle_ones_of_others_make_room_too(self, here: WorkerRoom, there: WorkerRoom) -> None:
        here.limits = there.limits = limits(connections=4)
        for _ in range(4):
            there.idle(TWO)
        there.look()
        here.connected()
        there.look()
        assert there.reasons == {R.SHED_IDLE: 1}
        there.connections.idle.clear()
        there.look()
        here.now += 1
        assert here.comes() is R.CONNECTIONS

    def test_one_whose_last_connection_is_gone_has_nothing_to_spare(self, here: WorkerRoom, there: WorkerRoom) -> None:
        there.limits = limits(in_flight=1)
        there.silent().shed()
        there.look()
        assert here.counts.others_can_spare == (0, 0)


class TestLooking:
    def test_who_takes_too_long_for_what_is_left_goes(self, here: WorkerRoom) -> None:
        here.limits = limits(in_flight=4)
        early = [here.silent() for _ in range(2)]
        here.look(5.0)
        assert not any(one.is_shed for one in early), "half of it is free"
        late = [here.silent() for _ in range(2)]
        here.look()
        assert [one.is_shed for one in (*early, *late)] == [True, True, False, False]

    def test_the_shorter_time_is_that_of_the_hello(self, here: WorkerRoom) -> None:
        here.limits = limits(in_flight=4)
        answered = [here.answered() for _ in range(3)]
        here.look(9.0)
        assert not any(one.is_shed for one in answered), "the rest of a handshake has the whole time"

    def test_what_is_told_to_end_counts_no_more_before_it_has_closed(self, here: WorkerRoom) -> None:
        here.limits = limits(connections=2)
        here.idle(TWO)
        here.now += 1
        here.idle(TWO)
        here.now += 1
        here.silent()
        assert (here.counts.open, here.reasons) == (3, {"shed_idle": 1})
        here.look()
        assert here.reasons == {"shed_idle": 1}

    def test_with_nobody_there_it_has_nothing_to_do(self, here: WorkerRoom) -> None:
        here.look()
        assert (here.reasons, here.connections.searches) == ({}, 0)
