"""Bytes between a client and a server, and every way in which a connection may end."""

import pytest

from proxy.downstream.service.relay_rules import RelayRules
from proxy.downstream.tunnels.relay import Relay
from proxy.limits.reasons import RelayEnd
from proxy.net.deadlines import NEVER
from proxy.observe.counts.relay_counters import Traffic
from tests.fakes_http import LIMITS, Conversation, FakeStream

IDLE, HALF = 600.0, 20.0
RULES = RelayRules(IDLE, HALF)


class Pair:
    """A relay between a client and a server that the test plays."""

    def __init__(self, early: bytes = b"", *, has_ended: bool = False) -> None:
        shared = Conversation()
        self.service, self.loop = shared.service, shared.loop
        self.client, self.server = FakeStream(self.loop), FakeStream(self.loop)
        self.ends: list[tuple[RelayEnd, str | None]] = []
        self.client_errors: list[OSError | None] = []
        self.traffic = Traffic(), Traffic()
        self.relay = Relay(self.service, RULES, self.client, self.server, self.traffic, self)
        self.relay.begin(early, has_ended=has_ended)

    def relay_ended(self, end: RelayEnd, detail: str | None) -> None:
        """Note why."""
        self.ends.append((end, detail))

    def client_lost(self, error: OSError | None) -> None:
        """Note how."""
        self.client_errors.append(error)

    @property
    def endings(self) -> tuple[str | None, str | None]:
        """How both connections were ended."""
        return self.client.ending, self.server.ending


def test_bytes_go_both_ways_and_are_counted() -> None:
    pair = Pair(b"early")
    pair.client.receive(b" late")
    pair.server.receive(memoryview(b"answer"))
    assert (pair.server.sent(), pair.client.sent()) == (b"early late", b"answer")
    assert [one.bytes for one in pair.traffic] == [10, 6]
    assert (pair.relay.client_bytes, pair.relay.server_bytes) == (10, 6)


def test_nothing_early_is_nothing_written() -> None:
    assert Pair().server.sent() == b""


@pytest.mark.parametrize("first", ["client", "server"])
def test_each_side_ends_by_itself(first: str) -> None:
    pair = Pair()
    one, other = (pair.client, pair.server) if first == "client" else (pair.server, pair.client)
    one.receive_end()
    assert (one.is_half_closed, other.is_half_closed) == (False, True)
    assert not any(pair.endings)
    other.receive(b"more")
    assert one.sent() == b"more"
    one.receive_end()  # a stream may say it again after a pause
    assert not pair.ends
    other.receive_end()
    assert pair.ends == [(RelayEnd.CLOSED, None)]
    assert pair.endings == ("end", "end")
    assert pair.relay.deadline == NEVER


def test_end_of_the_client_before_a_server_was_there() -> None:
    pair = Pair(b"all", has_ended=True)
    assert pair.server.sent() == b"all"
    assert pair.server.is_half_closed


def test_cut_of_the_client_is_a_cut_for_the_server() -> None:
    pair = Pair()
    pair.client.receive_end(truncated=True)
    assert pair.endings == ("abort", "cut")
    assert pair.ends == [(RelayEnd.CLIENT_LOST, "its TLS ended without a close_notify")]
    pair.loop.settle()
    assert len(pair.ends) == 1
    assert pair.client_errors == []  # told already


def test_client_that_cuts_behind_the_end_of_the_server_is_no_fault() -> None:
    pair = Pair()
    pair.server.receive_end()
    pair.client.receive_end(truncated=True)
    assert pair.ends == [(RelayEnd.CLOSED, None)]
    assert pair.endings == ("abort", "cut")


def test_lost_connections_are_passed_on() -> None:
    pair = Pair()
    error = ConnectionResetError("reset")
    pair.client.lose(error)
    assert pair.client_errors == [error]
    assert pair.ends == [(RelayEnd.CLIENT_LOST, "reset")]
    assert pair.server.ending == "cut"
    pair = Pair()
    pair.server.lose(None)
    assert pair.ends == [(RelayEnd.SERVER_LOST, "it was closed")]
    assert pair.client.ending == "cut"


def test_silence_of_both_sides_ends_it() -> None:
    pair = Pair()
    pair.loop.advance(IDLE - 1)
    pair.server.receive(b"ping")
    pair.loop.advance(IDLE - 1)
    assert not pair.ends
    pair.loop.advance(2)
    assert pair.ends == [(RelayEnd.IDLE, None)]
    assert pair.endings == ("end", "end")


def test_half_closed_one_has_less_time() -> None:
    pair = Pair()
    pair.client.receive_end()
    pair.loop.advance(HALF - 1)
    pair.server.receive(b"ping")
    pair.loop.advance(HALF - 1)
    assert not pair.ends
    pair.loop.advance(2)
    assert pair.ends == [(RelayEnd.HALF_CLOSED, None)]


class TestBlocked:
    """A side that takes no more."""

    def test_it_pauses_the_other_and_ends_after_its_time(self) -> None:
        pair = Pair()
        pair.server.is_full = True
        pair.server.waiting_bytes = 5
        pair.client.receive(b"12345")
        assert not pair.client.is_reading
        pair.loop.advance(LIMITS.write_idle_seconds - 1)
        assert not pair.ends
        pair.loop.advance(3)
        assert pair.ends == [(RelayEnd.SERVER_STUCK, None)]
        assert pair.endings == ("cut", "abort")

    def test_one_that_takes_slowly_goes_on(self) -> None:
        pair = Pair()
        pair.client.is_full = True
        pair.client.waiting_bytes = 1_000_000
        pair.server.receive(b"x" * 1_000_000)
        for _ in range(20):
            pair.loop.advance(LIMITS.write_idle_seconds / 2)
            pair.client.waiting_bytes -= 50_000
        assert not pair.ends
        pair.client.take()
        assert pair.server.is_reading
        assert pair.relay.deadline == pair.loop.now + IDLE
        pair.client.is_full = True
        pair.server.receive(b"x")
        pair.client.take()  # at once: nothing was measured
        assert not pair.ends

    def test_both_may_be_blocked(self) -> None:
        pair = Pair()
        pair.client.is_full = pair.server.is_full = True
        pair.client.waiting_bytes = pair.server.waiting_bytes = 1
        pair.client.receive(b"a")
        pair.server.is_reading = True  # what was read before the pause
        pair.server.receive(b"b")
        pair.loop.advance(1)
        pair.server.take()
        assert pair.relay._blocked
        pair.loop.advance(LIMITS.write_idle_seconds + 2)
        assert pair.ends == [(RelayEnd.CLIENT_STUCK, None)]

    def test_other_side_that_has_ended_is_not_read_again(self) -> None:
        pair = Pair()
        pair.client.is_full = True
        pair.server.receive(b"last words")
        pair.server.receive_end()
        pair.server.is_reading = False
        pair.client.take()
        assert not pair.server.is_reading

    def test_server_that_takes_nothing_of_the_early_bytes_pauses_the_client(self) -> None:
        pair = Pair.__new__(Pair)
        shared = Conversation()
        pair.service, pair.loop = shared.service, shared.loop
        pair.client, pair.server = FakeStream(pair.loop), FakeStream(pair.loop)
        pair.client.is_reading = False
        pair.server.is_full = True
        relay = Relay(pair.service, RULES, pair.client, pair.server, (Traffic(), Traffic()), pair)
        relay.begin(b"early", has_ended=False)
        assert not pair.client.is_reading
        pair.server.take()
        assert pair.client.is_reading


class TestDrain:
    """The client is told first; what it has sent still arrives."""

    def test_client_has_the_last_word(self) -> None:
        pair = Pair()
        pair.relay.close_within(10.0, RelayEnd.DRAINED)
        pair.loop.advance(5.0)
        assert pair.client.is_half_closed
        assert not pair.server.is_half_closed
        pair.client.receive(b"last words")
        pair.server.receive(b"nobody hears that")
        assert pair.server.sent() == b"last words"
        assert pair.client.sent() == b""
        pair.relay.close(RelayEnd.RELOADED)  # a second wish changes nothing
        pair.client.receive_end()
        assert pair.ends == [(RelayEnd.DRAINED, None)]
        assert pair.endings == ("end", "end")
        pair.relay.close(RelayEnd.RELOADED)
        assert len(pair.ends) == 1

    @pytest.mark.parametrize("blocked", [False, True])
    def test_client_that_does_not_close_is_closed(self, blocked: bool) -> None:  # noqa: FBT001
        pair = Pair()
        pair.relay.close(RelayEnd.DRAINED, "why")
        if blocked:
            pair.server.is_full = True
            pair.client.receive(b"x")
            pair.server.take()
        pair.loop.advance(6.0)
        assert pair.ends == [(RelayEnd.DRAINED, "why")]

    def test_lost_client_is_drained(self) -> None:
        pair = Pair()
        pair.relay.close(RelayEnd.DRAINED)
        pair.client.lose(ConnectionResetError())
        assert pair.ends == [(RelayEnd.DRAINED, None)]

    def test_half_closed_ones(self) -> None:
        pair = Pair()
        pair.client.receive_end()
        pair.relay.close(RelayEnd.DRAINED)
        assert pair.ends == [(RelayEnd.DRAINED, None)]
        pair = Pair()
        pair.server.receive_end()
        pair.relay.close(RelayEnd.DRAINED)
        assert not pair.ends
        pair.loop.advance(6.0)
        assert pair.ends == [(RelayEnd.DRAINED, None)]

    def test_end_of_the_drain_ends_at_once(self) -> None:
        pair = Pair()
        pair.relay.give_up(RelayEnd.DRAINED, "over")
        pair.relay.give_up(RelayEnd.DRAINED, "over")
        assert pair.ends == [(RelayEnd.DRAINED, "over")]


def test_it_is_shed_at_once() -> None:
    pair = Pair()
    pair.relay.shed()
    pair.relay.shed()
    assert pair.ends == [(RelayEnd.SHED, None)]
    assert pair.endings == ("abort", "abort")


def test_it_follows_a_new_configuration() -> None:
    pair = Pair()
    pair.relay.follow(RelayRules(5.0, 3.0))
    assert pair.relay.deadline == pair.loop.now + 5.0
    pair.client.receive_end()
    assert pair.relay.deadline == pair.loop.now + 3.0
    pair.relay.follow(RelayRules(5.0, 4.0))
    assert pair.relay.deadline == pair.loop.now + 4.0
