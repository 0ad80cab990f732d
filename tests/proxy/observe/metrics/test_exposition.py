"""Metrics as Prometheus reads them: valid, complete, merged, and of a size that no client decides."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from proxy.limits.reasons import RequestReason
from proxy.observe.counts.counters import Counters
from proxy.observe.counts.merging import Retained
from proxy.observe.logs.access_log import TargetRecord
from proxy.observe.metrics.exposition import CONTENT_TYPE, exposition
from proxy.observe.metrics.metric import MetricKind
from proxy.observe.metrics.metrics import METRICS
from proxy.observe.scrape import CertificateFacts, FleetFacts, Scrape, SealingFacts
from tests.fakes_admin import CLASSICAL, CLIENT, DAY, HYBRID, NOW, REQUEST, fed, scrape, server, worker


def read(given_scrape: Scrape) -> dict[str, Family]:
    """What a monitoring system understands."""
    found = list(text_string_to_metric_families(exposition(given_scrape).decode()))
    names = Counter(family.name for family in found)
    assert names.most_common(1)[0][1] == 1
    return {family.name: family for family in found}


def series(given_scrape: Scrape) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """The names of all time series."""
    samples = [sample for family in read(given_scrape).values() for sample in family.samples]
    names = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
    assert len(set(names)) == len(names)
    return set(names)


def value(given_scrape: Scrape, name: str, **labels: str) -> float:
    """The sum of the samples with these labels."""
    return sum(
        sample.value
        for family in read(given_scrape).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_every_metric_is_there_with_its_type_its_help_and_a_value() -> None:
    found = read(scrape())
    assert set(found) == {metric.name.removesuffix("_total") for metric in METRICS}
    for metric in METRICS:
        family = found[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        assert family.samples, metric.name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_histograms_are_cumulative_and_end_with_all_of_them() -> None:
    found = read(scrape())
    for metric in METRICS:
        if metric.kind is not MetricKind.HISTOGRAM:
            continue
        groups: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        for sample in found[metric.name].samples:
            if sample.name.endswith("_bucket"):
                rest = tuple(sorted((key, label) for key, label in sample.labels.items() if key != "le"))
                groups.setdefault(rest, []).append((float(sample.labels["le"]), sample.value))
        for labels, buckets in groups.items():
            assert [bound for bound, _ in buckets] == [*metric.bounds, float("inf")]
            assert all(earlier <= later for (_, earlier), (_, later) in pairwise(buckets))
            assert value(scrape(), f"{metric.name}_count", **dict(labels)) == buckets[-1][1]


def test_workers_are_added_up() -> None:
    both = scrape(worker(0, fed()), worker(1, fed(3)))
    assert value(both, "plexigate_handshakes_total", outcome="hybrid", resumed="false") == 20
    assert value(both, "plexigate_requests_total", route="chat.test/", status="2xx") == 12
    assert value(both, "plexigate_requests_total", route="-", status="4xx") == 4
    assert value(both, "plexigate_connections_open") == 8
    assert value(both, "plexigate_websockets_open", route="chat.test/gateway") == 4
    assert value(both, "plexigate_websocket_messages_total", direction="to_client") == 360
    assert value(both, "plexigate_connections_breaking_under_require_total") == 12
    assert value(both, "plexigate_log_lines_dropped_total") == 8
    with_losses = replace(both, log_losses=(5, 2))
    assert value(with_losses, "plexigate_log_lines_dropped_total") == 8 + 5, "the parent writes too"
    assert value(with_losses, "plexigate_log_errors_total") == value(both, "plexigate_log_errors_total") + 2
    assert value(both, "plexigate_upstream_requests_total", server="http://10.0.0.1:8000") == 100
    assert value(both, "plexigate_upstream_wait_seconds_total", server="http://10.0.0.1:8000") == 0.5
    assert value(both, "plexigate_workers") == 2


def test_workers_need_not_agree_about_the_state_of_a_server() -> None:
    found = scrape(worker(0, fed(), [server(state="up")]), worker(1, fed(), [server(state="ejected")]))
    assert value(found, "plexigate_upstream_state", state="up") == 1
    assert value(found, "plexigate_upstream_state", state="ejected") == 1
    assert value(found, "plexigate_upstream_connections_open") == 6


def test_a_counter_does_not_fall_when_a_worker_is_replaced() -> None:
    retained = Retained()
    last = worker(0, fed())
    retained.keep(last.snapshot, last.servers)
    after = scrape(worker(0, Counters()), worker(1, fed(3)), retained=retained)
    before = scrape(worker(0, fed()), worker(1, fed(3)))
    for name in ("plexigate_handshakes_total", "plexigate_requests_total", "plexigate_request_seconds_count"):
        assert value(after, name) == value(before, name)
    assert value(after, "plexigate_connections_open") == 4
    assert value(after, "plexigate_connections_breaking_under_require_total") == 12
    # its own connections to the server are gone, what went over them is not
    assert value(after, "plexigate_upstream_requests_total") == 100 * 2 + 100


def test_of_a_server_that_is_gone_from_the_configuration_nothing_is_told() -> None:
    retained = Retained()
    retained.keep({}, [server("http://old:1")])
    assert value(scrape(retained=retained), "plexigate_upstream_requests_total", server="http://old:1") == 0
    assert "http://old:1" not in exposition(scrape(retained=retained)).decode()


def test_a_worker_that_has_not_answered_yet_counts_as_a_worker() -> None:
    starting = replace(worker(0, Counters()), snapshot={}, servers=())
    assert value(scrape(starting), "plexigate_workers") == 1
    assert value(scrape(starting), "plexigate_connections_breaking_under_require_total") == 0


def test_a_worker_that_leaves_shares_its_slot_with_the_new_one() -> None:
    new = replace(worker(0, Counters()), age_seconds=5.0, rss_bytes=40_000_000)
    both = scrape(new, worker(0, fed()))
    assert series(both) >= series(scrape(worker(0, fed())))
    assert value(both, "plexigate_workers") == 2
    assert value(both, "plexigate_worker_age_seconds", slot="0") == 5.0
    assert value(both, "plexigate_worker_resident_bytes", slot="0") == 101_000_000


def test_time_to_the_end_of_certificates() -> None:
    certificates = list(scrape().certificates)
    certificates.append(CertificateFacts("files", "ecdsa-p256", ("files.test",), NOW + DAY))
    for days, tokens in ((3, ["plexi"]), (5, ["spare"]), (4, ["plexi"]), (7, ["plexi", "spare"])):
        certificates.append(CertificateFacts("chat", "rsa-3072", ("chat.test",), NOW + days * DAY, tokens=tokens))
    again = replace(scrape(), certificates=certificates)
    assert value(again, "plexigate_certificate_expiry_seconds", identity="chat", algorithm="mldsa-65") == 6 * DAY
    assert value(again, "plexigate_certificate_expiry_seconds", identity="files") == -DAY
    for token, days in (("plexi", 3), ("spare", 5), ("plexi,spare", 7)):
        labels = {"identity": "chat", "algorithm": "rsa-3072", "token": token}
        assert value(again, "plexigate_certificate_expiry_seconds", **labels) == days * DAY


def test_entries_of_logs_that_are_not_read_yet() -> None:
    assert value(scrape(), "plexigate_ct_unread_entries", log="https://ct.test/") == 2


def test_time_to_the_end_of_revocation_lists() -> None:
    assert value(scrape(), "plexigate_revocation_list_expiry_seconds", of="clients", subject="chat") == 2 * DAY
    assert value(scrape(), "plexigate_revocation_list_expiry_seconds", of="issuer", subject="internal") == 6 * DAY


def test_the_ages_of_the_sealing_key_and_of_those_below_it() -> None:
    found = scrape()
    assert value(found, "plexigate_sealing_key_age_seconds", key="sealing") == 200_000
    assert value(found, "plexigate_sealing_key_age_seconds", key="tickets") == 90_000
    for none in (replace(found, sealing=None), replace(found, sealing=SealingFacts("sealing.key"))):
        assert read(none)["plexigate_sealing_key_age_seconds"].samples == []


def test_the_fleet_of_a_node() -> None:
    facts = FleetFacts(
        "edge-1", is_leading=True, members=3, alive=2, revision=70, epoch=4, skew=-0.5, others={"edge-2": "d1"}
    )
    found = replace(scrape(), fleet=replace(facts, planned={"session ticket keys": NOW + 60}))
    wanted = {"connected": 1, "leading": 1, "members": 3, "nodes_alive": 2, "nodes_differing": 1, "revision": 70}
    for name, number in (wanted | {"epoch": 4, "clock_skew_seconds": -0.5}).items():
        assert value(found, f"plexigate_fleet_{name}") == number
    assert value(found, "plexigate_fleet_planned_seconds", what="session ticket keys") == 60
    assert value(replace(found, fleet=FleetFacts("edge-1", "no answer")), "plexigate_fleet_connected") == 0
    for none in (replace(found, fleet=None), replace(found, fleet=FleetFacts("edge-1"))):
        assert read(none)["plexigate_fleet_epoch"].samples == []


NAMES = st.text(min_size=0, max_size=40)


def hostile(number: int) -> Iterator[str]:
    """Names that differ each time, with everything that could break out of a label."""
    yield from (f"{number}.evil.test", f'"}} {number}\n# HELP', f"\\{number}\x00\u202e", "x" * (number % 300))


@pytest.fixture
def warm() -> Counters:
    """Each kind of row is there once."""
    counters = fed()
    counters.request(replace(REQUEST, route=None, status=400))
    counters.established("public", replace(HYBRID, group=None), 0.01)
    with_every_reason(counters)
    return counters


def with_every_reason(counters: Counters) -> None:
    """Let a request have failed in each way that there is."""
    for reason in RequestReason:
        counters.failure("public", reason)


@pytest.mark.at_length
def test_thousands_of_made_up_names_and_paths_make_no_series(warm: Counters) -> None:
    before = series(scrape(worker(0, warm)))
    for number in range(3_000):
        for name in hostile(number):
            target = TargetRecord(name, name, f"/{name}", name)
            client = replace(CLIENT, name=name, client="198.51.100.7", group="X25519")
            warm.request(replace(REQUEST, connection=client, target=target, route=None, status=400, error=name))
            warm.established("public", replace(CLASSICAL, server_name=name), 0.001)
            warm.refused("strict", None)
            warm.breaking.add(
                "public", name, f"10.{number % 256}.{number // 256}.1", [(b"User-Agent", name.encode("utf-8"))]
            )
    after = scrape(worker(0, warm))
    assert series(after) == before
    assert "evil" not in exposition(after).decode()
    assert len(str(warm.breaking.snapshot())) < 30_000


@pytest.mark.at_length
@settings(max_examples=30)  # all that was fed each time
@given(name=NAMES, agent=st.binary(max_size=200), status=st.integers(100, 599))
def test_no_name_makes_a_series(name: str, agent: bytes, status: int) -> None:
    counters = fed()
    for code in (101, 200, 300, 400, 500):
        counters.request(replace(REQUEST, route=None, status=code))
    with_every_reason(counters)
    before = series(scrape(worker(0, counters)))
    counters.request(replace(REQUEST, connection=replace(CLIENT, name=name), route=None, status=status, error=name))
    counters.established("public", replace(HYBRID, server_name=name), 0.001)
    counters.breaking.add("public", name, "192.0.2.1", [(b"User-Agent", agent)])
    assert series(scrape(worker(0, counters))) == before
