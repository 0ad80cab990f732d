"""Certificates of compromised keys are taken back, sooner or later."""

from pathlib import Path

import pytest

from certs.issuing.issuer import FailureKind, IssueFailed
from certs.rotation.due import RenewalReason
from certs.rotation.facts import leaf_of
from certs.rotation.revoking import revoke_compromised
from tests.certs.authority import DAY
from tests.rotations import Rotations


@pytest.fixture
def scene(tmp_path: Path) -> Rotations:
    made = Rotations(tmp_path)
    made.serve()
    made.serve(RenewalReason.COMPROMISED)
    return made


def faults(scene: Rotations) -> list[str]:
    return revoke_compromised(scene.shelf(), scene.parts.issuers, scene.time.now)


def test_only_what_is_compromised_is_taken_back_and_once(scene: Rotations) -> None:
    (waiting,) = scene.shelf().unrevoked()
    assert waiting.number == 1
    assert faults(scene) == []
    assert scene.moody.revoked == [leaf_of(waiting).serial_number]
    assert scene.shelf().unrevoked() == []
    assert faults(scene) == []
    assert len(scene.moody.revoked) == 1


def test_an_issuer_that_does_not_answer_is_asked_again(scene: Rotations) -> None:
    scene.moody.revocation = IssueFailed(FailureKind.TEMPORARY, "the CA is down")
    (fault,) = faults(scene)
    assert fault == "the certificate of version 1 could not be revoked: the CA is down"
    scene.shelf().destroy_keys(scene.time.now, scene.parts.homes)
    assert scene.shelf().forget(0) == [], "nobody would ask any more"
    scene.moody.revocation = None
    assert faults(scene) == []
    assert scene.shelf().forget(0) == [1]


def test_one_that_has_expired_needs_nobody(scene: Rotations) -> None:
    scene.time.passes(8 * DAY)
    assert faults(scene) == []
    assert scene.moody.revoked == []


def test_an_issuer_that_is_gone_is_told(scene: Rotations) -> None:
    (fault,) = revoke_compromised(scene.shelf(), {}, scene.time.now)
    assert "its issuer internal is not in the configuration any more" in fault
