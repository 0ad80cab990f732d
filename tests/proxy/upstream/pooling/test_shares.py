"""No client gets all connections of a server, and one that comes new finds a free one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.limits.networks import EXEMPT
from proxy.upstream.pooling.shares import Shares

A, B = b"\x0a\0\0\1", b"\x0a\0\0\2"


def taken(shares: Shares, client: bytes) -> int:
    """How many this client gets when it takes whatever it may have."""
    count = 0
    while shares.take(client):
        count += 1
    return count


@pytest.mark.parametrize(("connections", "most"), [(1, 1), (2, 2), (3, 3), (4, 3), (8, 6), (256, 192)])
def test_client_that_is_alone_gets_three_quarters(connections: int, most: int) -> None:
    assert taken(Shares(connections), A) == most


def test_client_that_comes_new_finds_a_free_one() -> None:
    shares = Shares(256)
    assert taken(shares, A) == 192
    assert taken(shares, B) == 48
    assert not shares.take(A)
    assert (shares.held(A), shares.held(B), shares.in_use) == (192, 48, 240)
    assert shares.take(b"third")


def test_exempt_client_gets_all() -> None:
    assert taken(Shares(10), EXEMPT) == 10


def test_one_that_made_room_is_replaced_as_long_as_any_is_free() -> None:
    shares = Shares(4)
    assert taken(shares, A) == 3
    assert shares.take_any(A)
    assert shares.is_full
    assert not shares.take_any(B)
    assert (shares.held(A), shares.in_use) == (4, 4)


def test_what_is_given_back_can_be_taken_again() -> None:
    shares = Shares(4)
    assert taken(shares, A) == 3
    shares.give_back(A)
    assert taken(shares, A) == 1
    for _ in range(3):
        shares.give_back(A)
    assert (shares.held(A), shares.in_use, taken(shares, B)) == (0, 0, 3)


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=200))
def test_counts_are_true_and_within_the_limit(connections: int, steps: list[tuple[int, bool]]) -> None:
    shares = Shares(connections)
    held = dict.fromkeys(range(6), 0)
    for number, takes in steps:
        client = EXEMPT if number == 0 else bytes([number])
        if takes and shares.take(client):
            held[number] += 1
        elif not takes and held[number]:
            shares.give_back(client)
            held[number] -= 1
        assert shares.held(client) == held[number]
        assert shares.in_use == sum(held.values()) <= connections


def test_last_quarter_is_for_clients_that_read() -> None:
    shares = Shares(8)
    for _ in range(5):
        assert shares.take(A)
    shares.stand(A)
    shares.stand(A)
    assert (shares.take(A), shares.take(A)) == (True, False)
    assert shares.take(B)
    assert (shares.lacking, shares.is_busy, shares.is_full) == (1, True, False)
    assert shares.take(B)
    assert (shares.lacking, shares.is_full) == (2, True)
    shares.give_back(B)
    shares.move(A)
    assert not shares.take(A)
    shares.move(A)
    shares.give_back(A)
    shares.give_back(A)
    assert shares.take(A), "it reads again"
    assert shares.lacking == 0


def test_answers_of_many_clients_together_do_not_stand_for_one() -> None:
    shares = Shares(4)
    shares.stand(EXEMPT)
    assert [shares.take(EXEMPT) for _ in range(5)] == [True] * 4 + [False]
    shares.move(EXEMPT)


@pytest.mark.parametrize(("connections", "got", "lacking"), [(1, 1, 0), (2, 1, 1), (3, 2, 1)])
def test_one_of_few_connections_is_for_clients_that_read(connections: int, got: int, lacking: int) -> None:
    shares = Shares(1)
    shares.resize(connections)
    shares.stand(A)
    assert taken(shares, A) == got
    while shares.take(B):
        pass
    assert shares.lacking == lacking
