"""The ending of a handshake in words."""

import pytest

from proxy.doctor.handshakes.observation import Ending, Observation, alert_name


def test_established() -> None:
    seen = Observation(Ending.ESTABLISHED, 0.0021, group="X25519MLKEM768", version="TLSv1.3")
    assert seen.is_established
    assert str(seen) == "TLSv1.3, X25519MLKEM768 in 1 round trip, 2.1 ms"


def test_established_after_a_retry() -> None:
    seen = Observation(Ending.ESTABLISHED, 0.004, retried=True, group="x25519", version="TLSv1.3")
    assert str(seen) == "TLSv1.3, x25519 in 2 round trips, 4.0 ms"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Observation(Ending.ALERT, 0.0, alert=40), "the server refuses with the alert handshake_failure (40)"),
        (Observation(Ending.CLOSED, 0.0), "the server closes the connection without an alert"),
        (Observation(Ending.SILENT, 5.0), "no answer within 5.0 s"),
        (Observation(Ending.UNREACHABLE, 0.0, detail="Connection refused"), "unreachable: Connection refused"),
    ],
)
def test_other_endings(seen: Observation, words: str) -> None:
    assert not seen.is_established
    assert str(seen) == words


def test_alert_that_has_no_name() -> None:
    assert alert_name(199) == "number 199"
