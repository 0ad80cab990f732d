"""The connections of a loop: each one is asked to end and waited for, and idle ones make room."""

from dataclasses import dataclass, field

from proxy.downstream.service.connections import OpenConnections
from proxy.limits.idleness import Idle, Shown
from tests.fakes import FakeLoop


@dataclass(eq=False)
class FakeConnection:
    """A connection that is asked to end."""

    asked: list[float] = field(default_factory=list)
    were_gentle: list[bool] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    idle: Idle | None = None
    is_shed: bool = False

    def shed(self) -> None:
        """Note it."""
        self.is_shed = True

    def drain(self, seconds: float, *, gently: bool = False) -> None:
        """Note it."""
        self.asked.append(seconds)
        self.were_gentle.append(gently)

    def give_up(self, reason: str) -> None:
        """Note it."""
        self.given_up.append(reason)

    def configuration_changed(self, seconds: float) -> None:
        """Note it."""
        self.changes.append(seconds)


def waiting(since: float, shown: Shown = Shown.HANDSHAKE, listener: str = "public", client: bytes = b"some") -> Idle:
    """A connection that nobody uses."""
    return Idle(shown, since, listener, client)


def no_connections() -> OpenConnections:
    """Those of a loop that just began."""
    return OpenConnections(FakeLoop().time)


class TestDrain:
    """The end of a process, as its connections see it."""

    def test_every_connection_is_asked_and_waited_for(self) -> None:
        shared, first, second = no_connections(), FakeConnection(), FakeConnection()
        shared.opened(first)
        shared.opened(second)
        quiet = shared.drain(30.0)
        assert (first.asked, second.asked) == ([30.0], [30.0])
        assert shared.is_draining
        shared.closed(first)
        assert not quiet.is_set()
        shared.closed(second)
        assert quiet.is_set()

    def test_without_connections_it_is_quiet_at_once(self) -> None:
        assert no_connections().drain(30.0).is_set()

    def test_connections_that_end_before_do_not_make_it_quiet(self) -> None:
        shared, early, late = no_connections(), FakeConnection(), FakeConnection()
        shared.opened(early)
        shared.closed(early)
        shared.opened(late)
        assert not shared.drain(30.0).is_set()
        assert early.asked == []

    def test_connection_that_comes_during_a_drain_is_asked_as_well(self) -> None:
        shared, first, late = no_connections(), FakeConnection(), FakeConnection()
        shared.opened(first)
        shared.drain(30.0)
        shared.opened(late)
        assert late.asked == [30.0]

    def test_those_that_are_left_are_given_up_with_a_reason(self) -> None:
        shared, left = no_connections(), FakeConnection()
        shared.opened(left)
        shared.drain(30.0)
        shared.give_up("time is over")
        assert left.given_up == ["time is over"]

    def test_websocket_is_asked_and_waited_for_as_well(self) -> None:
        shared, early, late = no_connections(), FakeConnection(), FakeConnection()
        shared.tunnel_opened(early)
        quiet = shared.drain(30.0)
        shared.tunnel_opened(late)
        assert (early.asked, late.asked, shared.count) == ([30.0], [30.0], 2)
        shared.closed(early)
        assert not quiet.is_set()
        shared.give_up("time is over")
        assert (early.given_up, late.given_up) == ([], ["time is over"])
        shared.closed(late)
        assert quiet.is_set()

    def test_connection_may_end_while_it_is_asked(self) -> None:
        shared = no_connections()

        class Idle(FakeConnection):
            def drain(self, seconds: float, *, gently: bool = False) -> None:
                super().drain(seconds, gently=gently)
                shared.closed(self)

        for _ in range(3):
            one = Idle()
            shared.opened(one)
        assert shared.drain(1.0).is_set()


class TestShedding:
    """Room for others."""

    def test_those_that_were_idle_the_longest_go_first_and_those_in_use_stay(self) -> None:
        shared = no_connections()
        connections = [FakeConnection(idle=one) for one in (waiting(30.0), None, waiting(10.0), waiting(20.0), None)]
        for connection in connections:
            shared.opened(connection)
        assert shared.count == 5
        assert shared.shed(2) == [waiting(10.0), waiting(20.0)]
        assert [connection.is_shed for connection in connections] == [False, False, True, True, False]

    def test_those_that_have_shown_less_go_before(self) -> None:
        shared = no_connections()
        several = [waiting(10.0), waiting(20.0, shown=Shown.NOTHING), waiting(15.0, shown=Shown.HELLO)]
        for one in several:
            shared.opened(FakeConnection(idle=one))
        assert shared.shed(2) == [several[1], several[2]]

    def test_used_connections_of_who_has_few_stay_while_tunnels_make_room(self) -> None:
        shared = no_connections()
        used, silent, young = (
            FakeConnection(idle=waiting(since, Shown.REQUEST if not since else Shown.SILENCE, client=b"%d" % since))
            for since in (0.0, 1.0, 1000.0)
        )
        shared.opened(used)
        for tunnel in (silent, young):
            shared.tunnel_opened(tunnel)
        shared.clock = lambda: 1000.0
        assert shared.shed(9) == [silent.idle], "the young one may go in a moment"
        shared.closed(silent)
        shared.closed(young)
        shared.clock = lambda: 1000.9
        assert shared.shed(9) == [], "the tunnel that was ended may still hold its descriptors"
        shared.clock = lambda: 1001.0
        assert shared.shed(9) == [used.idle], "nothing else makes room"

    def test_for_a_listener_or_one_of_its_clients_only_theirs_go_that_are_connected(self) -> None:
        shared = no_connections()
        ours, theirs = waiting(10.0), waiting(9.0, client=b"else")
        for one in (ours, theirs, waiting(8.0, listener="internal"), waiting(7.0, shown=Shown.HELLO)):
            shared.opened(FakeConnection(idle=one))
        assert shared.count_idle("public") == 2
        assert shared.shed_idle(5, "public", b"else") == [theirs]
        assert shared.shed_idle(1, "internal") == [waiting(8.0, listener="internal")]
        assert shared.shed_idle(1, "public") == [theirs]

    def test_silent_tunnels_go_for_their_own_client_too_and_those_in_use_for_others_alone(self) -> None:
        shared = no_connections()
        silent, busy = waiting(9.0, Shown.SILENCE), [waiting(1.0, Shown.MESSAGES)] * 7
        for one in (silent, *busy):
            shared.tunnel_opened(FakeConnection(idle=one))
        assert shared.count_idle("public") == 1
        assert shared.shed_idle(9, "public", b"some") == [silent]
        assert shared.shed_idle(1, "public") == [silent]
        assert shared.shed_idle(9, "public") == [silent, *busy]
