"""What every answer carries."""

import re

from proxy.downstream.service.stamps import Stamps
from tests.fakes_http import DATE, WALL_CLOCK


def test_request_ids_are_unique_and_safe_in_fields_and_logs() -> None:
    stamps = Stamps(lambda: WALL_CLOCK)
    made = [stamps.new_request_id() for _ in range(1_000)]
    assert len(set(made)) == 1_000
    assert all(re.fullmatch(rb"[0-9a-f]{16}-[0-9a-f]+", one) for one in made)
    assert Stamps(lambda: WALL_CLOCK).new_request_id() not in made


def test_date_is_that_of_the_second_in_gmt() -> None:
    now = [WALL_CLOCK]
    stamps = Stamps(lambda: now[0])
    assert stamps.date() == DATE
    now[0] += 0.5
    assert stamps.date() == DATE
    now[0] += 0.5
    assert stamps.date() == DATE.replace(b"12:00:00", b"12:00:01")
