"""What is told of a rotation while it runs."""

from datetime import timedelta

from certs.issuing.issuer import FailureKind
from certs.rotation.attempt import RotationStep
from proxy.rotation.running import NotRenewed
from proxy.rotation.steps import Listeners, last_word, waiting
from tests.certs.authority import NOW


def test_waiting_says_until_when_and_how_not_to() -> None:
    step = waiting("le", NOW, 90.04, "certificate: too many")
    assert step["until"] == (NOW + timedelta(seconds=90.04)).isoformat()
    assert step["seconds"] == 90.0
    assert step["detail"] == "rate-limited by issuer le (certificate: too many); --now asks it anyway"
    assert waiting("le", NOW, 1.0, None)["detail"].startswith("rate-limited by issuer le; ")


def test_a_failure_ends_with_its_reason() -> None:
    outcome = NotRenewed(RotationStep.ISSUE, FailureKind.TEMPORARY, "down", of_issuer=True)
    assert last_word(outcome) == {"ok": False, "step": "certificate", "kind": "temporary", "detail": "down"}


async def test_each_listener_hears_the_steps_of_its_credential_until_the_last_one() -> None:
    listeners = Listeners()
    listeners.tell(("chat", "ecdsa"), {"step": "nobody hears"})
    with listeners.listening(("chat", "ecdsa")) as one, listeners.listening(("chat", "ecdsa")) as other:
        assert listeners.keys == {("chat", "ecdsa")}
        listeners.tell(("chat", "ecdsa"), {"step": "key"})
        listeners.tell(("chat", "rsa"), {"step": "another"})
        listeners.end(("chat", "ecdsa"), {"ok": True})
        listeners.end(("chat", "ecdsa"), {"step": "of the next rotation"})
        expected = [{"step": "key"}, {"ok": True}]
        assert [step async for step in one] == [step async for step in other] == expected
        assert [step async for step in one] == [{"step": "of the next rotation"}], "it came before anybody looked"
    assert listeners.keys == set()
