"""`plexigate alerts`, run against a real admin server on a real socket."""

import json

from tests.fakes_admin import DOWN
from tests.proxy.commands.test_running import Running, running

__all__ = ["running"]


def test_the_list_says_what_is_wrong_and_what_to_do(running: Running) -> None:
    shown = running.run("alerts")
    assert shown.exit_code == 0
    first, second = shown.output.splitlines()[1:3]
    assert first.split()[:3] == ["critical", "upstream_down", "2026-06-01T11:59:00Z"]
    assert "upstream chat has no server that takes requests" in first
    assert second.strip() == DOWN.as_json()["remedy"]
    assert json.loads(running.run("alerts", "--json").output) == {"alerts": [DOWN.as_json()], "waiting": []}


def test_nothing_open_is_said(running: Running) -> None:
    running.control.alerts.alerts = []
    assert running.run("alerts").output == "No alert is open.\n"


def test_what_is_wrong_and_what_is_over_is_said_too(running: Running) -> None:
    running.control.alerts.waiting = [{**DOWN.as_json(), "alert_in_seconds": 7.0}]
    running.control.alerts.alerts = [{**DOWN.as_json(), "over": True}]
    output = running.run("alerts").output
    assert "2026-06-01T11:59:00Z, over now" in output
    assert output.splitlines()[-1] == f"Pending since 2026-06-01T11:59:00Z, an alert in 7 s: {DOWN.as_json()['text']}"


def test_a_test_tells_what_each_receiver_did(running: Running) -> None:
    good = {"receiver": "command", "to": "/usr/bin/page", "ok": True, "detail": None}
    bad = {"receiver": "webhook", "to": "ntfy.test", "ok": False, "detail": "it answered with status 500"}
    running.control.alerts.receivers = [good]
    done = running.run("alerts", "test")
    assert (done.exit_code, done.output) == (0, "command /usr/bin/page accepted the test alert\n")
    running.control.alerts.receivers = [good, bad]
    done = running.run("alerts", "test")
    assert done.exit_code == 1
    assert "webhook ntfy.test did not accept the test alert: it answered with status 500" in done.output
    failed = running.run("alerts", "test", "--json")
    assert (failed.exit_code, json.loads(failed.output)["ok"]) == (1, False)


def test_without_a_receiver_the_test_fails(running: Running) -> None:
    done = running.run("alerts", "test")
    assert (done.exit_code, "set command or webhook in [alerts]" in done.output) == (1, True)
