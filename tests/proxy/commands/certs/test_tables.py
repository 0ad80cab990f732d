"""Certificates for a terminal."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from proxy.commands.certs.tables import details, duration, history_table, listing_table, moment, step_line
from tests.parts import part

ROW: Any = {
    "identity": "chat",
    "credential": "ec",
    "names": ["chat.test"],
    "issuer": "internal",
    "key": {"algorithm": "ec-p256", "place": "plexi"},
    "version": 3,
    "serial": "abcdef0123456789",
    "not_before": "2026-01-01T00:00:00+00:00",
    "not_after": "2026-01-08T00:00:00+00:00",
    "seconds_left": 300_000.0,
    "next": {
        "at": "2026-01-05T12:00:00+00:00",
        "due_at": "2026-01-05T12:00:00+00:00",
        "reason": "its lifetime runs out",
        "urgency": "calm",
        "failures": 0,
        "waits_seconds": 0.0,
    },
    "last_error": None,
    "running": False,
}
VERSION: Any = {
    "credential": "ec",
    "version": 2,
    "state": "serves",
    "since": "2026-01-01T00:00:00+00:00",
    "reason": "its lifetime runs out",
    "key": "ec-p256@plexi",
    "serial": "abc",
    "not_after": "2026-01-08T00:00:00+00:00",
    "key_until": None,
    "has_key": True,
}


def text(what: RenderableType) -> str:
    out = StringIO()
    Console(file=out, width=220, force_terminal=False).print(what)
    return out.getvalue()


def test_a_listing_tells_what_was_asked_for() -> None:
    shown = text(listing_table([ROW]))
    for word in ("chat", "internal", "ec-p256", "plexi", "abcdef012345", "2026-01-08 00:00", "3 d", "2026-01-05 12:00"):
        assert word in shown
    assert "its lifetime runs out" in shown
    assert "no certificate rotates automatically" in text(listing_table([]))


def test_what_runs_fails_or_is_missing_is_seen() -> None:
    assert "now" in text(listing_table([part({**ROW, "running": True})]))
    assert "the CA is down" in text(listing_table([part({**ROW, "last_error": "the CA is down"})]))
    waits = {**ROW["next"], "due_at": "2026-01-05T10:00:00+00:00", "failures": 3, "waits_seconds": 7_200.0}
    failing = text(listing_table([part({**ROW, "next": waits, "last_error": "the CA is down"})]))
    assert "its lifetime runs out; last: the CA is down" in failing
    assert "waits after 3 failures" in text(listing_table([part({**ROW, "next": waits})]))
    shown = text(details(part({**ROW, "next": waits})))
    assert "2026-01-05 12:00: its lifetime" in shown
    assert "2026-01-05 10:00" in shown
    missing: Any = {**ROW, "serial": None, "not_after": None, "seconds_left": None, "next": None}
    assert "expired" not in text(listing_table([missing]))


def test_details_leave_out_what_is_not_known() -> None:
    shown = text(details(ROW))
    assert "ec-p256, in plexi" in shown
    assert "last error" not in shown
    assert "version" not in text(details(part({**ROW, "version": None, "next": None})))


def test_a_history_tells_what_became_of_keys() -> None:
    gone: Any = {**VERSION, "version": 1, "state": "retired", "has_key": False, "serial": None}
    shown = text(history_table([VERSION, gone]))
    assert "serves" in shown
    assert "destroyed" in shown


@pytest.mark.parametrize(
    ("step", "line"),
    [
        ({"identity": "chat", "credential": "ec", "step": "new key", "key": "ec-p256@plexi"}, "chat ec: new key  key ec-p256@plexi"),
        ({"identity": "chat", "credential": "ec", "would": ["new key", "stored"]}, "chat ec: steps would be: new key -> stored"),
        ({"identity": "chat", "credential": "ec", "rotated": True}, "chat ec: done"),
        (
            {"identity": "chat", "credential": "ec", "rotated": False, "step": "certificate", "detail": "the CA is down"},
            "chat ec: failed (certificate): the CA is down; the old certificate stays in use",
        ),
        (
            {"identity": "chat", "credential": "ec", "rotated": False, "detail": "etcd is away"},
            "chat ec: failed: etcd is away; the old certificate stays in use",
        ),
        ({"note": "the previous certificate was revoked"}, "the previous certificate was revoked"),
        ({"step": "waiting", "until": "2026-01-08T00:01:02+00:00", "seconds": 130, "detail": "le has asked"}, "waiting until 2026-01-08 00:01:02 UTC (2 min): le has asked"),
        ({"step": "checks", "not_after": "2026-01-08T00:00:00+00:00"}, "checks  not_after 2026-01-08 00:00"),
    ],
)  # fmt: skip
def test_steps_are_lines(step: Any, line: str) -> None:
    assert step_line(step).plain == line


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (-1, "expired"), (5, "5 s"), (150, "2 min"), (7_200, "2 h"), (172_800, "2 d")],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown
    assert moment(None) == "-"
