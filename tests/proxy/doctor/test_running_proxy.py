"""What the running proxy says of itself."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from proxy.doctor.finding import State
from proxy.doctor.running_proxy import (
    RUNNING_PROXY,
    alert_findings,
    backup_findings,
    readiness_findings,
    rotation_findings,
    version_finding,
    worker_findings,
)
from proxy.observe.status import status
from tests.configurations import Site
from tests.fakes_admin import DOWN, scrape
from tests.parts import part
from tests.proxy.doctor.checkups import NOTHING, answering, configured, states

REASON = {"subject": "worker", "name": "1", "detail": "does not answer"}
WORKER: Any = {"slot": 0, "pid": 7, "state": "serving", "generation": 3, "loop_lag_p99_seconds": 0.001}
QUIET: Any = {
    "version": "1.2",
    "uptime_seconds": 61.2,
    "readiness": {"reasons": [], "doubts": []},
    "maintenance": [],
    "alerts": [],
    "worker_restarts": 0,
    "generation": 3,
    "workers": [WORKER],
    "reloads": {"ok": 2},
}


def test_ready_proxy() -> None:
    (finding,) = readiness_findings(QUIET)
    assert (finding.state, finding.found) == ("ok", "ready, up for 61 s")
    assert "3 days" in next(iter(readiness_findings(part({**QUIET, "uptime_seconds": 3 * 86_400.0})))).found
    assert "5 hours" in next(iter(readiness_findings(part({**QUIET, "uptime_seconds": 5 * 3_600.0})))).found


@pytest.mark.parametrize(
    ("state", "remedy"),
    [(State.WARNING, "systemctl start plexigate"), (State.UNKNOWN, "as root"), (State.FAILURE, "its log")],
)
def test_configured_proxy_that_does_not_answer_is_shown(tmp_path: Path, state: State, remedy: str) -> None:
    site = Site.make(tmp_path)
    readiness = RUNNING_PROXY[0]
    examined = replace(NOTHING, configured=configured(site.write(site.minimal)), absence_state=state)
    (finding,) = readiness.look(examined)
    assert (finding.subject, finding.state, finding.found) == ("the proxy", state, "no running proxy answers")
    assert remedy in finding.remedy
    assert states(readiness.look(NOTHING)) == [("the proxy", "skipped")]


def test_reasons_doubts_and_maintenance() -> None:
    readiness = {"reasons": [REASON, {**REASON, "name": ""}], "doubts": [REASON]}
    found = list(readiness_findings(part({**QUIET, "readiness": readiness, "maintenance": [{"route": "chat.test/"}]})))
    assert states(found) == [
        ("worker 1", "failure"),
        ("worker", "failure"),
        ("worker 1", "warning"),
        ("route chat.test/", "warning"),
    ]
    assert "plexigate maintenance off chat.test/" in found[3].remedy


def test_version_that_runs_and_version_that_is_installed() -> None:
    assert version_finding(QUIET, "1.2").state == "ok"
    late = version_finding(QUIET, "1.3")
    assert (late.state, late.found) == ("warning", "version 1.2 runs, and 1.3 is installed")


def test_alerts_have_their_own_remedy() -> None:
    assert states(alert_findings(QUIET)) == [("alerts", "ok")]
    alert = {"kind": "x", "subject": "chat", "urgency": "critical", "since": "now", "text": "t", "remedy": "do it"}
    grave, mild = alert_findings(part({**QUIET, "alerts": [alert, {**alert, "urgency": "warning"}]}))
    assert (grave.state, mild.state, grave.remedy) == ("failure", "warning", "do it")
    (over,) = alert_findings(part({**QUIET, "alerts": [{**alert, "over": True}]}))
    (soon,) = alert_findings(part({"alerts": [], "waiting": [{**alert, "alert_in_seconds": 7.0}]}))
    assert (soon.state, soon.found, soon.remedy) == ("warning", "t (since now, an alert in 7 s)", "do it")
    assert (over.state, over.found) == ("ok", "over, and resolved soon unless it comes back: t (since now, critical)")


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "ok"),
        ({"loop_lag_p99_seconds": None, "generation": None}, "ok"),
        ({"state": "draining", "generation": 2}, "ok"),
        ({"state": "silent"}, "failure"),
        ({"generation": 2}, "warning"),
        ({"loop_lag_p99_seconds": 0.5}, "warning"),
    ],
)
def test_worker(change: Any, state: str) -> None:
    found = list(worker_findings(part({**QUIET, "workers": [{**WORKER, **change}]})))
    assert states(found) == [("restarts", "ok"), ("worker 0", state)]


def test_restarts_and_failed_reloads() -> None:
    found = list(worker_findings(part({**QUIET, "worker_restarts": 2, "reloads": {"ok": 2, "failed": 1}})))
    assert states(found) == [("restarts", "warning"), ("worker 0", "ok"), ("reloads", "warning")]
    assert "1 of 3 failed" in found[2].found


ROW: Any = {
    "identity": "chat",
    "credential": "ec",
    "not_after": "2026-07-01",
    "last_error": None,
    "next": {"urgency": "calm", "at": "2026-06-20", "reason": "age", "failures": 0},
}


@pytest.mark.parametrize(
    ("change", "state", "text"),
    [
        ({}, "ok", "next rotation at 2026-06-20 (age)"),
        ({"next": None}, "ok", "valid until 2026-07-01"),
        ({"not_after": None}, "failure", "no certificate yet: no attempt has failed yet"),
        ({"last_error": "no answer"}, "warning", "its last rotation failed: no answer"),
        ({"next": {"urgency": "late", "failures": 4}, "last_error": "x"}, "failure", "late, 4 failures: x"),
    ],
)
def test_rotation(change: Any, state: str, text: str) -> None:
    (finding,) = rotation_findings([part({**ROW, **change})])
    assert (finding.subject, finding.state) == ("chat ec", state)
    assert text in finding.found


@pytest.mark.parametrize(
    ("change", "state", "text"),
    [
        ({}, "ok", "the newest is 3 hours old"),
        ({"late": True}, "failure", "the newest is 3 hours old"),
        ({"late": True, "age_seconds": None}, "failure", "no backup of this configuration"),
        ({"late": True, "age_seconds": None, "fault": "it does not answer"}, "failure", "it does not answer"),
    ],
)
def test_the_age_of_the_newest_backup(change: Any, state: str, text: str) -> None:
    row = {"directory": "/b", "newest_at": 1.0, "age_seconds": 3 * 3_600.0, "late": False, "fault": None, **change}
    (finding,) = backup_findings(part({**QUIET, "backup": row}))
    assert (finding.state, finding.subject, finding.found) == (state, "/b", text)
    assert ("plexigate-backup.timer" in finding.remedy) is (state == "failure")


def test_without_a_directory_for_backups() -> None:
    (finding,) = backup_findings(part({**QUIET, "backup": None}))
    assert finding.state == "skipped"


def test_without_rotation() -> None:
    assert states(rotation_findings([])) == [("rotation", "skipped")]


def test_checks_read_the_status_of_this_version() -> None:
    """The document is that of `observe.status`, so that a key that was renamed is found here."""
    answers: dict[str, dict[str, Any]] = {
        "/certificates": {"certificates": [ROW]},
        "/alerts": {"alerts": [DOWN.as_json()], "waiting": []},
    }
    running = answering(status(scrape()), answers)
    found = {one.name: list(one.look(replace(NOTHING, running=running))) for one in RUNNING_PROXY}
    assert [str(one.state) for one in found["running version"]] == [
        "ok" if version("plexigate") == "0.1.0" else "warning"
    ]
    assert all(found.values())
    assert states(found["rotation"]) == [("chat ec", "ok")]
    assert states(found["alerts"]) == [("upstream_down chat", "failure")]
