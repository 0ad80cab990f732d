"""The oldest of the client that has most, against a reckoning that is too slow to be used."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.limits.crowd import Crowd


def test_an_empty_one_has_nobody() -> None:
    crowd: Crowd[str] = Crowd()
    assert (len(crowd), list(crowd), crowd.oldest(), crowd.oldest_of("one")) == (0, [], None, None)
    crowd.discard("one", "nobody")


def test_the_oldest_of_whom_has_most_comes_first() -> None:
    crowd: Crowd[str] = Crowd()
    for client, member in ("one", "a"), ("many", "b"), ("many", "c"), ("other", "d"):
        crowd.add(client, member)
    assert (crowd.oldest(), crowd.oldest_of("other"), len(crowd)) == ("b", "d", 4)
    crowd.discard("many", "b")
    assert crowd.oldest() == "a", "each has one: who has had it for the longest time"
    crowd.discard("many", "b")
    assert sorted(crowd) == ["a", "c", "d"]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 6)), max_size=60))
def test_whatever_comes_and_goes_it_knows_who_has_most(steps: list[tuple[bool, int, int]]) -> None:
    crowd: Crowd[int] = Crowd()
    known: dict[int, list[int]] = {}
    for comes, client, member in steps:
        members = known.setdefault(client, [])
        if comes and member not in members:
            crowd.add(client, member)
            members.append(member)
        elif not comes:
            crowd.discard(client, member)
            known[client] = [one for one in members if one != member]
        most = max(map(len, known.values()))
        heaviest = [members[0] for members in known.values() if members and len(members) == most]
        assert crowd.oldest() in heaviest if heaviest else crowd.oldest() is None
        assert len(crowd) == sum(map(len, known.values()))
        assert crowd.oldest_of(client) == (known[client][0] if known[client] else None)
