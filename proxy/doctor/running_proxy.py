"""The running proxy: whether it answers, and is ready."""

from collections.abc import Iterator
from typing import Final

from proxy.doctor.checkup import Checkup, Examined, Needed
from proxy.doctor.finding import Area, Finding, Judge

_READY: Final = Judge("readiness")


def _readiness(examined: Examined) -> Iterator[Finding]:
    assert examined.running is not None  # the checkup needs it
    status = examined.running.status
    reasons = status["readiness"]["reasons"]
    if not reasons:
        yield _READY.ok("the proxy", f"ready, up for {status['uptime_seconds']:.0f} s")
    for reason in reasons:
        yield _READY.failure("the proxy", str(reason), "The log of the proxy says more: journalctl -u plexigate.")


RUNNING_PROXY: Final = (Checkup("readiness", Area.RUNNING, _readiness, needs=frozenset({Needed.RUNNING_PROXY})),)
