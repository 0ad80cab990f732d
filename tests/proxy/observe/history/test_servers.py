"""How fast each server answered lately."""

from dataclasses import replace

from proxy.observe.counters import Counters
from proxy.observe.history.servers import latencies_since, server_readings
from proxy.observe.merging import Retained
from proxy.observe.scrape import Scrape
from tests.fakes_admin import NOW, REQUEST, scrape, worker

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
