"""What the keys below the sealing key are for."""

from certs.hierarchy.purposes import PURPOSES
from certs.sealing.envelope import Purpose
from proxy.commands.hsm.sealing_commands import KeyPurposeName


def test_each_purpose_has_a_name_of_its_own_and_says_what_its_loss_means() -> None:
    assert set(PURPOSES) == set(Purpose) - {Purpose.KEY_HIERARCHY, Purpose.PROBE}
    assert {one.name for one in PURPOSES.values()} == set(KeyPurposeName)
    assert len({one.if_lost for one in PURPOSES.values()} | {one.protects for one in PURPOSES.values()}) == 12
