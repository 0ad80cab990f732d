"""What may happen to two nodes and their store in a few steps, in every order that there is: the short form of `./dev soak fleet`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.proxy.supervisor.membership.model import all_schedules

EACH: Final = {
    "",
    "time passes",
    "the lease ends",
    "one is to expel two",
    "one is to expel three",
    "two is to expel one",
    "a request of a dead node arrives",
    *(
        step.format(name)
        for name in ("one", "two")
        for step in ("a request of {} arrives", "the answer to {} gets lost", "{} hears", "{} dies and starts again")
    ),
}


@pytest.mark.parametrize(
    ("beginning", "steps", "least"),
    [
        ((), 3, 400),
        (("time passes",), 3, 700),  # one writes
        (("time passes", "the lease ends", "two hears"), 2, 100),  # both believe to lead
    ],
)
def test_no_schedule_has_two_writers_of_one_object_in_one_epoch(
    tmp_path: Path, beginning: Sequence[str], steps: int, least: int
) -> None:
    happened = all_schedules(tmp_path, beginning, steps)
    assert set(happened) == EACH
    assert happened[""] > least


@pytest.mark.parametrize(
    ("beginning", "least"),
    [
        (("time passes",), 80),  # one plans
        (("two is to rotate chat",), 60),
    ],
)
def test_nor_has_one_that_rotates_a_ring(tmp_path: Path, beginning: Sequence[str], least: int) -> None:
    happened = all_schedules(tmp_path, beginning, 2, ["chat"])
    assert happened["two is to rotate chat"] > 10
    assert happened[""] > least


@pytest.mark.parametrize(
    ("beginning", "steps", "least"),
    [
        # who has died leads again, while what it asked for before is on its way
        (("time passes", "one dies and starts again", "the lease ends", "one hears"), 2, 50),
        # both believe to lead, and seal again what the key of the epoch before has sealed
        (
            ("one is to expel three", "a request of one arrives", "one hears", "the lease ends", *["two hears"] * 2),
            2,
            50,
        ),
    ],
)
def test_nor_has_one_that_begins_with_more_mishaps(
    tmp_path: Path, beginning: Sequence[str], steps: int, least: int
) -> None:
    assert all_schedules(tmp_path, beginning, steps)[""] > least
