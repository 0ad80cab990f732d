"""Each way of choosing gives servers what it promises."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.servers.balancing import ConsistentHash, in_turn, least_loaded, warmth


@dataclass
class Fake:
    """A server that may be chosen."""

    name: str
    share: float = 1.0
    load: int = 0
    credit: float = 0.0


def fakes(*shares: float) -> list[Fake]:
    """Servers a, b, c with these shares."""
    return [Fake(name, share) for name, share in zip("abcdefghij", shares, strict=False)]


def names(chosen: Sequence[Fake]) -> str:
    """Their names, one after the other."""
    return "".join(one.name for one in chosen)


class TestInTurn:
    """Round robin."""

    def test_equals_take_turns(self) -> None:
        servers = fakes(1, 1, 1)
        assert names([in_turn(servers) for _ in range(7)]) == "abcabca"

    def test_shares_are_kept_and_spread(self) -> None:
        servers = fakes(3, 1)
        assert names([in_turn(servers) for _ in range(8)]) == "aabaaaba"

    @given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    def test_each_gets_exactly_its_weight_in_a_round(self, weights: list[int]) -> None:
        servers = fakes(*weights)
        counts = Counter(in_turn(servers).name for _ in range(sum(weights)))
        assert [counts[server.name] for server in servers] == weights

    def test_one_that_is_passed_over_for_a_while_does_not_make_up_for_it(self) -> None:
        servers = fakes(1, 1, 1)
        for _ in range(50):
            in_turn(servers[:2])
        assert sorted(names([in_turn(servers) for _ in range(3)])) == ["a", "b", "c"]


class TestLeastLoaded:
    """Least connections."""

    def test_least_is_chosen(self) -> None:
        servers = fakes(1, 1, 1)
        for server, load in zip(servers, (2, 1, 3), strict=True):
            server.load = load
        assert names([least_loaded(servers) for _ in range(3)]) == "bbb"

    def test_equals_take_turns(self) -> None:
        servers = fakes(1, 1, 1)
        servers[1].load = 5
        assert names([least_loaded(servers) for _ in range(4)]) == "acac"

    def test_idle_servers_get_requests_by_weight(self) -> None:
        servers = fakes(3, 1)
        assert Counter(names([least_loaded(servers) for _ in range(400)])) == {"a": 300, "b": 100}

    def test_load_is_held_in_proportion_to_the_weights(self) -> None:
        servers = fakes(3, 2, 1)
        for _ in range(600):
            least_loaded(servers).load += 1
        assert [server.load for server in servers] == [300, 200, 100]


KEYS = [f"198.51.{number // 256}.{number % 256}".encode() for number in range(20_000)]


class TestConsistentHash:
    """Equal keys, equal servers."""

    def test_key_always_has_its_server(self) -> None:
        servers = fakes(1, 1, 1)
        first, second = ConsistentHash(), ConsistentHash()
        assert names([first.pick(servers, key) for key in KEYS[:500]]) == names(
            [second.pick(servers[::-1], key) for key in KEYS[:500]]
        )

    @pytest.mark.parametrize("weights", [(1, 1, 1, 1), (3, 1), (5, 3, 1, 1), (10, 1)])
    @pytest.mark.at_length
    def test_keys_are_spread_by_weight(self, weights: tuple[int, ...]) -> None:
        servers = fakes(*weights)
        ring = ConsistentHash()
        counts = Counter(ring.pick(servers, key).name for key in KEYS)
        for server in servers:
            assert counts[server.name] / len(KEYS) == pytest.approx(server.share / sum(weights), abs=0.015)

    @pytest.mark.parametrize("count", [2, 3, 5, 10])
    @pytest.mark.at_length
    def test_server_that_leaves_takes_only_its_own_keys_along_and_all_others_get_some(self, count: int) -> None:
        servers = fakes(*[1] * count)
        ring = ConsistentHash()
        for gone in servers:
            left = [server for server in servers if server is not gone]
            before = {key: ring.pick(servers, key).name for key in KEYS[:5_000]}
            after = {key: ring.pick(left, key).name for key in before}
            moved = [key for key in before if before[key] != after[key]]
            assert all(before[key] == gone.name for key in moved)
            assert len(moved) / len(before) == pytest.approx(1 / count, abs=0.03)
            heirs = Counter(after[key] for key in moved)
            assert {server.name for server in left} == set(heirs)

    def test_share_that_grows_only_draws_keys_to_it(self) -> None:
        servers = fakes(1, 1, 0.1)
        ring = ConsistentHash()
        before = {key: ring.pick(servers, key).name for key in KEYS[:5_000]}
        servers[2].share = 1.0
        after = {key: ring.pick(servers, key).name for key in before}
        assert {after[key] for key in before if before[key] != after[key]} == {"c"}
        assert Counter(before.values())["c"] / len(before) == pytest.approx(0.1 / 2.1, abs=0.02)

    def test_names_that_differ_little_are_as_good_as_others(self) -> None:
        servers = [Fake(f"http://10.0.0.{number}:8000") for number in range(1, 5)]
        ring = ConsistentHash()
        counts = Counter(ring.pick(servers, b"%d" % number).name for number in range(20_000))
        assert min(counts.values()) > 4_700


@pytest.mark.parametrize(("age", "part"), [(0.0, 0.1), (1.0, 0.1), (5.0, 0.5), (9.0, 0.9), (10.0, 1.0), (11.0, 1.0)])
def test_share_grows_from_a_tenth_to_the_whole(age: float, part: float) -> None:
    assert warmth(age, 10.0) == part


def test_no_slow_start_is_the_whole_at_once() -> None:
    assert warmth(0.0, 0.0) == 1.0
