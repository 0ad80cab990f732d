"""What is read of a version for the planner."""

from datetime import timedelta
from pathlib import Path

import pytest

from certs.issuing.issuer import RenewalWindow
from certs.rotation.facts import chain_of, current_of, jitter_of, leaf_of, wanted_of
from certs.storage.shelf import ShelfDamaged
from config.tables.rotation import IssuedCredentialConfig, issued_credentials
from tests.certs.authority import DAY, NOW
from tests.rotations import Rotations


def test_what_is_wanted_is_what_the_configuration_says() -> None:
    document = {"key": "ec-p256@plexi", "issuer": "internal", "rotate_key_after": "90d", "rotate_key_after_uses": 5_000}
    (asked,) = issued_credentials([IssuedCredentialConfig.model_validate(document)])
    wanted = wanted_of(("chat.test",), asked)
    assert (wanted.names, wanted.key, wanted.issuer) == (("chat.test",), "ec-p256@plexi", "internal")
    assert (wanted.key_life, wanted.key_uses) == (timedelta(days=90), 5_000)


def test_what_serves_is_read_from_its_chain_and_its_intent(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    version = scene.serve()
    window = RenewalWindow(NOW, NOW + DAY)
    current = current_of(version, window, 42)
    assert (current.names, current.key, current.issuer) == (("chat.test",), "ec-p256@file", "internal")
    assert current.not_after == leaf_of(version).not_valid_after_utc
    assert (current.key_made_at, current.uses, current.window, current.is_weak) == (NOW, 42, window, False)
    assert len(chain_of(version)) == 2


def test_a_damaged_chain_is_told_by_its_path(tmp_path: Path) -> None:
    version = Rotations(tmp_path).serve()
    version.chain_path.write_bytes(b"rubbish")
    with pytest.raises(ShelfDamaged, match=r"chain\.pem: it is not a PEM"):
        current_of(version)


def test_chance_is_the_same_each_time_and_spread() -> None:
    assert jitter_of(7) == jitter_of(7)
    found = [jitter_of(serial) for serial in range(200)]
    assert all(-1 <= one <= 1 for one in found)
    assert min(found) < -0.9
    assert max(found) > 0.9
