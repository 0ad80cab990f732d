"""Which numbers were seen, where, and which are missing."""

from hypothesis import given
from hypothesis import strategies as st

from certs.audit.line import Line, LineKind
from certs.audit.sequence import Gap, Sequence, Succession
from certs.audit.verdict import LinePlace
from tests.certs.audit.logs import NOW

AT = LinePlace("a", 1)


def line(seq: int) -> Line:
    return Line.after(bytes(32), seq, LineKind.OPERATION, {}, NOW)


def taken(*numbers: int) -> tuple[Sequence, list[Succession]]:
    sequence = Sequence()
    return sequence, [sequence.take(line(seq), LinePlace("a", at)) for at, seq in enumerate(numbers, 1)]


def test_order() -> None:
    sequence, orders = taken(3, 4, 8, 6, 6, 9, 5, 7, 4)
    late, again = Succession.LATE, Succession.AGAIN
    assert orders == [
        Succession.NEXT,
        Succession.NEXT,
        Succession.AFTER_GAP,
        late,
        again,
        Succession.NEXT,
        late,
        late,
        again,
    ]
    assert (sequence.first, sequence.last, sequence.last_hash) == (3, 9, line(9).hash)
    assert sequence.gaps == []


def test_gaps_that_stay() -> None:
    sequence, _ = taken(1, 9, 5)
    assert sequence.gaps == [Gap(2, 4, LinePlace("a", 2)), Gap(6, 8, LinePlace("a", 2))]


def test_a_gap_of_any_size_costs_nothing() -> None:
    sequence, orders = taken(1, 2**53 - 1)
    assert orders[1] is Succession.AFTER_GAP
    assert sequence.find(2**52) is None


def test_places_over_files_and_gaps() -> None:
    sequence = Sequence()
    places = {
        1: LinePlace("a", 1),
        2: LinePlace("a", 2),
        3: LinePlace("b", 1),
        4: LinePlace("b", 3),
        7: LinePlace("b", 4),
    }
    for seq, place in places.items():
        sequence.take(line(seq), place)
    assert {seq: sequence.find(seq) for seq in range(9)} == {
        seq: (places[seq], line(seq).hash) if seq in places else None for seq in range(9)
    }


def test_a_number_from_before_the_first_is_late() -> None:
    assert taken(5, 4)[1] == [Succession.NEXT, Succession.LATE]


@given(st.permutations(range(1, 9)))
def test_in_whatever_order_nothing_is_missing_at_the_end(numbers: list[int]) -> None:
    sequence, orders = taken(*numbers)
    assert Succession.AGAIN not in orders
    assert sequence.gaps == []
    assert sequence.last == 8
    assert sequence.take(line(numbers[0]), AT) is Succession.AGAIN
