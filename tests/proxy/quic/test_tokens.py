"""Address tokens: what they prove, and for whom and how long."""

import pytest

from proxy.quic.tokens import is_of_retry, known_address, new_token, reset_key, retry_token

KEY, OTHER = bytes(32), bytes([1]) * 32
HERE, THERE = b"\x7f\0\0\1", b"\xc0\0\2\1"
NOW = 1_000_000.5


def test_a_token_of_retry_tells_what_the_client_had_made_up() -> None:
    token = retry_token(KEY, HERE, b"original", b"ours", NOW)
    known = known_address((OTHER, KEY), token, HERE, b"ours", NOW + 9)
    assert known is not None
    assert known.original_id == b"original"


def test_a_token_for_later_tells_nothing_but_the_address() -> None:
    known = known_address((KEY,), new_token(KEY, HERE, NOW), HERE, b"whatever", NOW + 86_000)
    assert known is not None
    assert known.original_id is None


@pytest.mark.parametrize(
    ("keys", "address", "used", "seconds"),
    [
        ((OTHER,), HERE, b"ours", 0),
        ((KEY,), THERE, b"ours", 0),
        ((KEY,), HERE, b"other", 0),
        ((KEY,), HERE, b"ours", 12),
    ],
    ids=["key", "address", "connection", "time"],
)
def test_a_token_of_retry_is_good_for_one_packet(
    keys: tuple[bytes, ...], address: bytes, used: bytes, seconds: int
) -> None:
    assert known_address(keys, retry_token(KEY, HERE, b"original", b"ours", NOW), address, used, NOW + seconds) is None


def test_a_token_shows_where_it_has_come_from() -> None:
    assert is_of_retry(retry_token(KEY, HERE, b"original", b"ours", 2.0**39))
    assert not is_of_retry(new_token(KEY, HERE, NOW))
    assert not is_of_retry(b"\x01 a token of another server, as it were")
    assert not is_of_retry(b"")


@pytest.mark.parametrize("seconds", [-60, 86_402])
def test_a_token_has_its_time(seconds: int) -> None:
    assert known_address((KEY,), new_token(KEY, HERE, NOW), HERE, b"", NOW + seconds) is None


@pytest.mark.parametrize("place", range(25))
def test_a_byte_that_differs_makes_it_worthless(place: int) -> None:
    token = bytearray(new_token(KEY, HERE, NOW))
    token[place] ^= 1
    assert known_address((KEY,), bytes(token), HERE, b"", NOW) is None
    assert known_address((KEY,), bytes(token[:place]), HERE, b"", NOW) is None


def test_each_address_has_its_key_of_resets() -> None:
    assert reset_key(KEY, HERE) == reset_key(KEY, HERE)
    assert len({reset_key(KEY, HERE), reset_key(KEY, THERE), reset_key(OTHER, HERE)}) == 3
    assert len(reset_key(KEY, HERE)) == 32
