"""What became of versions."""

from pathlib import Path

from certs.rotation.due import RenewalReason
from certs.rotation.history import VersionRow, history
from tests.certs.authority import DAY
from tests.parts import differences
from tests.rotations import Rotations


def test_each_version_is_told_with_what_became_of_it(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    scene.serve()
    scene.serve(RenewalReason.COMPROMISED)
    scene.serve(RenewalReason.COMMAND)
    scene.stored()
    scene.shelf().destroy_keys(scene.time.now, scene.parts.homes)
    found = history(scene.shelf())
    assert list(differences(found, list[VersionRow])) == []
    assert [(one["version"], one["state"], one["has_key"]) for one in found] == [
        (4, "stored, never served", True),
        (3, "serves", True),
        (2, "retired", True),
        (1, "compromised", False),
    ]
    assert found[2]["retired"] == {"at": scene.time.now.isoformat(), "why": "a command asked for it"}
    assert found[2]["key_until"] == (scene.time.now + DAY).isoformat()
    assert found[0]["since"] is None
    assert found[1]["since"] == scene.time.now.isoformat()
    assert {one["key"] for one in found} == {"ec-p256@file"}


def test_a_damaged_chain_hides_no_version(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    scene.serve().chain_path.write_bytes(b"rubbish")
    (found,) = history(scene.shelf())
    assert (found["version"], found["serial"], found["not_after"]) == (1, None, None)
