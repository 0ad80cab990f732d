"""`plexigate hsm seal` and `hsm keys`, with a sealing key in a file and in a token."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_csr
from typer.testing import Result

from certs.hierarchy.configured import KEY_LABEL, vault_of
from certs.sealing.envelope import Purpose
from certs.sealing.key_file import KeyFile
from config.loader import survey
from proxy.supervisor.safe import now_in_utc
from tests.certs.authority import key_pem, private_key
from tests.proxy.hsm.conftest import Command


class Scene:
    """A configuration with a sealing key."""

    def __init__(self, command: Command, directory: Path) -> None:
        KeyFile.create(directory / "sealing.key")
        self.command = command
        self.directory = directory
        self.config = directory / "p.toml"
        self.config.write_text('[sealing]\nkey = "sealing.key"\ndirectory = "sealed"\n[audit]\nfile = "audit.jsonl"\n')

    def run(self, *words: str) -> Result:
        return self.command.plain(*words, "--config", str(self.config))

    def opened(self, path: Path) -> bytes:
        loaded = survey(self.config).loaded
        assert loaded is not None
        vault = vault_of(loaded, now_in_utc, lambda *_: None)
        assert vault is not None
        return vault.sealer(Purpose.CREDENTIAL_KEY).open(path.read_bytes(), KEY_LABEL)

    def keys(self, *words: str) -> dict[str, dict[str, Any]]:
        done = self.run("keys", "--json", *words)
        assert done.exit_code == 0, done.output
        return {one["id"]: one for one in json.loads(done.stdout)}

    def audited(self) -> list[tuple[str, str]]:
        lines = map(json.loads, (self.directory / "audit.jsonl").read_text().splitlines())
        return [(line["action"], line["key"]) for line in lines if line["kind"] == "operation"]


@pytest.fixture
def scene(command: Command, tmp_path: Path) -> Scene:
    return Scene(command, tmp_path)


def test_a_pem_file_is_sealed(scene: Scene, tmp_path: Path) -> None:
    pem, sealed = tmp_path / "chat.key", tmp_path / "chat.sealed"
    pem.touch(0o600)
    pem.write_bytes(key_pem(private_key("ecdsa-p256")))
    done = scene.run("seal", str(sealed), "--from", str(pem))
    assert done.exit_code == 0, done.output
    assert f"shred -u {pem}" in done.stdout
    assert scene.opened(sealed) == pem.read_bytes()
    assert sealed.stat().st_mode & 0o777 == 0o600
    assert ("import", str(sealed)) in scene.audited()
    again = scene.run("seal", str(sealed), "--from", str(pem))
    assert (again.exit_code, "is there already" in again.stderr) == (1, True)


@pytest.mark.parametrize("kind", ["mldsa-44", "mldsa-65", "mldsa-87", "ecdsa-p256"])
def test_a_key_is_made_sealed_with_a_request_for_its_certificate(scene: Scene, tmp_path: Path, kind: str) -> None:
    sealed = tmp_path / "chat.sealed"
    done = scene.run("seal", str(sealed), "--make", kind, "--name", "chat.test")
    assert done.exit_code == 0, done.output
    request = load_pem_x509_csr(done.stdout.encode())
    key = load_pem_private_key(scene.opened(sealed), None)
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()
    assert ("generate", str(sealed)) in scene.audited()


@pytest.mark.parametrize(
    ("options", "said"),
    [((), "one of --from PEM and --make KIND"), (("--from", "a", "--make", "mldsa-65"), "one of --from"),
     (("--from", "none.key"), "which cannot be read"), (("--make", "mldsa-65", "--name", "ä"), "allowed: DNS names")],
)  # fmt: skip
def test_what_cannot_be_meant_is_said(scene: Scene, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    done = scene.run("seal", str(tmp_path / "x.sealed"), *options)
    assert (done.exit_code, said in done.stderr) == (1, True), done.output
    assert not (tmp_path / "x.sealed").exists()


def test_keys_are_shown_rotated_and_destroyed(scene: Scene) -> None:
    keys = scene.keys()
    assert {key: one["state"] for key, one in keys.items()} == dict.fromkeys(keys, "active")
    assert {one["parent"] for one in keys.values() if one["purpose"]} == {"plexigate:1"}
    assert set(keys) == {f"plexigate{part}:1" for part in ("", "/tickets", "/credentials", "/payload", "/acme")}
    rotated = scene.keys("--rotate")
    assert (rotated["plexigate/tickets:1"]["state"], rotated["plexigate/tickets:2"]["state"]) == ("retired", "active")
    assert rotated["plexigate:1"]["retired"]
    destroyed = scene.keys("--destroy", "1")
    assert destroyed["plexigate/tickets:1"]["state"] == "destroyed"
    assert {("retire", "plexigate/tickets:1"), ("destroy", "plexigate:1")} <= set(scene.audited())
    table = scene.run("keys")
    assert "plexigate/acme:2" in table.stdout
    active = scene.run("keys", "--destroy", "2")
    assert (active.exit_code, "is active" in active.stderr) == (1, True)


def test_without_a_sealing_key_it_is_said_what_to_do(scene: Scene) -> None:
    scene.config.write_text("")
    done = scene.run("keys")
    assert (done.exit_code, "plexigate hsm init" in done.stderr) == (1, True)
