"""A clock that is wrong is found by other clocks, and by certificates from the future."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.doctor.finding import Finding
from proxy.doctor.machine.clock import CLOCK, KernelClock, clock_findings, issue_times, kernel_clock
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOON, NOTHING, answering, configured, states

STEERED = KernelClock(is_synchronised=True)


def found(
    now: datetime = NOON,
    kernel: KernelClock | None = STEERED,
    others: dict[str, datetime] | None = None,
    issued: dict[str, datetime] | None = None,
) -> list[Finding]:
    return list(clock_findings(now, kernel, others or {}, issued or {}))


def test_steered_clock() -> None:
    assert states(found()) == [("synchronisation", "ok")]


def test_clock_that_nothing_steers_is_a_warning_and_one_that_does_not_tell_is_unknown() -> None:
    assert states(found(kernel=KernelClock(is_synchronised=False))) == [("synchronisation", "warning")]
    assert states(found(kernel=None)) == [("synchronisation", "unknown")]


def test_clock_before_any_openssl_that_could_run_this() -> None:
    assert states(found(datetime(2020, 1, 1, tzinfo=UTC)))[0] == ("this machine", "failure")


@pytest.mark.parametrize(
    ("seconds", "state", "text"),
    [
        (1, "ok", "agree"),
        (-40, "warning", "40 seconds behind"),
        (150, "warning", "2 minutes ahead of"),
        (-86_400 * 3, "failure", "3 days behind"),
        (7_200, "failure", "2 hours ahead of"),
    ],
)
def test_beside_another_clock(seconds: float, state: str, text: str) -> None:
    _, beside = found(others={"the CA": NOON - timedelta(seconds=seconds)})
    assert (beside.subject, beside.state) == ("the CA", state)
    assert text in beside.found


def test_certificate_from_the_future() -> None:
    findings = found(issued={"new": NOON + timedelta(days=2), "old": NOON - timedelta(days=2)})
    assert states(findings)[1:] == [("new", "failure")]
    assert "2 days in the future" in findings[1].found


def test_kernel_tells_or_does_not() -> None:
    assert kernel_clock() is None or isinstance(kernel_clock(), KernelClock)


def test_check_reads_certificates_and_the_time_of_the_proxy(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    loaded = configured(site.write(site.minimal))
    issued = dict(issue_times(loaded))
    assert list(issued) == [f"certificate {site.chat.certificate}"]
    site.chat.certificate.write_text("none")
    assert dict(issue_times(loaded)) == {}
    running = answering({"started_at": NOON.timestamp() - 3_600, "uptime_seconds": 0.0})
    (checkup,) = CLOCK
    assert states(checkup.look(replace(NOTHING, configured=loaded, running=running)))[1:] == [
        ("the running proxy", "failure")
    ]
    assert len(states(checkup.look(NOTHING))) == 1
