"""Who accepts where: nobody waits at a socket without an acceptor."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.supervisor.workers.assignment import assignment

SLOTS = st.integers(0, 64)


@given(SLOTS, st.data())
def test_every_slot_has_exactly_one_acceptor_that_is_able(slots: int, data: st.DataObject) -> None:
    able = data.draw(st.sets(st.integers(0, max(slots - 1, 0)), max_size=slots))
    found = assignment(slots, able)
    assert set(found) == able
    dealt = sorted(slot for several in found.values() for slot in several)
    assert dealt == (list(range(slots)) if able else [])


@given(SLOTS, st.data())
def test_own_slot_is_never_lost_and_orphans_are_shared_evenly(slots: int, data: st.DataObject) -> None:
    able = data.draw(st.sets(st.integers(0, max(slots - 1, 0)), min_size=1)) if slots else set()
    found = assignment(slots, able)
    for worker, several in found.items():
        assert worker in several
    sizes = [len(several) for several in found.values()]
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


def test_without_anybody_connections_wait() -> None:
    assert assignment(4, ()) == {}


def test_orphans_go_in_turn() -> None:
    assert assignment(5, {1, 3}) == {1: {0, 1, 4}, 3: {2, 3}}
