"""Handshakes by day: what is taken from counts that only grow, what is kept, and what is not a
document of ours."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.adoption import DAYS, Adoption, AdoptionMalformed, Offer, parse_adoption, taken
from proxy.observe.counts.breaking import BreakingClients, day_of
from proxy.observe.scrape import ListenerFacts
from tests.parts import part

NOON = 1_795_867_200.0  # 2026-11-28 12:00 UTC
TODAY = "2026-11-28"
DAY = 86_400.0
PUBLIC = ListenerFacts("public", ["0.0.0.0:443"], "prefer", "X25519MLKEM768 / X25519")
PLAIN = ListenerFacts("http", ["0.0.0.0:80"], "no TLS", "")


def rows(**counts: int) -> list[Any]:
    """Handshakes of one identity by outcome; half of the hybrid ones resumed a session."""
    base = {"listener": "public", "identity": "chat", "group": "-", "version": "TLSv1.3"}
    return [{**base, "outcome": outcome, "resumed": "false", "count": count} for outcome, count in counts.items()]


def counted(breaking: BreakingClients | None = None, **counts: int) -> Any:
    found: Any = {"handshakes": rows(**counts)}
    return found if breaking is None else {**found, "breaking": breaking.snapshot()}


def of(adoption: Adoption, day: str = TODAY) -> dict[str, int]:
    return adoption.days[day]["public"].handshakes["chat"]


def test_what_is_new_goes_to_the_present_day() -> None:
    adoption = Adoption()
    assert adoption.take(NOON, counted(hybrid=5, client_cannot=2), [PUBLIC, PLAIN])
    assert not adoption.take(NOON, counted(hybrid=5, client_cannot=2), [PUBLIC, PLAIN])
    assert adoption.take(NOON + DAY, counted(hybrid=7, client_cannot=2), [PUBLIC])
    assert of(adoption) == {"hybrid": 5, "client_cannot": 2}
    assert of(adoption, "2026-11-29") == {"hybrid": 2}
    assert adoption.offers == {"public": Offer("prefer", "X25519MLKEM768 / X25519")}


def test_rows_of_several_groups_are_one_count() -> None:
    adoption = Adoption()
    adoption.take(NOON, {"handshakes": rows(hybrid=2) + rows(hybrid=3)}, [])
    assert of(adoption) == {"hybrid": 5}


def test_a_worker_that_was_killed_takes_nothing_from_a_day() -> None:
    adoption = Adoption()
    adoption.take(NOON, counted(hybrid=5), [])
    assert not adoption.take(NOON, counted(hybrid=3), [])
    assert adoption.take(NOON, counted(hybrid=4), [])
    assert of(adoption) == {"hybrid": 6}


def test_summaries_of_this_process_are_added_to_those_of_an_earlier_one() -> None:
    breaking = BreakingClients(lambda: TODAY)
    breaking.add("public", "chat.test", "192.0.2.1", [])
    earlier = Adoption()
    assert earlier.take(NOON, counted(breaking, client_cannot=1), [PUBLIC])
    adoption = parse_adoption(json.loads(json.dumps(earlier.document(NOON, "one"))))
    assert adoption.writer == "one"
    for _ in range(2):  # the same snapshot again adds nothing
        adoption.take(NOON, counted(breaking, client_cannot=1), [PUBLIC])
    assert not adoption.take(NOON, counted(breaking, client_cannot=1), [PUBLIC])
    assert part(adoption.days[TODAY]["public"].breaking)["networks"]["entries"] == [["192.0.2.0/24", 2, 0]]
    assert of(adoption) == {"client_cannot": 2}


def test_summary_of_a_day_before_yesterday_is_final() -> None:
    breaking = BreakingClients(lambda: TODAY)
    breaking.add("public", None, "192.0.2.1", [])
    adoption = Adoption()
    adoption.take(NOON, counted(breaking), [])
    breaking.add("public", None, "192.0.2.1", [])
    assert adoption.take(NOON + DAY, counted(breaking), [])
    breaking.add("public", None, "192.0.2.1", [])
    assert not adoption.take(NOON + 2 * DAY, counted(breaking), [])
    assert part(adoption.days[TODAY]["public"].breaking)["agents"]["total"] == 2


def test_days_are_kept_for_a_month_and_none_is_yet_to_come() -> None:
    adoption = Adoption()
    for number in range(DAYS + 10):
        adoption.take(NOON + number * DAY, counted(hybrid=number + 1), [])
    assert len(adoption.days) == DAYS
    assert min(adoption.days) == day_of(NOON + 10 * DAY)
    assert adoption.take(NOON + 11 * DAY, counted(hybrid=DAYS + 10), [])  # the clock was set back
    assert sorted(adoption.days) == [day_of(NOON + 10 * DAY), day_of(NOON + 11 * DAY)]


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=20))
def test_days_add_up_to_the_counts(steps: list[int]) -> None:
    adoption, total = Adoption(), 0
    for number, step in enumerate(steps):
        total += step
        adoption.take(NOON + number * DAY / 3, counted(hybrid=total), [])
    found = sum(one.handshakes["chat"]["hybrid"] for day in adoption.days.values() for one in day.values())
    assert found == total


def document() -> Any:
    breaking = BreakingClients(lambda: TODAY)
    breaking.add("public", "chat.test", "2001:db8::1", [(b"User-Agent", b"old")])
    adoption = Adoption()
    adoption.take(NOON, counted(breaking, client_cannot=1, hybrid=3), [PUBLIC])
    adoption.take(NOON + DAY, counted(breaking, client_cannot=1, hybrid=4), [PUBLIC])
    return adoption.document(NOON, "one")


def test_document_is_read_as_it_was_written() -> None:
    written = document()
    assert parse_adoption(json.loads(json.dumps(written))).document(NOON, "one") == written
    assert written["days"]["2026-11-29"]["public"] == {"handshakes": {"chat": {"hybrid": 1}}, "breaking": {}}


def test_no_address_is_in_the_document() -> None:
    text = json.dumps(document())
    assert "2001:db8::/48" in text
    assert "2001:db8::1" not in text


def broken(*path: str | int, value: Any) -> Any:
    changed = copy.deepcopy(document())
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


ENTRIES = ("days", TODAY, "public", "breaking", "agents", "entries")


@pytest.mark.parametrize(
    "content",
    [
        [],
        7,
        {},
        {"version": 1},
        broken("days", value=[]),
        broken("days", TODAY, value=7),
        broken("days", value={"monday": {}}),
        broken("listeners", "public", value={}),
        broken("listeners", "public", "pq", value=7),
        broken("writer", value=None),
        broken("days", TODAY, "public", value=None),
        broken("days", TODAY, "public", "breaking", value={"names": {}}),
        broken("days", TODAY, "public", "breaking", "agents", "capacity", value=32),
        broken("days", TODAY, "public", "breaking", "agents", "total", value=-1),
        broken("days", TODAY, "public", "handshakes", "chat", "hybrid", value=True),
        broken("days", TODAY, "public", "handshakes", "chat", "hybrid", value=1.5),
        broken("days", TODAY, "public", "handshakes", "chat", "other", value=1),
        broken(*ENTRIES, value=[["old", 1]]),
        broken(*ENTRIES, value=[["old", 1, 0]] * 65),
        broken(*ENTRIES, value=[[7, 1, 0]]),
    ],
)
def test_anything_else_is_malformed(content: object) -> None:
    with pytest.raises(AdoptionMalformed) as caught:
        parse_adoption(content)
    assert caught.value.found in {"no table", "other content than this proxy writes", "the content of another version"}


def test_another_version_is_named() -> None:
    with pytest.raises(AdoptionMalformed, match="another version"):
        parse_adoption({**document(), "version": 2})


def test_a_snapshot_is_read_in_parts_which_it_need_not_have() -> None:
    whole = counted(hybrid=1)
    more: Any = {**whole, "failures": []}
    assert taken(more) == whole
    both: Any = {**whole, "breaking": {}}
    assert taken(both) == both
    assert taken({}) == {}
