"""Many subjects are asked at once, and none holds the others up."""

import threading

from certs.acme.client.deadline import Overdue
from proxy.doctor.side_by_side import side_by_side


def test_answers_and_errors_come_in_order() -> None:
    def ask(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number * 10

    found = list(side_by_side([1, 2, 3], ask, 10.0))
    assert [one for one, _ in found] == [1, 2, 3]
    assert (found[0][1], str(found[1][1]), found[2][1]) == (10, "two", 30)


def test_subject_that_does_not_answer_is_left_behind() -> None:
    never = threading.Event()
    try:
        ((_, answer),) = side_by_side(["x"], lambda _: never.wait(), 0.05)
    finally:
        never.set()
    assert isinstance(answer, Overdue)
    assert str(answer) == "no answer within 0.05 s"


def test_more_subjects_than_places_are_all_asked() -> None:
    assert [answer for _, answer in side_by_side(range(40), lambda one: one, 10.0)] == list(range(40))
