"""What the page shows of one moment."""

import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.admin.page.overview import overview
from proxy.observe.history.history import History
from proxy.observe.readiness import NotReadyReason, Readiness, ReadinessSubject
from proxy.observe.scrape import ConfigurationFacts, FleetFacts
from tests.fakes_admin import DAY, NOW, fed, scrape, server, worker

AWAY = NotReadyReason(ReadinessSubject.UPSTREAM, "chat", "has no server that takes requests")
SLOW = NotReadyReason(ReadinessSubject.WORKER, "1", "does not answer")
ISSUED: Any = {
    "identity": "files",
    "credential": "ec",
    "names": ["files.test"],
    "issuer": "internal",
    "key": {"algorithm": "ecdsa-p256", "place": "token plexi"},
    "not_before": "2026-05-01T00:00:00+00:00",
    "not_after": "2026-06-10T00:00:00+00:00",
    "next": {"at": "2026-06-03T00:00:00+00:00", "urgency": "calm"},
    "last_error": None,
}


def test_it_is_json_of_every_section() -> None:
    found = overview(scrape(), History(), [], "compiled")
    assert json.loads(json.dumps(found)) == found
    assert list(found) == [
        *("proxy", "readiness", "alerts", "handshakes", "certificates", "tokens", "upstreams", "listeners"),
        *("routes", "refusals", "classical", "busiest", "quantum_safe_groups", "workers", "maintenance"),
        *("configuration", "backup", "fleet"),
    ]


def test_busiest_clients_are_those_of_all_workers() -> None:
    found = overview(scrape(), History(), [], "compiled")["busiest"]
    assert found == [{"client": "192.0.2.1", "share": 1.0}]


def test_groups_that_withstand_a_quantum_computer_are_named() -> None:
    assert overview(scrape(), History(), [], "compiled")["quantum_safe_groups"] == ["X25519MLKEM768"]


def test_servers_tell_how_fast_they_answered() -> None:
    rows = overview(scrape(), History(), [], "compiled")["upstreams"]["rows"]
    assert [(one["server"], one["p50"], one["p99"]) for one in rows] == [
        ("http://10.0.0.1:8000", 0.00375, 0.004975),
        ("http://10.0.0.2:8000", None, None),
    ]


def test_configuration_is_shown_without_its_secrets() -> None:
    facts = ConfigurationFacts("/etc/plexigate.toml", "ab" * 32, NOW, "workers = 2\n")
    shown = overview(replace(scrape(), configuration=facts), History(), [], "compiled")["configuration"]
    assert (shown["file"], shown["text"]) == ("/etc/plexigate.toml", "workers = 2\n")
    assert overview(replace(scrape(), configuration=None), History(), [], "compiled")["configuration"]["text"] == ""


def test_process_says_how_old_it_and_its_configuration_are() -> None:
    found = overview(replace(scrape(), configured_at=NOW - DAY), History(), [], "compiled")["proxy"]
    assert (found["now"], found["started_at"], found["configured_at"]) == (NOW, NOW - 3 * DAY, NOW - DAY)
    assert (found["version"], found["hot_path"], found["restarts"]) == ("0.1.0", "compiled", 1)


def test_first_certificate_to_expire_comes_first() -> None:
    rows = overview(scrape(), History(), [ISSUED], "compiled")["certificates"]["rows"]
    assert [(one["identity"], one["credential"]) for one in rows] == [
        *(("files", "ecdsa-p256"), ("chat", "mldsa-65"), ("files", "ec"), ("chat", "ecdsa-p256")),
    ]
    (rotating,) = [one for one in rows if one["credential"] == "ec"]
    assert (rotating["next_at"] or 0.0) - (rotating["begins_at"] or 0.0) == 33 * DAY
    assert (rotating["issuer"], rotating["place"], rotating["urgency"]) == ("internal", "token plexi", "calm")
    assert rows[0]["next_at"] is None


def test_certificate_that_is_issued_stands_once() -> None:
    facts = [replace(one, is_issued=one.identity == "files") for one in scrape().certificates]
    rows = overview(replace(scrape(), certificates=facts), History(), [ISSUED], "compiled")["certificates"]["rows"]
    assert [one["identity"] for one in rows].count("files") == 1


def test_certificate_that_does_not_exist_yet_has_no_times() -> None:
    wanted = ISSUED | {"not_before": None, "not_after": None, "next": None, "last_error": "refused"}
    first = overview(scrape(), History(), [wanted], "compiled")["certificates"]["rows"][0]
    assert (first["begins_at"], first["expires_at"], first["next_at"], first["error"]) == (None, None, None, "refused")


def test_tables_say_how_much_they_leave_out() -> None:
    servers = [server(f"http://10.0.0.{number}:80") for number in range(130)]
    found = overview(scrape(worker(0, fed(), servers)), History(), [], "compiled")["upstreams"]
    assert (len(found["rows"]), found["more"]) == (100, 30)


def test_workers_token_and_servers() -> None:
    workers = [replace(worker(0, fed()), cpu_seconds=2.5), worker(1, fed())]
    found = overview(scrape(*workers), History(), [], "compiled")
    assert [one["cpu_seconds"] for one in found["workers"]["rows"]] == [2.5, 0.0]
    (token,) = found["tokens"]["rows"]
    assert (token["token"], token["condition"], token["states"], token["queued"]) == (
        "plexi",
        "well",
        ["closed"] * 2,
        6,
    )
    assert [one["states"] for one in found["upstreams"]["rows"]] == [{"up": 2}, {"ejected": 2}]
    assert [one["name"] for one in found["listeners"]["rows"]] == ["public", "strict"]
    assert found["classical"]["user_agents"][0]["user_agent"] == "OldChat/1.4 (Windows NT 6.1)"


@pytest.mark.parametrize(
    ("readiness", "sentence"),
    [
        (Readiness(), "Ready: every worker, certificate and route can serve."),
        (Readiness((AWAY,)), "Not ready: upstream chat has no server that takes requests."),
        (Readiness((AWAY, SLOW)), "Not ready: upstream chat has no server that takes requests, and 1 more."),
        (Readiness((), (AWAY,)), "Ready, degraded: upstream chat has no server that takes requests."),
        (Readiness((), (SLOW, AWAY)), "Ready, degraded: worker 1 does not answer, and 1 more."),
    ],
)
def test_readiness_is_one_sentence(readiness: Readiness, sentence: str) -> None:
    found = overview(replace(scrape(), readiness=readiness), History(), [], "compiled")["readiness"]
    assert found["sentence"] == sentence
    assert found["ready"] == readiness.is_ready


def test_servers_in_trouble_come_first_where_not_all_have_room() -> None:
    servers = [server(f"http://10.0.1.{number}:8000") for number in range(120)]
    servers += [server("http://10.0.2.1:8000", "down")]
    found = overview(scrape(worker(0, fed(), servers)), History(), [], "compiled")["upstreams"]
    assert (len(found["rows"]), found["more"]) == (100, 21)
    assert [one["server"] for one in found["rows"][:2]] == ["http://10.0.2.1:8000", "http://10.0.1.0:8000"]


def test_the_fleet_is_shown_in_whole_seconds() -> None:
    assert overview(replace(scrape(), fleet=None), History(), [], "compiled")["fleet"] is None
    facts = FleetFacts("edge-1", leader="edge-2", members=3, alive=2, revision=7, epoch=1, skew=-0.6, others={"c": "d"})
    shown = overview(replace(scrape(), fleet=facts), History(), [], "compiled")["fleet"]
    assert shown == {
        "node": "edge-1",
        "leader": "edge-2",
        "members": 3,
        "alive": 2,
        "revision": 7,
        "epoch": 1,
        "skew": -1,
        "fault": None,
        "differing": ["c"],
    }
