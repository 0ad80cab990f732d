"""Networks take turns, and none fills the queue."""

from proxy.limits.fair_queue import FairQueue, NoRoom, QueueLimits
from proxy.limits.networks import EXEMPT

A, B = b"\x0a\0\0\1", b"\x0a\0\0\2"


def queue(of_all: int = 10, per_network: int = 5) -> FairQueue[str]:
    return FairQueue(QueueLimits(of_all, per_network))


def emptied(one: FairQueue[str]) -> list[str]:
    found = []
    while (item := one.pop()) is not None:
        found.append(item)
    return found


def test_networks_take_turns_and_each_keeps_its_order() -> None:
    waiting = queue()
    for network, item in ((A, "a1"), (A, "a2"), (A, "a3"), (B, "b1"), (B, "b2")):
        assert waiting.push(network, item) is None
    assert waiting.waiting == 5
    assert emptied(waiting) == ["a1", "b1", "a2", "b2", "a3"]
    assert waiting.waiting == 0


def test_one_network_cannot_fill_it() -> None:
    waiting = queue(of_all=4, per_network=2)
    assert [waiting.push(A, item) for item in "abc"] == [None, None, NoRoom.SHARE]
    assert [waiting.push(B, item) for item in "ab"] == [None, None]
    assert waiting.push(b"third", "c") is NoRoom.FULL
    assert waiting.pop() == "a"
    assert waiting.push(b"third", "c") is None


def test_exempt_clients_may_fill_it() -> None:
    waiting = queue(of_all=4, per_network=2)
    assert [waiting.push(EXEMPT, item) for item in "abcd"] == [None] * 4
    assert waiting.push(EXEMPT, "e") is NoRoom.FULL


def test_exempt_clients_give_way_to_nobody() -> None:
    waiting = queue(of_all=6)
    for item in ("e1", "e2", "e3", "e4"):
        assert waiting.push(EXEMPT, item) is None
    assert waiting.give_way(A) is None
    for item in ("a1", "a2"):
        assert waiting.push(A, item) is None
    assert waiting.give_way(B) == "a2"


def test_turns_are_counted_as_they_are_taken() -> None:
    waiting = queue()
    for network, item in ((A, "a1"), (A, "a2"), (A, "a3"), (B, "b1")):
        waiting.push(network, item)
    waiting.push_urgent("ours")
    assert [waiting.ahead_of(one) for one in (A, B, b"third")] == [5, 4, 3]
    waiting.push(b"third", "c1")
    order = emptied(waiting)
    assert order.index("c1") == 3


def test_what_is_refused_leaves_nothing_behind() -> None:
    waiting = queue(of_all=0)
    assert waiting.push(A, "a") is NoRoom.FULL
    assert waiting.pop() is None


def test_our_own_goes_first_and_counts_for_nobody() -> None:
    waiting = queue(of_all=1)
    assert waiting.push(A, "a") is None
    waiting.push_urgent("ours")
    assert waiting.waiting == 2
    assert emptied(waiting) == ["ours", "a"]


def test_who_needs_it_no_more_is_taken_out() -> None:
    waiting = queue()
    for item in ("a1", "a2"):
        waiting.push(A, item)
    waiting.push(B, "b1")
    assert waiting.remove(A, "a1")
    assert not waiting.remove(A, "a1")
    assert not waiting.remove(b"third", "a2")
    assert waiting.remove(B, "b1")
    assert waiting.waiting == 1
    assert emptied(waiting) == ["a2"]


def test_clearing_leaves_our_own() -> None:
    waiting = queue()
    waiting.push(A, "a")
    waiting.push(B, "b")
    waiting.push_urgent("ours")
    assert sorted(waiting.clear()) == ["a", "b"]
    assert emptied(waiting) == ["ours"]
    assert waiting.push(A, "a") is None


def test_network_whose_turn_cannot_come_keeps_its_place() -> None:
    waiting = queue()
    for network, item in ((A, "a1"), (B, "b1"), (B, "b2")):
        waiting.push(network, item)
    assert waiting.pop(lambda network: network == B) == "b1"
    assert waiting.pop(lambda _: False) is None
    assert waiting.waiting == 2
    assert emptied(waiting) == ["a1", "b2"]


def test_network_with_most_gives_way_with_its_newest() -> None:
    waiting = queue(of_all=3)
    for item in ("a1", "a2", "a3"):
        waiting.push(A, item)
    assert waiting.give_way(B) == "a3"
    assert waiting.push(B, "b1") is None
    assert waiting.give_way(B) is None, "it would only change places"
    assert waiting.give_way(A) is None, "it has the most itself"
    assert list(waiting) == ["a1", "a2", "b1"]


def test_empty_queue_has_none_that_gives_way() -> None:
    assert queue(of_all=0).give_way(A) is None


def test_one_that_is_pushed_fairly_displaces_where_that_is_fair() -> None:
    displaced: list[str] = []
    waiting = queue(of_all=3, per_network=3)
    for item in ("a1", "a2", "a3"):
        assert waiting.push_fairly(A, item, displaced.append) is None
    assert waiting.push_fairly(A, "a4", displaced.append) is NoRoom.FULL, "it has the most itself"
    assert displaced == []
    assert waiting.push_fairly(B, "b1", displaced.append) is None
    assert displaced == ["a3"]
    assert emptied(waiting) == ["a1", "b1", "a2"]
    few = queue(of_all=4, per_network=1)
    few.push(A, "a")
    assert few.push_fairly(A, "b", displaced.append) is NoRoom.SHARE
    assert displaced == ["a3"]
