"""What `doctor readiness` says of listeners."""

import json
from datetime import date, timedelta
from typing import Any

import pytest

from proxy.doctor.readiness.forecast import Outlook
from proxy.doctor.readiness.judgement import SETTINGS, Phase, ReadinessReportDocument, phase_of, readiness_report
from proxy.observe.adoption import Adoption, ListenerDay, Offer
from proxy.observe.counts.breaking import BreakingClients
from tests.parts import differences, part


@pytest.mark.parametrize(
    ("groups", "phase"),
    [
        ("", Phase.CLASSICAL),
        ("X25519:secp256r1", Phase.CLASSICAL),
        ("X25519 / X25519MLKEM768", Phase.OFFERED),
        ("X25519MLKEM768:X25519 / secp256r1", Phase.OFFERED),
        ("X25519MLKEM768:SecP256r1MLKEM768 / X25519:secp256r1", Phase.PREFERRED),
        ("x25519mlkem768 / x25519", Phase.PREFERRED),
        ("x25519_frodo640aes / X25519", Phase.PREFERRED),
        ("X25519MLKEM768 / MLKEM1024", Phase.RETIRED),
    ],
)
def test_phase_follows_from_the_groups(groups: str, phase: Phase) -> None:
    assert phase_of(groups) is phase


def test_each_phase_but_the_last_has_a_next_one() -> None:
    assert [one.next for one in Phase] == [Phase.PREFERRED, Phase.PREFERRED, Phase.RETIRED, None]


TODAY = date(2026, 11, 28)
HYBRID, CLASSICAL = "X25519MLKEM768 / X25519", "X25519"


def blocking(day: str, connections: int = 2, agents: int = 1) -> Any:
    clients = BreakingClients(lambda: day)
    for number in range(connections):
        agent = f"old/{number % agents}".encode()
        clients.add("public", "chat.test", "192.0.2.1", [(b"User-Agent", agent)])
    return dict(clients.snapshot()[day]["public"])


def history(days: int, *, hybrid: int = 100, unable: int = 0, groups: str = HYBRID, pq: str = "prefer") -> Adoption:
    found: dict[str, dict[str, ListenerDay]] = {}
    for back in range(days):
        day = (TODAY - timedelta(days=back)).isoformat()
        outcomes = {"hybrid": hybrid, "client_cannot": unable, "not_required": 1 if groups == CLASSICAL else 0}
        one = ListenerDay({"chat": outcomes, "-": {"refused": 3}}, blocking(day, unable) if unable else None)
        found[day] = {"public": one}
    return Adoption(found, {"public": Offer(pq, groups), "new": Offer("off", CLASSICAL)})


def test_listener_with_old_clients_is_blocked() -> None:
    report = readiness_report(history(20, unable=5), TODAY, 30, "a test")
    new, public = report.listeners
    assert (public.phase, public.next) == (Phase.PREFERRED, Phase.RETIRED)
    assert public.forecast is not None
    assert public.forecast.verdict is Outlook.BLOCKED
    assert not report.is_ready
    assert (report.observed, report.first, report.last) == (20, date(2026, 10, 30), TODAY)
    assert (public.handshakes.established, public.handshakes.unable, public.handshakes.refused) == (2_100, 100, 60)
    assert public.blocking["connections"] == 100
    (agent,) = public.blocking["agents"]
    assert agent == {"key": "old/0", "connections": 100, "error": 0, "share": 1.0}
    assert new.handshakes.established == 0
    assert new.is_open  # to offer quantum-safe groups breaks nothing


def test_fewer_days_show_less_and_judge_the_same() -> None:
    adoption = history(20, unable=5)
    (_, month), (_, week) = (readiness_report(adoption, TODAY, days, "a test").listeners for days in (30, 7))
    assert week.handshakes.established == 735
    assert week.blocking["connections"] == 35
    assert len(week.days) == 7
    assert week.forecast == month.forecast


def test_listener_without_old_clients_is_ready() -> None:
    report = readiness_report(history(20), TODAY, 30, "a test")
    assert report.is_ready
    assert report.listeners[1].forecast is not None
    assert report.listeners[1].forecast.verdict is Outlook.NOW
    nothing: Any = {"connections": 0, "error_at_most": 0, "names": [], "networks": [], "agents": []}
    assert report.listeners[1].blocking == nothing


def test_last_phase_has_nothing_after_it() -> None:
    public = readiness_report(history(3, groups="X25519MLKEM768", pq="require"), TODAY, 30, "a test").listeners[1]
    assert (public.phase, public.next, public.forecast) == (Phase.RETIRED, None, None)
    assert public.is_open
    assert public.as_json()["next"] is None


def test_client_that_could_is_not_in_the_way_where_nothing_is_offered() -> None:
    public = readiness_report(history(1, groups=CLASSICAL, pq="off"), TODAY, 30, "a test").listeners[1]
    assert (public.phase, public.days[TODAY].breaking) == (Phase.CLASSICAL, 0)
    assert part(public.as_json()["next"])["setting"] == SETTINGS[Phase.PREFERRED]


def test_listener_that_is_known_by_its_handshakes_alone() -> None:
    adoption = history(1)
    adoption.offers = {}
    assert [one.phase for one in readiness_report(adoption, TODAY, 30, "a test").listeners] == [Phase.CLASSICAL]


def test_error_of_a_full_summary_is_told() -> None:
    day = TODAY.isoformat()
    adoption = Adoption({day: {"public": ListenerDay({}, blocking(day, 200, 100))}}, {})
    (public,) = readiness_report(adoption, TODAY, 1, "a test").listeners
    assert public.blocking["error_at_most"] == 3
    assert public.as_json()["blocking"]["agents"][0]["error"] > 0


def test_document_is_json() -> None:
    document = readiness_report(history(2, unable=1), TODAY, 2, "a test").as_json()
    assert list(differences(document, ReadinessReportDocument)) == []
    assert json.loads(json.dumps(document)) == document
    assert (document["version"], document["ready"], document["days_observed"]) == (1, False, 2)
    assert document["listeners"][1]["days"]["2026-11-28"] == {"established": 101, "breaking": 1}
    assert document["listeners"][1]["identities"]["-"]["refused"] == 6
