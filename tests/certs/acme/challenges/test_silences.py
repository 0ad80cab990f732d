"""A CA that wants to be left alone is left alone."""

from certs.acme.challenges.silences import Silences

DAY = 86_400.0
CA, NAMES = "https://ca.test/dir", {"a.test", "b.test"}


def test_a_silence_ends_when_it_should() -> None:
    silences = Silences()
    assert silences.left(CA, NAMES, 10.0, DAY) == 0.0
    silences.keep(CA, NAMES, 10.0, 60.0)
    assert silences.left(CA, NAMES, 10.0, DAY) == 60.0
    assert silences.left(CA, frozenset(NAMES), 69.0, DAY) == 1.0
    assert silences.left(CA, NAMES, 71.0, DAY) == 0.0


def test_other_names_and_other_cas_are_not_meant() -> None:
    silences = Silences()
    silences.keep(CA, NAMES, 10.0, 60.0)
    assert silences.left(CA, {"a.test"}, 10.0, DAY) == 0.0
    assert silences.left("https://other.test/dir", NAMES, 10.0, DAY) == 0.0


def test_what_ends_first_makes_room() -> None:
    silences = Silences()
    for number in range(1_001):
        silences.keep(CA, {f"{number}.test"}, 0.0, 100.0 + number)
    assert silences.left(CA, {"0.test"}, 0.0, DAY) == 0.0
    assert silences.left(CA, {"1.test"}, 0.0, DAY) == 101.0
    assert silences.left(CA, {"1000.test"}, 0.0, DAY) == 1_100.0


def test_no_wish_is_heeded_for_longer_than_is_reasonable() -> None:
    silences = Silences()
    silences.keep(CA, NAMES, 10.0, 7 * DAY)
    assert silences.left(CA, NAMES, 20.0, DAY) == DAY - 10.0
    assert silences.left(CA, NAMES, 20.0, 5.0) == 0.0
    assert silences.left(CA, NAMES, 10.0, 0.0) == 0.0, "a person insists"
