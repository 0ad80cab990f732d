"""The report as a document, and what counts as wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.doctor.checkup import Result
from proxy.doctor.finding import Finding, Judge
from proxy.doctor.report import DoctorDocument, counts, document, is_wrong, without_repetitions
from tests.parts import differences
from tests.proxy.doctor.checkups import NOON, NOTHING, answering, checkup

JUDGE = Judge("clock")
OK = JUDGE.ok("time", "right")
LATE = JUDGE.warning("time", "late", "wait")
WRONG = JUDGE.failure("time", "wrong", "set it")


def result(*findings: Finding) -> Result:
    return Result(checkup("clock"), findings, 0.12345)


def test_document_has_stable_keys() -> None:
    examined = replace(NOTHING, file=Path("/etc/plexigate.toml"), running=answering({}))
    found = document([result(OK, WRONG)], examined, "1.2", NOON)
    assert list(differences(found, DoctorDocument)) == []
    assert found == {
        "version": 1,
        "program": "1.2",
        "time": "2026-06-01T12:00:00+00:00",
        "file": "/etc/plexigate.toml",
        "running": True,
        "ok": False,
        "counts": {"ok": 1, "warning": 0, "failure": 1, "unknown": 0, "skipped": 0},
        "findings": [
            {"area": "machine", "check": "clock", "subject": "time", "state": "ok", "found": "right", "remedy": ""},
            {
                "area": "machine",
                "check": "clock",
                "subject": "time",
                "state": "failure",
                "found": "wrong",
                "remedy": "set it",
            },
        ],
        "seconds": {"clock": 0.123},
    }


def test_document_without_file_and_proxy() -> None:
    made = document([], NOTHING, "1.2", NOON)
    assert (made["file"], made["running"], made["ok"]) == (None, False, True)


@pytest.mark.parametrize(
    ("found", "is_strict", "verdict"),
    [(OK, False, False), (LATE, False, False), (LATE, True, True), (WRONG, False, True), (OK, True, False)],
)
def test_a_failure_is_wrong_and_strictly_a_warning_too(found: Finding, is_strict: bool, verdict: bool) -> None:  # noqa: FBT001 - parameters of a test
    assert is_wrong([result(found)], is_strict=is_strict) is verdict


def test_findings_are_counted_by_state() -> None:
    assert counts([result(OK, OK), result(LATE)])["ok"] == 2


def test_what_another_check_has_looked_at_more_closely_is_said_once() -> None:
    configuration, rights, tokens = Judge("configuration"), Judge("file rights"), Judge("tokens")
    found = [
        configuration.warning("identity.chat.key", "others may read it", "Better: 0600."),
        configuration.failure("identity.chat.certificate", "missing", "Allowed: a file."),
        configuration.failure("hsm.token.plexi", "refused", "Allowed: the PIN of the token."),
        configuration.failure("hsm.token.other.pin_file", "missing", "Allowed: a file."),
        configuration.failure("hsm.token.well", "workers cannot use it", "Allowed: access."),
        rights.failure("identity.chat.key[0]", "others may read it", "chmod 600"),
        tokens.failure("plexi", "refused", "plexigate hsm unlatch plexi"),
        tokens.failure("plexi, running proxy", "pin_refused", "plexigate status"),
        tokens.failure("hsm.token.other.pin_file", "missing", "Allowed: a file."),
        tokens.ok("well", "fine"),
        tokens.failure("well, running proxy", "blind", "plexigate status"),
        configuration.failure("identity.chat.credential[1].key[0]", "is not checked", "Allowed: the PIN."),
    ]
    keys = {"hsm.token.plexi": "plexi", "hsm.token.well": "well", "identity.chat.credential[1].key": "plexi"}
    (left,) = without_repetitions([result(*found)], keys)
    assert [found.index(one) for one in left.findings] == [1, 4, 5, 6, 8, 9, 10]
