"""Timestamps of logs in a certificate, by a list of logs in a file."""

from pathlib import Path

import pytest
from cryptography import x509

from proxy.trust.timestamp_check import timestamp_checks
from tests.certs.authority import DAY, NOW
from tests.transparency_logs import SigningLog, log_list, logged

A = SigningLog("a", "A")
B = SigningLog("b", "B")
OTHER = SigningLog("other", "O")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "logs.json"
    path.write_bytes(log_list(A, B))
    return path


def checks(chain: list[x509.Certificate], path: Path | None, days: int = 0) -> list[tuple[str, bool | None]]:
    return list(timestamp_checks(chain, path, NOW + days * DAY))


def test_good_ones_are_told_in_one_line(path: Path) -> None:
    assert checks(logged([A, B]), path) == [("timestamps verified: a (A, 2026-05-31), b (B, 2026-05-31)", False)]


def test_without_a_list_or_without_timestamps_it_is_a_remark(path: Path) -> None:
    assert checks(logged([A, B]), None) == [
        ("2 signed certificate timestamps, not verified: ct.log_list is not set", None)
    ]
    assert checks(logged([]), path) == [
        ("no signed certificate timestamps: browsers refuse public certificates without", None)
    ]


def test_what_browsers_refuse_is_a_fault_and_a_further_unknown_log_is_none(path: Path) -> None:
    assert checks(logged([A, B, OTHER]), path)[0][1] is None
    assert checks(logged([A, B, OTHER]), path)[1][1] is False
    found = checks(logged([A, OTHER]), path)
    assert found[0][0].endswith("it is of a log that is not in the list")
    assert found[1] == ("timestamps of 1 logs count, and browsers want 2: they refuse it", True)
    chain = logged([A, B])
    wrong = checks([chain[0], logged([])[1]], path)
    assert wrong[0] == ("the timestamp of a: its signature is not that of the log", True)


def test_an_old_list_is_a_remark_and_a_damaged_one_a_fault(path: Path) -> None:
    chain = logged([A, B])
    (age, is_fault), _ = checks(chain, path, 70)
    assert (age, is_fault) == (f"{path} is 71 days old, and Chrome believes no list of more than 70 days", None)
    path.write_text("none")
    ((text, is_fault),) = checks(chain, path)
    assert text.startswith(f"its timestamps cannot be verified: {path}: no list of logs")
    assert is_fault
    path.unlink()
    ((text, is_fault),) = checks(chain, path)
    assert "No such file" in text
    assert is_fault


def test_damaged_timestamps_are_a_fault(path: Path) -> None:
    assert checks(logged({A: NOW}, damaged=True), path) == [("its signed certificate timestamps are damaged", True)]
