"""Which numbers were seen, where, and which are missing."""

from hypothesis import given
from hypothesis import strategies as st

from certs.audit.line import Kind, Line
from certs.audit.sequence import Gap, Order, Sequence
from certs.audit.verdict import Place
from tests.certs.audit.logs import NOW

AT = Place("a", 1)


def line(seq: int) -> Line:
    return Line.after(bytes(32), seq, Kind.OPERATION, {}, NOW)


def taken(*numbers: int) -> tuple[Sequence, list[Order]]:
    sequence = Sequence()
    return sequence, [sequence.take(line(seq), Place("a", at)) for at, seq in enumerate(numbers, 1)]


def test_order() -> None:
    sequence, orders = taken(3, 4, 8, 6, 6, 9, 5, 7, 4)
    late, again = Order.LATE, Order.AGAIN
    assert orders == [Order.NEXT, Order.NEXT, Order.AFTER_GAP, late, again, Order.NEXT, late, late, again]
    assert (sequence.first, sequence.last, sequence.last_hash) == (3, 9, line(9).hash)
    assert sequence.gaps == []


def test_gaps_that_stay() -> None:
    sequence, _ = taken(1, 9, 5)
    assert sequence.gaps == [Gap(2, 4, Place("a", 2)), Gap(6, 8, Place("a", 2))]


def test_a_gap_of_any_size_costs_nothing() -> None:
    sequence, orders = taken(1, 2**53 - 1)
    assert orders[1] is Order.AFTER_GAP
    assert sequence.find(2**52) is None


def test_places_over_files_and_gaps() -> None:
    sequence = Sequence()
    places = {1: Place("a", 1), 2: Place("a", 2), 3: Place("b", 1), 4: Place("b", 3), 7: Place("b", 4)}
    for seq, place in places.items():
        sequence.take(line(seq), place)
    assert {seq: sequence.find(seq) for seq in range(9)} == {
        seq: (places[seq], line(seq).hash) if seq in places else None for seq in range(9)
    }


def test_a_number_from_before_the_first_is_late() -> None:
    assert taken(5, 4)[1] == [Order.NEXT, Order.LATE]


@given(st.permutations(range(1, 9)))
def test_in_whatever_order_nothing_is_missing_at_the_end(numbers: list[int]) -> None:
    sequence, orders = taken(*numbers)
    assert Order.AGAIN not in orders
    assert sequence.gaps == []
    assert sequence.last == 8
    assert sequence.take(line(numbers[0]), AT) is Order.AGAIN
