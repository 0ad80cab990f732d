"""Certificates without a running proxy."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from certs.issuing.issuer import FailureKind, IssueFailed
from certs.rotation.attempt import Attempt
from certs.rotation.due import RenewalReason
from certs.rotation.facts import leaf_of
from certs.rotation.planning import Planner
from certs.sealing.key_file import create_key
from certs.storage.lock import StateInUse, StateLock
from certs.storage.shelf import ShelfDamaged
from config.values.problems import ConfigError
from proxy.api.certificates import RotationLine
from proxy.rotation.offline import Offline
from tests.certs.authority import DAY, NOW
from tests.configurations import Site
from tests.parts import differences, part
from tests.rotations import Rotations, Time, configuration


@pytest.fixture
def scene(tmp_path: Path) -> Rotations:
    return Rotations(tmp_path)


def offline(scene: Rotations) -> Offline:
    """With the CA of the scene, which can be made to fail."""
    made = Offline(scene.file, scene.time.clocks)
    made.parts.issuers["internal"] = scene.moody  # type: ignore[index] # a dict
    return made


def rotated(scene: Rotations, reason: RenewalReason = RenewalReason.COMMAND) -> list[Any]:
    one = offline(scene)
    with one.alone():
        steps = list(one.rotate(one.credentials("chat")[0], reason))
    assert list(differences(steps, list[RotationLine])) == []
    return steps


def test_all_steps_are_told(scene: Rotations) -> None:
    steps = rotated(scene)
    assert [step.get("step") for step in steps[:-1]] == ["begun", "new key", "certificate", "checks", "stored"]
    assert (steps[-1]["rotated"], steps[-1]["version"]) == (True, 1)
    assert steps[-1]["serial"] == f"{scene.serial:x}"


def test_a_failure_undoes_what_was_begun(scene: Rotations) -> None:
    scene.serve()
    scene.moody.failures = [IssueFailed(FailureKind.TEMPORARY, "the CA is down")]
    steps = rotated(scene)
    assert steps[-1]["rotated"] is False
    assert (steps[-1]["step"], steps[-1]["detail"]) == ("certificate", "the CA is down")
    assert [one.number for one in scene.shelf().versions()] == [1]


def test_a_stored_version_is_taken_up(scene: Rotations) -> None:
    scene.stored()
    steps = rotated(scene)
    assert [step.get("step") for step in steps] == ["begun", "stored", None]
    assert len(scene.moody.asked) == 1


def test_a_compromised_key_goes_at_once_and_its_certificate_is_revoked(scene: Rotations) -> None:
    former = scene.serve()
    steps = rotated(scene, RenewalReason.COMPROMISED)
    assert [step["note"] for step in steps if "note" in step] == ["the previous certificate was revoked"]
    assert scene.moody.revoked == [leaf_of(former).serial_number]
    assert not former.has_key
    assert scene.shelf().unrevoked() == []


def test_a_revocation_that_fails_is_told_and_left_for_the_proxy(scene: Rotations) -> None:
    scene.serve()
    scene.moody.revocation = IssueFailed(FailureKind.TEMPORARY, "the CA is down")
    steps = rotated(scene, RenewalReason.COMPROMISED)
    assert [step["note"] for step in steps if "note" in step] == [
        "the certificate of version 1 could not be revoked: the CA is down"
    ]
    assert steps[-1]["rotated"]
    assert len(scene.shelf().unrevoked()) == 1


def test_the_internal_authority_really_lists_it(scene: Rotations) -> None:
    former = scene.serve()
    one = Offline(scene.file, scene.time.clocks)
    with one.alone():
        list(one.rotate(one.credentials("chat")[0], RenewalReason.COMPROMISED))
    (path,) = scene.parts.store.directory.rglob("crl.pem")
    found = x509.load_pem_x509_crl(path.read_bytes())
    assert [entry.serial_number for entry in found] == [leaf_of(former).serial_number]


def test_rolling_back_serves_the_version_before_from_the_next_start_on(scene: Rotations) -> None:
    one = offline(scene)
    scene.serve()
    (found,) = one.credentials("chat")
    refused = one.roll_back([found])[0]
    assert (refused["ok"], refused["step"]) == (False, "stored")
    scene.serve()
    assert one.roll_back([found])[0]["version"] == 1
    assert scene.shelf().ledger().current == 1


def test_no_rollback_takes_back_the_mark_that_a_proxy_has_left(scene: Rotations) -> None:
    one = offline(scene)
    for _ in range(2):
        scene.serve()
    (found,) = one.credentials("chat")
    memory = scene.parts.store.directory / "rotation.json"
    memory.write_text(
        json.dumps(
            {"waits": {"issuers": [], "credentials": [], "compromised": [["chat", "ec"]], "written": NOW.isoformat()}}
        )
    )
    refused = one.roll_back([found])[0]
    assert (refused["ok"], refused["step"]) == (False, "stored")
    assert "plexigate certs rotate chat --compromised" in refused["detail"]
    memory.write_text("{}")
    with pytest.raises(ShelfDamaged, match="what rotations wait for cannot be read"):
        one.roll_back([found])
    assert scene.shelf().ledger().current == 2
    memory.write_text(
        json.dumps(
            {"waits": {"issuers": [], "credentials": [], "compromised": [["chat", "rsa"]], "written": NOW.isoformat()}}
        )
    )
    assert one.roll_back([found])[0]["ok"]


def test_a_key_that_a_proxy_has_marked_goes_as_a_compromised_one_and_once(scene: Rotations) -> None:
    former = scene.serve()
    memory = scene.parts.store.directory / "rotation.json"
    marks = [["chat", "ec"], ["other", "ec"]]
    memory.write_text(
        json.dumps(
            {"waits": {"issuers": [], "credentials": [], "compromised": marks, "written": NOW.isoformat()}, "uses": []}
        )
    )
    steps = rotated(scene)
    assert steps[-1]["rotated"]
    assert not former.has_key
    assert scene.moody.revoked == [leaf_of(former).serial_number]
    assert json.loads(memory.read_text()) == {
        "waits": {"issuers": [], "credentials": [], "compromised": [["other", "ec"]], "written": NOW.isoformat()},
        "uses": [],
    }


def test_a_mark_stays_until_the_key_is_replaced(scene: Rotations) -> None:
    scene.serve()
    memory = scene.parts.store.directory / "rotation.json"
    content = json.dumps(
        {"waits": {"issuers": [], "credentials": [], "compromised": [["chat", "ec"]], "written": NOW.isoformat()}}
    )
    memory.write_text(content)
    scene.moody.failures = [IssueFailed(FailureKind.TEMPORARY, "the CA is down")]
    assert not rotated(scene)[-1]["rotated"]
    assert memory.read_text() == content


def test_a_memory_that_cannot_be_read_is_told_and_stops_no_rotation(scene: Rotations) -> None:
    scene.serve()
    (scene.parts.store.directory / "rotation.json").write_text("{}")
    steps = rotated(scene)
    assert [step["note"] for step in steps if "note" in step]
    assert steps[-1]["rotated"]


def test_the_listing_is_that_of_the_proxy(scene: Rotations) -> None:
    (missing,) = offline(scene).listing()
    assert part(missing["next"])["reason"] == "no certificate yet"
    scene.serve()
    scene.time.passes(DAY)
    (listed,) = offline(scene).listing()
    assert (listed["version"], listed["serial"]) == (1, f"{scene.serial:x}")
    assert part(listed["next"])["urgency"] == "calm"


def test_credentials_are_found_by_name_and_kind(tmp_path: Path) -> None:
    one = offline(Rotations(tmp_path, configuration("ec-p256@file", "mldsa-65@file")))
    assert len(one.credentials(None)) == len(one.credentials("chat")) == 2
    assert len(one.credentials("chat", "ec")) == 1
    assert one.credentials("other") == []


def test_nobody_else_may_hold_the_directory(scene: Rotations) -> None:
    scene.serve()
    with StateLock.acquire(scene.parts.store.directory), pytest.raises(StateInUse), offline(scene).alone():
        pass


def test_what_a_process_left_behind_is_undone_first(scene: Rotations) -> None:
    Attempt(scene.task(), scene.parts.homes, lambda: scene.time.now).make_key()
    with offline(scene).alone():
        assert not list(scene.shelf().directory.glob("*.pending"))


def test_a_configuration_without_a_state_directory_is_told(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    with pytest.raises(ConfigError, match=r"rotation\.state"):
        Offline(site.write(site.minimal), Time().clocks)


def test_keys_made_and_destroyed_are_in_the_audit_log(tmp_path: Path) -> None:
    scene = Rotations(tmp_path, f'{configuration()}\n[audit]\nfile = "audit.jsonl"\n')
    one = Offline(scene.file, scene.time.clocks)
    with one.alone():
        for reason in (RenewalReason.COMMAND, RenewalReason.COMPROMISED):
            assert list(one.rotate(one.credentials("chat")[0], reason))[-1]["rotated"]
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    operations = [(line["action"], line["key"]) for line in lines if line["kind"] == "operation"]
    of_credential = [one for one in operations if one[1].startswith("chat.")]
    place = scene.asked.key.place
    key = f"chat.ecdsa-p256.v{{}}@{place}".format
    assert of_credential == [("generate", key(1)), ("generate", key(2)), ("destroy", key(1))]
    assert {one[1].split(".")[0] for one in operations} == {"chat", "ca"}
    assert all(line["actor"].startswith("cli ") for line in lines if line["kind"] == "operation")


def test_an_audit_log_that_cannot_be_written_stops_it_first(tmp_path: Path) -> None:
    scene = Rotations(tmp_path, f'{configuration()}\n[audit]\nfile = "audit.jsonl"\n')
    (tmp_path / "audit.jsonl").mkdir()
    with pytest.raises(ConfigError, match=r"audit\.file"):
        rotated(scene)
    assert not scene.shelf().versions()


def test_a_listing_tells_when_the_next_start_would_try(scene: Rotations) -> None:
    planner = Planner(1 / 3, lambda: 0.0)
    planner.issuer_failed("internal", ("chat", "ec"), FailureKind.RATE_LIMITED, 7_200.0, scene.time.clocks.now())
    memory = scene.parts.store.directory / "rotation.json"
    scene.parts.store.disk.make_directory(memory.parent)
    memory.write_text(json.dumps({"waits": planner.remembered(scene.time.clocks.now()), "uses": []}))
    (listed,) = offline(scene).listing()
    assert part(listed["next"])["at"] == (scene.time.now + timedelta(hours=2)).isoformat()
    assert part(listed["next"])["failures"] == 1
    memory.write_text("{}")
    (listed,) = offline(scene).listing()
    assert part(listed["next"])["failures"] == 0


def test_a_node_of_a_fleet_changes_nothing_alone(scene: Rotations) -> None:
    create_key(scene.directory / "sealing.key")
    fleet = '[sealing]\nkey = "sealing.key"\n[fleet]\netcd = "http://127.0.0.1:1"\nname = "one"\n'
    scene.follow(configuration(further=fleet))
    one = offline(scene)
    with pytest.raises(ConfigError, match="the nodes of a fleet change certificates together"), one.alone():
        pass
    assert scene.shelf().versions() == []
    assert one.listing()[0]["serial"] is None
