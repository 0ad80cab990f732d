"""Which server of an upstream a request goes to, and which servers take requests."""

from collections import Counter
from typing import Any

import pytest

from config.tables.upstream import Balance, HashKind, HashSource, SameSite
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.pooling.statistics import ServerState
from proxy.upstream.servers.server import ServerRules
from proxy.upstream.servers.sticky import CookieSettings
from proxy.upstream.servers.upstream import RequestFacts, Upstream
from tests.fakes import FakeLoop
from tests.fakes_http import RULES, WALL_CLOCK, FakeServer, upstream

HASH: Any = {"balance": Balance.CONSISTENT_HASH}
COOKIE = CookieSettings("stay", bytes(32), 1_000, SameSite.STRICT)
STICKY: Any = {"balance": Balance.STICKY_COOKIE, "cookie": COOKIE}


class Group:
    """Servers named 0, 1, 2 under a clock that the test moves."""

    def __init__(self, *loads: int, weights: tuple[int, ...] = (), slow_start: float = 0.0, **rules: Any) -> None:
        self.loop = FakeLoop()
        weights = weights or (1,) * len(loads)
        connections = [
            FakeServer(self.loop, str(number), rules=ServerRules(weight, slow_start, RULES.ejection, 1_000))
            for number, weight in enumerate(weights)
        ]
        for one, load in zip(connections, loads, strict=True):
            one.exchanges = load
        self.upstream: Upstream = upstream(*connections, **rules)
        self.connections = connections
        self.servers = [one.server for one in connections]

    def names(self, count: int, facts: RequestFacts | None = None, *, tried: tuple[int, ...] = ()) -> str:
        """Which servers are chosen, one after the other; - for none."""
        done = [self.servers[number] for number in tried]
        chosen = (self.upstream.choose(facts, done) for _ in range(count))
        return "".join("-" if one is None else one.name for one in chosen)

    def eject(self, number: int) -> None:
        """Have a server fail to connect until it is ejected."""
        while not self.servers[number].is_ejected:
            self.servers[number].dialled(UpstreamFault.UNREACHABLE)

    def states(self) -> list[str]:
        """The states of all servers."""
        return [one["state"] for one in self.upstream.statistics()]


def facts(*headers: tuple[bytes, bytes], address: bytes = b"192.0.2.1", now: float = WALL_CLOCK) -> RequestFacts:
    """What is known of a request."""
    return RequestFacts(address, headers, now)


class TestChoice:
    """`balance`."""

    def test_least_loaded_is_preferred(self) -> None:
        assert Group(2, 1, 3).names(3) == "111"

    def test_equals_take_turns(self) -> None:
        assert Group(0, 0, 0).names(6) == "012012"

    def test_round_robin_does_not_look_at_the_load(self) -> None:
        assert Group(9, 0, 0, weights=(2, 1, 1), balance=Balance.ROUND_ROBIN).names(8).count("0") == 4

    def test_tried_ones_are_passed_over(self) -> None:
        assert Group(2, 1, 3).names(3, tried=(1,)) == "000"
        assert Group(2, 1, 3).names(1, tried=(0, 1)) == "2"

    def test_none_is_left_when_all_were_tried(self) -> None:
        assert Group(0, 0, 0).names(1, tried=(0, 1, 2)) == "-"
        assert Group(0).names(1, tried=(0,)) == "-"
        assert Group(0).names(1) == "0"
        assert Group().names(1) == "-"

    @pytest.mark.parametrize(
        ("source", "header"),
        [
            (HashSource(HashKind.HEADER, "X-Room"), (b"x-room", b"%d")),
            (HashSource(HashKind.COOKIE, "room"), (b"Cookie", b"a=b; room=%d")),
        ],
    )
    def test_hash_is_that_of_a_header_or_a_cookie(self, source: HashSource, header: tuple[bytes, bytes]) -> None:
        group = Group(5, 0, 0, hash_on=source, **HASH)
        seen: Counter[str] = Counter()
        for number in range(60):
            name = group.names(2, facts((header[0], header[1] % number)))
            assert name[0] == name[1]
            seen[name[0]] += 1
        assert min(seen.values()) > 8
        assert len(seen) == 3

    def test_hash_is_that_of_the_address(self) -> None:
        group = Group(0, 0, 0, hash_on=HashSource(HashKind.ADDRESS), **HASH)
        assert group.upstream.reads_requests
        one = [group.names(1, facts(address=b"192.0.2.%d" % number)) for number in range(30)]
        two = [group.names(1, facts(address=b"192.0.2.%d" % number)) for number in range(30)]
        assert one == two
        assert len(set(one)) == 3

    def test_request_without_the_key_goes_to_the_least_loaded(self) -> None:
        group = Group(2, 1, 2, hash_on=HashSource(HashKind.HEADER, "X-Room"), **HASH)
        assert group.names(3, facts()) == "111"
        assert group.names(1) == "1"

    def test_only_what_hashes_or_binds_reads_requests(self) -> None:
        assert not Group(0).upstream.reads_requests
        assert Group(0, **STICKY).upstream.reads_requests


class TestSticky:
    """The cookie binds a client to a server as long as that takes requests."""

    def cookie(self, group: Group, number: int) -> tuple[bytes, bytes]:
        """The Cookie field of a client that is bound to a server."""
        line = group.upstream.binding(facts(), group.servers[number])
        return b"Cookie", line.partition(b": ")[2].partition(b";")[0]

    def test_bound_client_goes_to_its_server_whatever_the_load(self) -> None:
        group = Group(0, 9, 0, **STICKY)
        bound = facts(self.cookie(group, 1))
        assert group.names(3, bound) == "111"
        assert group.upstream.binding(bound, group.servers[1]) == b""

    def test_cookie_is_renewed_in_its_second_half(self) -> None:
        group = Group(0, 0, **STICKY)
        late = facts(self.cookie(group, 1), now=WALL_CLOCK + 600)
        assert group.names(1, late) == "1"
        assert group.upstream.binding(late, group.servers[1]).startswith(b"Set-Cookie: stay=")

    @pytest.mark.parametrize("value", [b"stay=tampered.with.it", b"stay=", b"other=1"])
    def test_client_without_a_valid_cookie_gets_one(self, value: bytes) -> None:
        group = Group(3, 0, **STICKY)
        assert group.names(2, facts((b"Cookie", value))) == "11"
        assert group.upstream.binding(facts((b"Cookie", value)), group.servers[1]).startswith(b"Set-Cookie: stay=")

    def test_client_whose_server_takes_no_requests_is_bound_to_another(self) -> None:
        group = Group(0, 0, 0, **STICKY)
        bound = facts(self.cookie(group, 1))
        group.upstream.drain("1", 30.0)
        assert "1" not in group.names(10, bound)
        assert group.upstream.binding(bound, group.servers[0]) != b""
        group.upstream.undrain("1")
        assert group.names(1, bound) == "1"

    def test_other_upstreams_bind_nobody(self) -> None:
        group = Group(0, 0)
        assert group.upstream.binding(facts(), group.servers[0]) == b""


class TestStanding:
    """Down, draining, ejected."""

    def test_server_that_is_down_gets_nothing_until_it_is_up(self) -> None:
        group = Group(0, 0, 0)
        group.upstream.apply_health("1", is_up=False)
        assert set(group.names(10)) == {"0", "2"}
        assert group.states() == ["up", "down", "up"]
        group.upstream.apply_health("1", is_up=True)
        assert set(group.names(9)) == {"0", "1", "2"}

    def test_verdict_on_an_unknown_server_means_nothing(self) -> None:
        group = Group(0)
        group.upstream.apply_health("gone", is_up=False)
        assert group.names(1) == "0"

    def test_draining_server_gets_nothing(self) -> None:
        group = Group(0, 0)
        group.upstream.drain("0", 30.0)
        assert group.names(4) == "1111"
        group.upstream.undrain("0")
        assert set(group.names(4)) == {"0", "1"}

    @pytest.mark.parametrize("call", [lambda one: one.drain("gone", 1.0), lambda one: one.undrain("gone")])
    def test_unknown_server_cannot_be_drained(self, call: Any) -> None:
        with pytest.raises(KeyError):
            call(Group(0).upstream)

    def test_ejected_server_gets_nothing_for_its_time(self) -> None:
        group = Group(0, 0, 0)
        group.eject(1)
        assert set(group.names(10)) == {"0", "2"}
        group.loop.advance(10.1)
        assert set(group.names(9)) == {"0", "1", "2"}

    def test_too_many_ejected_are_all_used(self) -> None:
        group = Group(0, 0, 0)
        group.eject(0)
        group.eject(1)
        assert set(group.names(9)) == {"0", "1", "2"}
        assert group.states() == ["ejected", "ejected", "up"]

    def test_only_server_is_used_although_it_fails(self) -> None:
        group = Group(0)
        group.eject(0)
        assert group.names(2) == "00"

    def test_those_that_checks_leave_are_used_although_they_are_ejected(self) -> None:
        group = Group(0, 0, 0)
        group.eject(0)
        for name in ("1", "2"):
            group.upstream.apply_health(name, is_up=False)
        assert group.names(3) == "000"

    def test_panic_uses_neither_what_is_down_nor_what_drains(self) -> None:
        group = Group(0, 0, 0, 0)
        group.upstream.apply_health("0", is_up=False)
        group.upstream.drain("1", 30.0)
        group.eject(2)
        group.eject(3)
        assert set(group.names(8)) == {"2", "3"}

    def test_none_is_left_when_all_are_down_or_draining(self) -> None:
        group = Group(0, 0, recovery_seconds=9.1)
        group.upstream.drain("0", 30.0)
        assert group.names(1) == "1"
        group.upstream.apply_health("1", is_up=False)
        assert group.names(3) == "---"

    @pytest.mark.parametrize(("recovery", "seconds"), [(9.1, 10), (0.2, 1), (4_000.0, 300), (None, 10)])
    def test_client_is_told_when_a_server_that_is_down_may_be_up(self, recovery: float | None, seconds: int) -> None:
        group = Group(0, 0, recovery_seconds=recovery)
        group.upstream.apply_health("0", is_up=False)
        assert group.upstream.retry_after == seconds

    def test_client_is_told_some_time_when_all_are_drained(self) -> None:
        group = Group(0, recovery_seconds=77.0)
        group.upstream.drain("0", 30.0)
        assert group.upstream.retry_after == 10


class TestSlowStart:
    """A server that comes back gets a tenth at first."""

    def back(self, **rules: Any) -> Group:
        """Three servers, of which 0 was down until now."""
        group = Group(0, 0, 0, slow_start=100.0, **rules)
        group.upstream.apply_health("0", is_up=False)
        group.upstream.apply_health("0", is_up=True)
        return group

    @pytest.mark.parametrize("balance", [Balance.ROUND_ROBIN, Balance.LEAST_CONNECTIONS])
    def test_share_grows_with_time(self, balance: Balance) -> None:
        group = self.back(balance=balance)
        shares = []
        for _ in range(5):
            shares.append(group.names(300).count("0"))
            group.loop.advance(25.0)
        assert shares == [pytest.approx(300 * part / (2 + part), abs=1.5) for part in (0.1, 0.25, 0.5, 0.75, 1.0)]
        assert group.states() == ["up", "up", "up"]

    def test_state_says_so(self) -> None:
        group = self.back()
        assert group.states() == [ServerState.SLOW_START, "up", "up"]
        group.loop.advance(101.0)
        assert group.states() == ["up", "up", "up"]

    def test_after_an_ejection_and_a_drain_too(self) -> None:
        group = Group(0, 0, 0, slow_start=100.0)
        group.eject(0)
        group.loop.advance(10.1)
        assert group.names(210).count("0") == pytest.approx(10, abs=1)
        group.upstream.drain("1", 0.0)
        group.upstream.undrain("1")
        assert group.states() == ["slow-start", "slow-start", "up"]


def test_retries_are_a_share_of_the_requests() -> None:
    group = Group(0, retry_percent=10.0, retries_per_second=0.0)
    assert [group.upstream.may_retry(), group.upstream.may_retry()] == [True, False]
    group.names(10)
    assert [group.upstream.may_retry(), group.upstream.may_retry()] == [True, False]


class TestElsewhere:
    """A request that a server could not take."""

    FAILURE = UpstreamFailure(UpstreamFault.UNREACHABLE, "tried")

    def test_may_go_to_one_that_was_not_tried(self) -> None:
        group = Group(0, 0)
        assert group.upstream.last_word(self.FAILURE, group.servers[:1]) is None

    def test_is_told_when_all_were_tried(self) -> None:
        group = Group(0, 0)
        assert group.upstream.last_word(self.FAILURE, group.servers) is self.FAILURE

    def test_does_not_leave_one_that_is_busy(self) -> None:
        group = Group(0, 0)
        busy = UpstreamFailure(UpstreamFault.BUSY)
        assert group.upstream.last_word(busy, group.servers[:1]) is busy

    def test_is_told_that_the_budget_is_spent(self) -> None:
        group = Group(0, 0, retries_per_second=0.0)
        told = group.upstream.last_word(self.FAILURE, group.servers[:1])
        assert told is not None
        assert (told.fault, told.detail) == (UpstreamFault.UNREACHABLE, "tried; the retry budget is spent")


def test_statistics_name_upstream_and_servers() -> None:
    group = Group(0, 0)
    assert [(one["upstream"], one["server"]) for one in group.upstream.statistics()] == [("chat", "0"), ("chat", "1")]


def test_standing_tells_one_that_cannot_be_reached_from_one_that_fails() -> None:
    group = Group(0, 0, 0)
    group.eject(1)
    while not group.servers[2].is_ejected:
        group.servers[2].answered_badly()
    assert group.upstream.standing() == (
        ("chat", "0", "up", False),
        ("chat", "1", "ejected", True),
        ("chat", "2", "ejected", False),
    )
