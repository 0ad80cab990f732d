"""Which key is asked first, and which not at all."""

from dataclasses import dataclass

import pytest

from proxy.signing.candidates import candidates


@dataclass(frozen=True)
class Breaker:
    is_closed: bool = False
    is_last_resort: bool = False
    expected_seconds: float = 0.005


GOOD, SLOW, FAILING = Breaker(is_closed=True), Breaker(is_last_resort=True), Breaker()


def test_order_of_preference() -> None:
    assert candidates([("a", GOOD), ("b", GOOD), ("c", GOOD)]) == ["a", "b", "c"]


@pytest.mark.parametrize(("turn", "order"), [(0, "abc"), (1, "bca"), (2, "cab"), (3, "abc")])
def test_spread_begins_with_another_one_each_turn(turn: int, order: str) -> None:
    assert candidates([("a", GOOD), ("b", GOOD), ("c", GOOD)], turn) == list(order)


def test_quicker_tokens_come_first_and_alike_ones_in_turn() -> None:
    quick, alike, slower, slowest = (
        Breaker(is_closed=True, expected_seconds=seconds) for seconds in (0.012, 0.016, 0.03, 0.04)
    )
    keys = [("d", slowest), ("a", quick), ("c", slower), ("b", alike)]
    assert candidates(keys, 0) == ["a", "b", "c", "d"]
    assert candidates(keys, 3) == ["b", "a", "c", "d"]
    assert candidates(keys) == ["d", "a", "c", "b"], "without turns, by preference alone"


def test_a_token_that_has_not_signed_yet_is_tried() -> None:
    slow = Breaker(is_closed=True, expected_seconds=0.1)
    assert candidates([("a", slow), ("b", Breaker(is_closed=True, expected_seconds=0.0))], 0) == ["b", "a"]


def test_failing_token_is_not_asked() -> None:
    assert candidates([("a", FAILING), ("b", GOOD)]) == ["b"]
    assert candidates([("a", FAILING), ("b", FAILING)]) == []


def test_slow_token_comes_last_but_comes() -> None:
    assert candidates([("a", SLOW), ("b", GOOD), ("c", FAILING)]) == ["b", "a"]
    assert candidates([("a", SLOW)]) == ["a"]


def test_without_keys_there_is_nobody() -> None:
    nobody: list[tuple[str, Breaker]] = []
    assert candidates(nobody, 3) == []
