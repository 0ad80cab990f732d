"""Who gets a place for a tunnel, who makes room for it, and who is refused."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from proxy.downstream.requests.tunnel_places import TunnelPlace, TunnelPlaces
from proxy.limits.connections import ClientCounts
from proxy.limits.idleness import Idle, Shown
from proxy.limits.networks import EXEMPT
from proxy.limits.reasons import ConnectionReason
from proxy.upstream.pooling.shares import Shares
from tests.fakes import FakeLoop

MANY, FEW, NEW = b"many", b"few", b"new"


@dataclass
class Server:
    """One with so many places."""

    places: Shares = field(default_factory=lambda: Shares(100))


@dataclass
class Counted:
    """The connections of a listener, with a limit that the test sets."""

    reason: ConnectionReason | None = None
    open: int = 0

    def admit_tunnel(self, network: bytes) -> ClientCounts | ConnectionReason:
        """Count one in, or say why not."""
        self.open += self.reason is None
        return self.reason or ClientCounts(network, (0, 0), (0, 0))

    def tunnel_over(self, client: ClientCounts) -> None:
        """Count one out."""
        assert client.network
        self.open -= 1


class Tunnel:
    """One that has a place."""

    def __init__(self, world: "World", client: bytes, shown: Shown, place: TunnelPlace) -> None:
        self.world, self.place, self.is_open = world, place, True
        self.is_ending = False
        self.known = Idle(shown, world.loop.time(), "public", client)
        place.holder = self

    @property
    def idle(self) -> Idle | None:
        """What is known of it; that it was looked at is counted."""
        self.world.looks += 1
        return None if self.is_ending else self.known

    def shed(self) -> None:
        """End at once."""
        self.world.gone[self.known.client] += 1
        self.end()

    def end(self) -> None:
        """Give the place back."""
        self.is_open = False
        self.place.release()


class World:
    """A process with a listener and a server."""

    def __init__(self, most: int) -> None:
        self.loop = FakeLoop()
        self.looks = 0
        self.gone: Counter[bytes] = Counter()
        self.counted: list[tuple[str, ConnectionReason, bytes]] = []
        self.places = TunnelPlaces(self.loop.time, self.loop.call_soon, lambda *one: self.counted.append(one))
        self.places.bound(most)
        self.server, self.listener = Server(), Counted()

    def comes(self, client: bytes, shown: Shown = Shown.SILENCE, **changes: Any) -> Tunnel | str:
        """A tunnel, or the limit that leaves no room for it."""
        given = {"server": self.server, "listener": self.listener, **changes}
        place = self.places.take(client, **given)
        return Tunnel(self, client, shown, place) if isinstance(place, TunnelPlace) else place

    def fill(self, client: bytes, count: int, shown: Shown = Shown.SILENCE) -> list[Tunnel]:
        """So many of a client, older than those that have just come."""
        made = []
        for _ in range(count):
            one = self.comes(client, shown)
            assert isinstance(one, Tunnel)
            made.append(one)
            self.loop.advance(0.01)
        self.loop.advance(1.0)
        return made


def test_client_at_its_share_replaces_a_silent_one_of_its_own() -> None:
    world = World(8)
    mine = world.fill(MANY, 6)
    world.fill(FEW, 1)
    assert isinstance(world.comes(MANY), Tunnel)
    assert [one.is_open for one in mine] == [False, *[True] * 5]
    assert world.counted == [("public", ConnectionReason.SHED_TUNNEL, MANY)]
    world.loop.settle()
    assert world.listener.open == 7


def test_client_at_its_share_that_uses_all_of_it_is_refused_and_others_are_not() -> None:
    world = World(8)
    world.fill(MANY, 6, Shown.MESSAGES)
    world.fill(FEW, 1)
    assert world.comes(MANY) == "out_of_descriptors"
    assert not world.gone
    assert isinstance(world.comes(NEW), Tunnel)
    assert world.listener.open == 8


def test_when_all_are_taken_the_client_with_the_most_makes_room_for_who_has_less() -> None:
    world = World(12)
    world.fill(MANY, 9, Shown.MESSAGES)
    world.fill(FEW, 2)
    world.fill(b"other", 1)
    assert isinstance(world.comes(NEW), Tunnel)
    assert world.gone == {FEW: 1}, "silent ones go first"
    world.loop.advance(1.0)
    assert isinstance(world.comes(b"newer"), Tunnel)
    assert isinstance(world.comes(b"newest"), Tunnel)
    assert world.gone[MANY] == 0, "as long as there are any"
    world.loop.advance(1.0)
    for one in list(world.places._open):
        holder = one.holder
        if isinstance(holder, Tunnel):
            holder.known = holder.known._replace(shown=Shown.MESSAGES)
    assert isinstance(world.comes(b"last"), Tunnel)
    assert world.gone[MANY] == 1, "that of who has more than a browser"


def test_client_with_the_most_pushes_nobody_out_and_finds_no_room_for_a_moment() -> None:
    world = World(12)
    world.fill(MANY, 9, Shown.MESSAGES)
    world.fill(FEW, 2)
    world.fill(b"other", 1)
    assert world.comes(MANY) == "out_of_descriptors"
    assert not world.gone
    assert (world.places.refusal_of(MANY), world.places.refusal_of(NEW)) == ("out_of_descriptors", None)
    world.loop.advance(0.25)
    assert world.places.refusal_of(MANY) is None


def test_a_search_in_vain_is_not_made_again_at_once_but_for_who_has_less() -> None:
    """A search looks at all of them, and many clients may come."""
    world = World(12)
    world.fill(MANY, 9, Shown.MESSAGES)
    world.fill(FEW, 2, Shown.MESSAGES)
    world.fill(b"other", 1, Shown.MESSAGES)
    for _ in range(3):
        assert world.comes(MANY) == "out_of_descriptors"
    assert world.looks == 12
    assert isinstance(world.comes(NEW), Tunnel)
    assert world.gone == {MANY: 1}
    world.loop.advance(0.25)
    assert world.comes(MANY) == "out_of_descriptors"
    assert world.looks > 24


def test_one_that_came_just_now_or_ends_already_makes_no_room() -> None:
    world = World(2)
    one, _ = world.fill(FEW, 2)
    one.is_ending = True
    assert isinstance(world.comes(NEW), Tunnel)
    assert world.comes(b"newer") == "out_of_descriptors"


def test_server_has_its_own_limit_and_its_own_tunnels_make_room() -> None:
    world, small = World(100), Server(Shares(2))
    elsewhere = world.fill(FEW, 5)
    assert isinstance(world.comes(MANY, server=small), Tunnel)
    assert isinstance(world.comes(MANY, server=small), Tunnel)
    world.loop.advance(1.0)
    assert isinstance(world.comes(NEW, server=small), Tunnel)
    assert world.gone == {MANY: 1}
    assert world.comes(NEW, server=small, shown=Shown.MESSAGES) == "websockets"
    assert world.places.refusal_of(NEW) is None, "another server may have room"
    assert all(one.is_open for one in elsewhere)
    world.loop.settle()
    assert (small.places.in_use, world.listener.open) == (2, 7)


def test_limits_of_the_listener_come_first_and_nothing_is_kept_of_who_was_refused() -> None:
    world = World(1)
    full = Counted(ConnectionReason.CONNECTIONS_PER_ADDRESS)
    assert world.comes(NEW, listener=full) == "connections_per_address"
    assert world.places.refusal_of(NEW) == "connections_per_address"
    assert world.server.places.in_use == 0
    world.fill(NEW, 1, Shown.MESSAGES)
    assert world.comes(FEW) == "out_of_descriptors"
    assert (world.server.places.in_use, world.listener.open) == (1, 1)


def test_exempt_clients_have_no_share_and_count_as_one_each() -> None:
    world = World(3)
    world.fill(EXEMPT, 2)
    world.fill(FEW, 1)
    assert isinstance(world.comes(EXEMPT, listener=None), Tunnel)
    assert sum(world.gone.values()) == 1


def test_crowd_of_refused_clients_is_not_remembered_for_ever() -> None:
    world = World(1)
    full = Counted(ConnectionReason.CONNECTIONS)
    for number in range(1_025):
        assert world.comes(b"%d" % number, listener=full) == "connections"
    assert (world.places.refusal_of(b"0"), world.places.refusal_of(b"1024")) == (None, "connections")
