"""How one server stands with its upstream, and what its WebSockets hear of a drain."""

import pytest

from proxy.upstream.pooling.failures import UpstreamFault
from proxy.upstream.pooling.statistics import ServerState
from proxy.upstream.servers.server import ServerRules
from tests.fakes import FakeLoop
from tests.fakes_http import RULES, FakeServer, FakeTunnel


class Case:
    """A server and a record of how many times its upstream was told to look."""

    def __init__(self, rules: ServerRules = RULES) -> None:
        self.loop = FakeLoop()
        self.connections = FakeServer(self.loop, rules=rules)
        self.server = self.connections.server
        self.looks = 0
        self.server.changed = self.look

    def look(self) -> None:
        """Count."""
        self.looks += 1

    def fail(self, count: int = 1, fault: UpstreamFault = UpstreamFault.UNREACHABLE) -> None:
        """Connections that cannot be made."""
        for _ in range(count):
            self.server.dialled(fault)


class TestEjection:
    """`ejection` decides; the server keeps the time."""

    def test_it_begins_with_the_last_failure_and_ends_after_its_time(self) -> None:
        case = Case()
        case.fail(2)
        assert (case.server.is_ejected, case.looks) == (False, 0)
        case.fail()
        assert (case.server.is_ejected, case.looks, case.server.state) == (True, 1, ServerState.EJECTED)
        case.loop.advance(9.9)
        assert case.server.is_ejected
        case.loop.advance(0.2)
        assert (case.server.is_ejected, case.looks, case.server.state) == (False, 2, ServerState.UP)

    def test_time_grows_with_each(self) -> None:
        case = Case()
        case.fail(3)
        case.loop.advance(10.1)
        case.fail()  # the first one after it
        case.loop.advance(19.8)
        assert case.server.is_ejected
        case.loop.advance(0.3)
        assert not case.server.is_ejected
        assert case.server.statistics("chat")["ejections"] == 2

    def test_connection_that_is_made_counts_for_it(self) -> None:
        case = Case()
        for _ in range(5):
            case.fail(2)
            case.server.dialled(None)
        assert not case.server.is_ejected
        assert case.server.failures == 10

    def test_lack_of_our_own_resources_is_not_its_fault(self) -> None:
        case = Case()
        case.fail(10, UpstreamFault.NO_ROOM)
        assert (case.server.is_ejected, case.server.failures) == (False, 0)

    def test_bad_answers_count_within_their_time(self) -> None:
        case = Case()
        for _ in range(3):
            case.server.answered_badly()
        case.loop.advance(10.1)
        case.server.failed_a_request()
        assert not case.server.is_ejected
        for _ in range(3):
            case.server.answered_badly()
        assert case.server.is_ejected
        assert case.server.failures == 1


class TestChecks:
    """The verdict of the active checks."""

    def test_same_verdict_again_changes_nothing(self) -> None:
        case = Case()
        case.server.check_told(is_up=True)
        assert case.looks == 0
        case.server.check_told(is_up=False)
        case.server.check_told(is_up=False)
        assert (case.looks, case.server.state, case.server.may_be_chosen) == (1, ServerState.DOWN, False)
        case.server.check_told(is_up=True)
        assert (case.looks, case.server.state, case.server.may_be_chosen) == (2, ServerState.UP, True)

    def test_idle_connections_are_given_up_and_none_are_kept(self) -> None:
        case = Case()
        closed = case.connections.idle_closed
        case.server.check_told(is_up=False)
        assert case.connections.idle_closed == closed + 1
        assert not case.server.keeps_idle


class TestDrain:
    """WebSockets stay for the time of the drain."""

    def test_they_are_closed_after_it_one_after_the_other(self) -> None:
        case, tunnels = Case(), [FakeTunnel(), FakeTunnel()]
        for tunnel in tunnels:
            case.server.tunnel_opened(tunnel)
        case.server.drain(60.0)
        case.server.tunnel_ended(tunnels[0])
        case.loop.advance(59.9)
        assert [tunnel.drains for tunnel in tunnels] == [[], []]
        case.loop.advance(0.2)
        assert [tunnel.drains for tunnel in tunnels] == [[], [10.0]]

    def test_short_drain_closes_them_in_a_short_time(self) -> None:
        case, tunnel = Case(), FakeTunnel()
        case.server.tunnel_opened(tunnel)
        case.server.drain(0.0)
        case.loop.advance(0.1)
        assert tunnel.drains == [0.0]

    def test_one_that_was_asked_for_before_is_closed_when_it_opens_too_late(self) -> None:
        case, tunnel, late = Case(), FakeTunnel(), FakeTunnel()
        case.server.drain(60.0)
        case.server.tunnel_opened(tunnel)
        assert tunnel.drains == []
        case.loop.advance(60.1)
        case.server.tunnel_opened(late)
        assert (tunnel.drains, late.drains) == ([10.0], [0.0])

    def test_second_drain_replaces_the_time_of_the_first(self) -> None:
        case, tunnel = Case(), FakeTunnel()
        case.server.tunnel_opened(tunnel)
        case.server.drain(60.0)
        case.server.drain(5.0)
        case.loop.advance(5.1)
        case.loop.advance(100.0)
        assert tunnel.drains == [5.0]

    def test_undrain_lets_them_stay(self) -> None:
        case, tunnel = Case(), FakeTunnel()
        case.server.tunnel_opened(tunnel)
        case.server.drain(60.0)
        case.server.undrain()
        case.loop.advance(100.0)
        assert (tunnel.drains, case.server.may_be_chosen, case.looks) == ([], True, 2)
        case.server.undrain()
        assert case.looks == 2

    def test_drained_is_who_has_nothing_left_to_do(self) -> None:
        case = Case()
        case.connections.exchanges = 1
        case.server.drain(0.0)
        states = [case.server.state]
        case.connections.exchanges = 0
        states.append(case.server.state)
        case.loop.advance(1.0)
        case.server.undrain()
        assert [*states, case.server.state] == [ServerState.DRAINING, ServerState.DRAINED, ServerState.UP]


class TestShare:
    """Weight and warmth."""

    def test_new_rules_change_the_weight_at_once_and_keep_what_was_counted(self) -> None:
        case = Case()
        case.fail(2)
        case.server.follow(ServerRules(7, 0.0, RULES.ejection, 1_000))
        assert case.server.share == 7.0
        case.fail()
        assert case.server.is_ejected

    def test_it_grows_to_the_weight(self) -> None:
        case = Case(ServerRules(4, 10.0, RULES.ejection, 1_000))
        case.server.begin_slowly()
        assert case.server.share == pytest.approx(0.4)
        case.loop.now += 5.0
        assert case.server.warm(case.loop.now)
        assert case.server.share == pytest.approx(2.0)
        case.loop.now += 5.0
        assert not case.server.warm(case.loop.now)
        assert case.server.share == 4.0


class TestRetirement:
    """No configuration has it any more."""

    def test_nobody_is_told_anything_and_nothing_is_kept(self) -> None:
        case = Case()
        case.fail(3)
        case.server.retire()
        assert not case.server.keeps_idle
        case.loop.advance(100.0)
        case.server.check_told(is_up=False)
        assert case.looks == 1

    def test_server_that_is_not_ejected_retires_too(self) -> None:
        case = Case()
        case.server.retire()
        assert not case.server.keeps_idle

    def test_its_drain_goes_on(self) -> None:
        case, tunnel = Case(), FakeTunnel()
        case.server.tunnel_opened(tunnel)
        case.server.drain(60.0)
        case.server.retire()
        case.loop.advance(60.1)
        assert tunnel.drains == [10.0]

    def test_successor_at_the_same_address_knows_what_was_said_and_who_is_there(self) -> None:
        case, successor, tunnel = Case(), Case(), FakeTunnel()
        case.server.tunnel_opened(tunnel)
        case.server.drain(60.0)
        case.server.check_told(is_up=False)
        case.fail()
        case.connections.requests = 5
        successor.server.succeed(case.server)
        case.server.retire()
        figures = successor.server.statistics("chat")
        assert (figures["requests"], figures["failures"], figures["websockets"]) == (5, 1, 1)
        assert (successor.server.is_down, successor.server.is_draining) == (True, True)
        successor.server.drain(1.0)
        successor.loop.advance(1.1)
        case.loop.advance(100.0)
        assert tunnel.drains == [1.0]
        case.server.tunnel_ended(tunnel)
        assert successor.server.tunnels == set()

    def test_drain_goes_on_for_its_time_at_the_successor_and_can_be_taken_back_there(self) -> None:
        for is_taken_back in (False, True):
            case, successor, tunnel = Case(), Case(), FakeTunnel()
            case.server.tunnel_opened(tunnel)
            case.server.drain(60.0)
            for one in (case, successor):
                one.loop.advance(20.0)
            successor.server.succeed(case.server)
            case.server.retire()
            if is_taken_back:
                successor.server.undrain()
            for one in (case, successor):
                one.loop.advance(39.9)
            assert tunnel.drains == []
            for one in (case, successor):
                one.loop.advance(0.2)
            assert tunnel.drains == ([] if is_taken_back else [pytest.approx(10.0)])


def test_load_counts_websockets() -> None:
    case = Case()
    case.server.tunnel_opened(FakeTunnel())
    assert case.server.load == 1
