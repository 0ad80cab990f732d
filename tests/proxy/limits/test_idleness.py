"""Who goes first: of whoever has most, who has shown least, for the longest time."""

import pytest

from proxy.limits.idleness import LEAST_SECONDS, Idle, Shown, first_to_go, patience
from proxy.limits.networks import EXEMPT


def waiting(shown: Shown, since: float, client: bytes = b"one") -> tuple[Idle, str]:
    """A connection, under its age."""
    return Idle(shown, since, "public", client), f"{since:g}"


def names(candidates: list[tuple[Idle, str]], most: int) -> list[str]:
    """Those that go, in order."""
    return [name for _, name in first_to_go(candidates, most)]


def test_who_has_shown_least_goes_first_however_short_it_has_waited() -> None:
    several = [waiting(Shown.HANDSHAKE, 1), waiting(Shown.HELLO, 2), waiting(Shown.NOTHING, 3)]
    assert names(several, 2) == ["3", "2"]
    assert names(several, 5) == ["3", "2", "1"]
    assert names([], 5) == []


def test_connection_without_a_request_goes_before_one_that_had_some() -> None:
    """Who connects ahead, and who holds connections, sends nothing."""
    assert names([waiting(Shown.REQUEST, 1), waiting(Shown.HANDSHAKE, 2), waiting(Shown.HANDSHAKE, 3)], 2) == ["2", "3"]


def test_who_has_most_gives_first_however_much_it_has_shown() -> None:
    many = [waiting(Shown.HANDSHAKE, since, b"many") for since in (1, 2, 3)]
    assert names([*many, waiting(Shown.NOTHING, 4, b"few"), waiting(Shown.HELLO, 5, b"other")], 3) == ["1", "2", "4"]


def test_of_these_always_the_oldest_of_the_client_that_has_most_left() -> None:
    few = [waiting(Shown.HANDSHAKE, since, b"few") for since in (1, 2)]
    many = [waiting(Shown.HANDSHAKE, since, b"many") for since in (5, 4, 6, 3)]
    assert names([*few, *many], 4) == ["3", "4", "1", "5"]


def test_those_that_are_exempt_count_for_themselves() -> None:
    exempt = [waiting(Shown.HANDSHAKE, since, EXEMPT) for since in (1, 2, 3)]
    assert names([*exempt, *(waiting(Shown.HANDSHAKE, since) for since in (4, 5))], 3) == ["4", "1", "2"]


def test_each_is_counted_by_what_it_has_shown() -> None:
    reasons = [Idle(shown, 0.0, "public", b"").reason.value for shown in Shown]
    assert reasons == ["shed_silent", "shed_unfinished", "shed_idle", "shed_idle"]


@pytest.mark.parametrize(
    ("part", "seconds"), [(0.0, 10.0), (0.5, 10.0), (0.75, 6.0), (1.0, LEAST_SECONDS), (1.7, LEAST_SECONDS)]
)
def test_the_time_for_a_hello_shrinks_from_the_half_on(part: float, seconds: float) -> None:
    assert patience(10.0, part) == seconds
    assert patience(1.0, part) == 1.0, "never longer than it was configured"
