"""The phase of a migration, by the groups of a listener."""

import pytest

from proxy.doctor.readiness.phase import Phase, phase_of


@pytest.mark.parametrize(
    ("groups", "phase"),
    [
        ("", Phase.CLASSICAL),
        ("X25519:secp256r1", Phase.CLASSICAL),
        ("X25519 / X25519MLKEM768", Phase.OFFERED),
        ("X25519MLKEM768:X25519 / secp256r1", Phase.OFFERED),
        ("X25519MLKEM768:SecP256r1MLKEM768 / X25519:secp256r1", Phase.PREFERRED),
        ("x25519mlkem768 / x25519", Phase.PREFERRED),
        ("x25519_frodo640aes / X25519", Phase.PREFERRED),
        ("X25519MLKEM768 / MLKEM1024", Phase.RETIRED),
    ],
)
def test_phase_follows_from_the_groups(groups: str, phase: Phase) -> None:
    assert phase_of(groups) is phase


def test_each_phase_but_the_last_has_a_next_one() -> None:
    assert [one.next for one in Phase] == [Phase.PREFERRED, Phase.PREFERRED, Phase.RETIRED, None]
