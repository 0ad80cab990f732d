"""Who goes first: of whoever has most, who has shown least, for the longest time."""

from collections import Counter

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


def several(shown: Shown, count: int, client: bytes) -> list[tuple[Idle, str]]:
    """So many of a client, which bear its name."""
    return [(Idle(shown, number, "public", client), client.decode()) for number in range(count)]


def gone(candidates: list[tuple[Idle, str]], most: int) -> dict[str, int]:
    """How many of each client go."""
    return Counter(names(candidates, most))


def test_who_has_most_gives_first_however_much_it_has_shown() -> None:
    many = several(Shown.REQUEST, 9, b"many")
    others = [waiting(Shown.NOTHING, 4, b"few"), waiting(Shown.HELLO, 5, b"other")]
    assert names([*many, *others], 10) == ["many"] * 8 + ["4", "5"]


def test_unused_connections_that_a_browser_may_have_go_last_of_what_is_silent() -> None:
    honest = [one for number in range(20) for one in several(Shown.REQUEST, 6, b"honest%d" % number)]
    assert gone([*honest, *several(Shown.SILENCE, 3, b"holder"), *several(Shown.NOTHING, 2, b"flood")], 5) == {
        "holder": 3,
        "flood": 2,
    }
    assert gone([*honest, *several(Shown.MESSAGES, 7, b"busy")], 7) == {"busy": 7}, "that looks busy"


def test_of_tunnels_the_silent_go_before_those_with_messages_whoever_has_them() -> None:
    busy = several(Shown.MESSAGES, 50, b"office")
    silent = [one for number in range(4) for one in several(Shown.SILENCE, 2, b"silent%d" % number)]
    assert gone([*busy, *silent], 9) == {f"silent{number}": 2 for number in range(4)} | {"office": 1}
    assert names([waiting(Shown.SILENCE, 2), waiting(Shown.REQUEST, 1), waiting(Shown.MESSAGES, 0)], 2) == ["2", "1"]


def test_tunnels_in_use_of_who_has_few_never_go() -> None:
    assert names(several(Shown.MESSAGES, 6, b"home"), 9) == []
    assert gone([*several(Shown.MESSAGES, 6, b"home"), *several(Shown.MESSAGES, 9, b"many")], 99) == {"many": 9}


def test_of_these_always_the_oldest_of_the_client_that_has_most_left() -> None:
    few = [waiting(Shown.SILENCE, since, b"few") for since in (1, 2)]
    many = [waiting(Shown.SILENCE, since, b"many") for since in (5, 4, 6, 3)]
    assert names([*few, *many], 4) == ["3", "4", "1", "5"]


def test_those_that_are_exempt_count_for_themselves() -> None:
    exempt = [waiting(Shown.HANDSHAKE, since, EXEMPT) for since in (1, 2, 3)]
    assert names([*exempt, *(waiting(Shown.HANDSHAKE, since) for since in (4, 5))], 3) == ["4", "1", "2"]


def test_each_is_counted_by_what_it_has_shown() -> None:
    reasons = [Idle(shown, 0.0, "public", b"").reason.value for shown in Shown]
    assert reasons == ["shed_silent", "shed_unfinished", "shed_idle", "shed_idle", "shed_tunnel", "shed_tunnel"]


@pytest.mark.parametrize(
    ("part", "seconds"), [(0.0, 10.0), (0.5, 10.0), (0.75, 6.0), (1.0, LEAST_SECONDS), (1.7, LEAST_SECONDS)]
)
def test_the_time_for_a_hello_shrinks_from_the_half_on(part: float, seconds: float) -> None:
    assert patience(10.0, part) == seconds
    assert patience(1.0, part) == 1.0, "never longer than it was configured"
