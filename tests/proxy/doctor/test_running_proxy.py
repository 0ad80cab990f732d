"""What the running proxy says of itself."""

from dataclasses import replace
from typing import Any

from proxy.doctor.checkup import Checkup
from proxy.doctor.finding import Finding
from proxy.doctor.running_proxy import RUNNING_PROXY
from tests.proxy.doctor.checkups import NOTHING, answering, states


def looked(name: str, status: dict[str, Any]) -> list[Finding]:
    (checkup,) = (one for one in RUNNING_PROXY if one.name == name)
    assert isinstance(checkup, Checkup)
    return list(checkup.look(replace(NOTHING, running=answering(status))))


def test_a_ready_proxy() -> None:
    status = {"readiness": {"reasons": []}, "uptime_seconds": 61.2}
    assert [(one.state, one.found) for one in looked("readiness", status)] == [("ok", "ready, up for 61 s")]


def test_each_reason_against_readiness_is_a_failure() -> None:
    status = {"readiness": {"reasons": ["worker 1 is missing", "chat has no certificate"]}, "uptime_seconds": 1.0}
    assert states(looked("readiness", status)) == [("the proxy", "failure"), ("the proxy", "failure")]
