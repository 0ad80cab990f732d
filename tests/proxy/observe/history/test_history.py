"""The history of a proxy, from scrapes at any times."""

import json
from dataclasses import replace

from proxy.observe.counts.counters import Counters
from proxy.observe.counts.merging import Retained
from proxy.observe.history.history import History, LastMinutes, latencies_since, server_readings
from proxy.observe.scrape import Scrape
from tests.fakes_admin import NOW, REQUEST, fed, scrape, worker


def at(seconds: float, times: int = 1) -> Scrape:
    """A scrape so many seconds after `NOW`; the counts are those of `times`."""
    return replace(scrape(worker(0, fed(times))), now=NOW + seconds)


def test_first_scrape_has_nothing_to_compare_with() -> None:
    history = History()
    assert history.latest_at == 0.0
    history.note(at(0.0))
    assert history.latest_at == NOW
    assert history.fine.since(0.0)["at"] == []


def test_one_scrape_of_each_ten_seconds_is_taken() -> None:
    history = History()
    for seconds in (0.0, 2.0, 9.9, 10.5, 12.0, 19.9, 31.0):
        history.note(at(seconds))
    assert history.fine.since(0.0)["at"] == [NOW + 10.5, NOW + 31.0]
    assert history.latest_at == NOW + 31.0


def test_scrape_that_follows_too_soon_is_left_out() -> None:
    history = History()
    for seconds in (9.0, 10.5, 14.5, 21.0):
        history.note(at(seconds))
    assert history.fine.since(0.0)["at"] == [NOW + 14.5, NOW + 21.0]


def test_rates_are_over_the_time_that_has_passed() -> None:
    history = History()
    history.note(at(0.0))
    history.note(at(12.5, times=2))
    assert history.fine.since(0.0)["series"]["handshakes/hybrid"] == [6 / 12.5]


def test_each_minute_has_a_coarse_sample() -> None:
    history = History()
    for number in range(14):
        history.note(at(10.0 * number, times=1 + number))
    assert history.coarse.since(0.0)["at"] == [NOW + 60.0, NOW + 120.0]
    assert history.coarse.since(0.0)["series"]["handshakes/hybrid"] == [0.6, 0.6]


def test_hour_and_day_are_bounded() -> None:
    history = History()
    assert (history.fine.seconds * history.fine.length, history.coarse.seconds * history.coarse.length) == (
        3_600.0,
        86_400.0,
    )


def test_refusals_and_routes_follow() -> None:
    history = History()
    history.note(at(0.0))
    history.note(at(60.0, times=2))
    assert {(one["listener"], one["reason"], one["count"]) for one in history.refusals()} >= {
        ("public", "timeout", 1),
        ("strict", "pq_policy", 1),
    }
    found = history.routes(at(70.0, times=3))
    assert found["seconds"] == 70.0
    assert {one["route"] for one in found["routes"]} == {"-", "chat.test/"}


def test_clock_that_was_set_back_begins_a_new_history() -> None:
    history = History()
    history.note(at(0.0))
    history.note(at(10.0))
    history.note(at(9.0))
    assert history.fine.since(0.0)["at"] == [NOW + 10.0], "a step of a moment is none"
    history.note(at(-3_600.0))
    assert history.fine.since(0.0)["at"] == []
    history.note(at(-3_590.0))
    assert history.fine.since(0.0)["at"] == [NOW - 3_590.0]


def test_the_next_process_of_an_upgrade_goes_on() -> None:
    history, later = History(), History()
    for number in range(14):
        history.note(at(10.0 * number, times=1 + number))
    later.note(at(100.0))
    later.note(at(120.0))
    later.take_over(json.loads(json.dumps(history.handed())))
    assert later.handed() == history.handed()
    later.note(at(150.0))
    later.note(at(160.0, times=2))
    assert later.fine.since(NOW + 140.0)["at"] == [NOW + 160.0]


def test_the_oldest_of_five_minutes_is_kept() -> None:
    minutes = LastMinutes[str]()
    assert minutes.oldest is None
    for minute in range(8):
        minutes.add(60.0 * minute, f"reading {minute}")
    assert minutes.oldest == (180.0, "reading 3")
    minutes.clear()
    assert minutes.oldest is None


FAST, SLOW = "http://10.0.0.1:8000", "http://10.0.0.2:8000"


def answered(*answers: tuple[str, float], retained: Retained | None = None) -> Scrape:
    """A proxy whose servers sent their first bytes after so many seconds."""
    counters = Counters()
    for address, first_byte in answers:
        counters.request(replace(REQUEST, upstream=address, first_byte=first_byte))
    return scrape(worker(0, counters), retained=retained)


def test_each_server_has_its_own() -> None:
    found = latencies_since(None, server_readings(answered(*[(FAST, 0.002)] * 99, (FAST, 0.9), (SLOW, 4.0))))
    assert found[FAST]["p50"] == 0.001 + 0.0015 * 50 / 99
    assert found[FAST]["p99"] == 0.0025
    assert found[SLOW] == {"p50": 3.75, "p99": 4.975}


def test_only_the_last_minutes_count() -> None:
    oldest = NOW, server_readings(answered((FAST, 4.0), (SLOW, 4.0)))
    found = latencies_since(oldest, server_readings(answered((FAST, 4.0), (FAST, 0.0005), (SLOW, 4.0))))
    assert found == {FAST: {"p50": 0.0005, "p99": 0.00099}, SLOW: {"p50": None, "p99": None}}


def test_workers_that_ended_count() -> None:
    retained = Retained()
    retained.keep(worker(0, Counters()).snapshot)
    retained.keep(answered((FAST, 0.002)).workers[0].snapshot)
    assert sum(server_readings(answered((FAST, 0.002), retained=retained))[FAST].counts) == 2
