"""Who makes room: the oldest silent connection of the network with most of them."""

from proxy.limits.silent import SilentOnes


def test_the_oldest_of_a_network_is_the_one_that_came_first() -> None:
    silent = SilentOnes[str]()
    assert silent.oldest_of(b"a") is None
    for one in ("first", "second"):
        silent.add(b"a", one)
    assert silent.oldest_of(b"a") == "first"
    silent.discard(b"a", "first")
    silent.discard(b"a", "first")
    assert silent.oldest_of(b"a") == "second"
    assert silent.oldest_of(b"b") is None


def test_the_network_with_most_gives_one_up() -> None:
    silent = SilentOnes[str]()
    assert silent.oldest_of_largest() is None
    silent.add(b"honest", "oldest of all")
    silent.add(b"many", "one of many")
    silent.add(b"many", "another")
    assert silent.oldest_of_largest() == "one of many"
    for one in ("one of many", "another"):
        silent.discard(b"many", one)
    assert silent.oldest_of_largest() == "oldest of all"
    silent.discard(b"many", "another")
