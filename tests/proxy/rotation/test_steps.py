"""What is told of a rotation while it runs."""

from datetime import timedelta

from certs.issuing.issuer import FailureKind
from certs.rotation.attempt import RotationStep
from proxy.rotation.running import NotRenewed
from proxy.rotation.steps import last_word, waiting
from tests.certs.authority import NOW


def test_waiting_says_until_when_and_how_not_to() -> None:
    step = waiting("le", NOW, 90.04, "certificate: too many")
    assert step["until"] == (NOW + timedelta(seconds=90.04)).isoformat()
    assert step["seconds"] == 90.0
    assert step["detail"] == "issuer le has asked to be left alone (certificate: too many); --now asks it all the same"
    assert waiting("le", NOW, 1.0, None)["detail"].startswith("issuer le has asked to be left alone; ")


def test_a_failure_ends_with_its_reason() -> None:
    outcome = NotRenewed(RotationStep.ISSUE, FailureKind.TEMPORARY, "down", of_issuer=True)
    assert last_word(outcome) == {"ok": False, "step": "certificate", "kind": "temporary", "detail": "down"}
