"""`plexigate hsm seal` and `hsm keys`, with a sealing key in a file and in a token."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_csr
from typer.testing import Result

from certs.hierarchy.configured import KEY_LABEL, vault_of
from certs.hierarchy.vault import Vault
from certs.sealing.envelope import Purpose
from certs.sealing.key_file import create_key
from certs.storage.lock import StateLock
from config.loading.loader import survey
from proxy.supervisor.secrets.safe import now_in_utc
from tests.certs.authority import key_pem, private_key
from tests.proxy.commands.hsm.conftest import Command


class Scene:
    """A configuration with a sealing key."""

    def __init__(self, command: Command, directory: Path) -> None:
        create_key(directory / "sealing.key")
        self.command = command
        self.directory = directory
        self.config = directory / "p.toml"
        self.config.write_text(
            '[sealing]\nkey = "sealing.key"\ndirectory = "sealed"\n[audit]\nfile = "audit.jsonl"\n'
            '[listener.main]\nbind = ["127.0.0.1:8443"]\n'
            '[identity.main]\nnames = ["main.test"]\ncertificate = "main.pem"\nkey = "main.key"\n'
        )

    def add(self, tables: str) -> None:
        self.config.write_text(self.config.read_text() + tables)

    def run(self, *words: str, answer: str | None = None) -> Result:
        return self.command.plain(*words, "--config", str(self.config), answer=answer)

    def vault(self) -> Vault:
        loaded = survey(self.config).loaded
        assert loaded is not None
        vault = vault_of(loaded, now_in_utc, lambda *_: None)
        assert vault is not None
        return vault

    def found(self) -> Vault:
        """Have keys made."""
        vault = self.vault()
        assert vault.sealer(Purpose.CREDENTIAL_KEY).key_id
        return vault

    def opened(self, path: Path) -> bytes:
        return self.vault().sealer(Purpose.CREDENTIAL_KEY).open(path.read_bytes(), KEY_LABEL)

    def keys(self, *words: str) -> dict[str, dict[str, Any]]:
        done = self.run("keys", "--json", *words)
        assert done.exit_code == 0, done.output
        return {one["id"]: one for one in json.loads(done.stdout)}

    def audited(self) -> list[tuple[str, str]]:
        return [(action, key) for action, key, _ in self.outcomes()]

    def outcomes(self) -> list[tuple[str, str, str]]:
        lines = map(json.loads, (self.directory / "audit.jsonl").read_text().splitlines())
        return [(line["action"], line["key"], line["outcome"]) for line in lines if line["kind"] == "operation"]


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
    [((), "found neither; allowed: one of --from PEM and --make mldsa-44|mldsa-65|mldsa-87|ecdsa-p256"),
     (("--from", "a", "--make", "mldsa-65"), "found both; allowed: one of --from"),
     (("--from", "none.key"), "which cannot be read"), (("--make", "mldsa-65", "--name", "ä"), "allowed: DNS names")],
)  # fmt: skip
def test_what_cannot_be_meant_is_said(scene: Scene, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    done = scene.run("seal", str(tmp_path / "x.sealed"), *options)
    assert (done.exit_code, said in done.stderr) == (1, True), done.output
    assert not (tmp_path / "x.sealed").exists()


def test_a_look_at_keys_that_are_not_there_makes_none(scene: Scene, tmp_path: Path) -> None:
    for options in ((), ("--json",), ("--rotate",), ("--destroy", "1", "--yes")):
        done = scene.run("keys", *options)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "has no keys yet" in done.stderr
    assert not (tmp_path / "sealed").exists()


def test_no_keys_are_made_beside_what_lost_ones_have_sealed(scene: Scene, tmp_path: Path) -> None:
    tickets = tmp_path / "sealed/tickets.sealed"
    tickets.parent.mkdir()
    tickets.write_bytes(scene.found().sealer(Purpose.TICKET_KEYS).seal(b"secret", "ticket keys: all"))
    lost = (tmp_path / "sealed/keys.sealed").rename(tmp_path / "lost")
    for words in (["keys"], ["seal", str(tmp_path / "a.sealed"), "--make", "mldsa-65", "--name", "a.test"]):
        done = scene.run(*words)
        assert done.exit_code == 1
        assert (
            f'keys.sealed", by whose keys these were sealed: "{tickets}" (ticket keys: all); restore it' in done.stderr
        )
    assert sorted(path.name for path in tickets.parent.iterdir()) == ["keys.sealed.lock", "tickets.sealed"]
    lost.rename(tmp_path / "sealed/keys.sealed")
    assert scene.keys()


def test_keys_are_shown_rotated_and_destroyed(scene: Scene, tmp_path: Path) -> None:
    scene.found()
    keys = scene.keys()
    assert {key: one["state"] for key, one in keys.items()} == dict.fromkeys(keys, "active")
    assert set(keys) == {
        str(tmp_path / "sealing.key"),
        *(f"plexigate/{part}:1" for part in ("tickets", "credentials", "payload", "acme", "backup", "fleet")),
    }
    assert keys[str(tmp_path / "sealing.key")]["protects"] == "all keys below it"
    assert keys["plexigate/payload:1"]["if_lost"] == "what was encrypted with a ring can never be decrypted"
    rotated = scene.keys("--rotate")
    assert (rotated["plexigate/tickets:1"]["state"], rotated["plexigate/tickets:2"]["state"]) == ("retired", "active")
    assert rotated["plexigate/tickets:1"]["retired"]
    destroyed = scene.keys("--destroy", "1", "--yes")
    assert destroyed["plexigate/tickets:1"]["state"] == "destroyed"
    assert {("retire", "plexigate/tickets:1"), ("destroy", "plexigate/acme:1")} <= set(scene.audited())
    table = scene.run("keys")
    assert "plexigate/acme:2" in table.stdout
    assert "the rings of payload encryption" in table.stdout
    for version in ("99", "1"):
        none = scene.run("keys", "--destroy", version, "--yes")
        assert none.exit_code == 1
        assert f"plexigate: version {version}: found " in none.stderr
        assert "allowed: a retired version: there is none (--rotate retires the active one)" in none.stderr
    active = scene.run("keys", "--destroy", "2", "--yes")
    assert (active.exit_code, "found one that is active" in active.stderr) == (1, True)


def test_the_keys_of_one_purpose_are_rotated_and_destroyed_alone(scene: Scene) -> None:
    scene.found()
    before = scene.keys()
    rotated = scene.keys("--rotate", "--purpose", "payload")
    assert set(rotated) - set(before) == {"plexigate/payload:2"}
    refused = scene.run("keys", "--destroy", "1", "--yes")
    assert (refused.exit_code, "found one that is active" in refused.stderr) == (1, True)
    asked = scene.run("keys", "--destroy", "1", "--purpose", "payload", answer="n\n")
    assert "Destroy version 1 of payload?" in asked.stderr
    destroyed = scene.keys("--destroy", "1", "--purpose", "payload", "--yes")
    assert [one["id"] for one in destroyed.values() if one["state"] == "destroyed"] == ["plexigate/payload:1"]


def test_keys_say_which_files_they_open(scene: Scene, tmp_path: Path) -> None:
    key = tmp_path / "u.sealed"
    assert scene.run("seal", str(key), "--make", "mldsa-65", "--name", "a.test").exit_code == 0
    scene.add('[upstream.chat]\nservers = ["https://a.test"]\ncertificate = "u.pem"\nkey = "u.sealed"\n')
    keys = scene.keys("--rotate")
    assert {one["id"]: one["files"] for one in keys.values() if one["files"]} == {
        str(tmp_path / "sealing.key"): ["keys.sealed"],
        "plexigate/credentials:1": [str(key)],
    }


def test_one_thing_is_done_with_the_keys_at_a_time(scene: Scene) -> None:
    scene.found()
    done = scene.run("keys", "--rotate", "--destroy", "1", "--yes")
    assert (done.exit_code, "one of --rotate, --reseal and --destroy VERSION" in done.stderr) == (2, True), done.output
    assert scene.keys()["plexigate/acme:1"]["state"] == "active"


def test_a_version_is_destroyed_when_somebody_has_said_yes(scene: Scene) -> None:
    scene.found()
    scene.keys("--rotate")
    for answer in ("n\n", ""):
        done = scene.run("keys", "--destroy", "1", answer=answer)
        assert done.exit_code == 1
        assert "Destroy version 1? Other data that it sealed is lost." in done.stderr
        assert scene.keys()["plexigate/acme:1"]["state"] == "retired"
    done = scene.run("keys", "--destroy", "1", answer="y\n")
    assert done.exit_code == 0, done.output
    assert scene.keys()["plexigate/acme:1"]["state"] == "destroyed"


def test_a_version_that_a_configured_key_needs_is_kept(scene: Scene, tmp_path: Path) -> None:
    for name in ("chat", "upstream"):
        assert (
            scene.run("seal", str(tmp_path / f"{name}.sealed"), "--make", "mldsa-65", "--name", "a.test").exit_code == 0
        )
    scene.add(
        '[[identity.chat.credential]]\ncertificate = "chat.pem"\nkey = "chat.sealed"\n[identity.chat]\nnames = ["a.test"]\n'
        '[upstream.chat]\nservers = ["https://a.test"]\ncertificate = "u.pem"\nkey = "upstream.sealed"\n'
    )
    scene.keys("--rotate")
    refused = scene.run("keys", "--destroy", "1", "--yes")
    assert refused.exit_code == 1
    for name in ("chat", "upstream"):
        assert f'\n  "{tmp_path / name}.sealed" (credential key: private key)\n' in refused.stderr
        assert scene.opened(tmp_path / f"{name}.sealed")
    assert ("destroy", "keys of version 1", "refused") in scene.outcomes()
    for name in ("chat", "upstream"):
        (tmp_path / f"{name}.sealed").unlink()
    assert scene.keys("--destroy", "1", "--yes")["plexigate/acme:1"]["state"] == "destroyed"


@pytest.mark.parametrize(
    ("place", "purpose"),
    [
        ("sealed/tickets.sealed", Purpose.TICKET_KEYS),
        ("sealed/payload/ring-chat.sealed", Purpose.PAYLOAD_KEYRING),
        ("rings/ring-chat.sealed", Purpose.PAYLOAD_KEYRING),
        ("state/accounts/ca.test.json", Purpose.ACME_ACCOUNT),
        ("state/credentials/chat/ec-p256/v000001/key", Purpose.CREDENTIAL_KEY),
    ],
)
def test_a_version_that_the_state_needs_is_kept(scene: Scene, tmp_path: Path, place: str, purpose: Purpose) -> None:
    scene.add('[rotation]\nstate = "state"\n[payload]\ndirectory = "rings"\n')
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(scene.vault().sealer(purpose).seal(b"secret", purpose.label("one")))
    scene.keys("--rotate")
    refused = scene.run("keys", "--destroy", "1", "--yes")
    assert (refused.exit_code, f'"{file}" ({purpose}: one)' in refused.stderr) == (1, True), refused.output
    file.write_bytes(scene.vault().sealer(purpose).seal(b"secret", purpose.label("one")))
    assert scene.keys("--destroy", "1", "--yes")["plexigate/acme:1"]["state"] == "destroyed"


def test_what_a_version_has_sealed_is_sealed_anew_so_that_it_can_be_destroyed(scene: Scene, tmp_path: Path) -> None:
    scene.add(
        '[rotation]\nstate = "state"\n[upstream.chat]\nservers = ["https://a.test"]\ncertificate = "u.pem"\nkey = "u.sealed"\n'
    )
    tickets, account, key = (
        tmp_path / "sealed/tickets.sealed",
        tmp_path / "state/accounts/ca.json",
        tmp_path / "u.sealed",
    )
    assert scene.run("seal", str(key), "--make", "mldsa-65", "--name", "a.test").exit_code == 0
    tickets.write_bytes(scene.vault().sealer(Purpose.TICKET_KEYS).seal(b"secret", "ticket keys: one"))
    sealed = scene.vault().sealer(Purpose.ACME_ACCOUNT).seal(b"secret", "ACME account key: one")
    pem = scene.opened(key)
    scene.keys("--rotate")
    scene.keys("--reseal")  # there is no state directory yet, so nobody knows whether a proxy runs
    assert f'"{tickets}"' in (refused := scene.run("keys", "--destroy", "1", "--yes").stderr)
    assert f'"{key}"' not in refused
    account.parent.mkdir(parents=True)
    account.write_bytes(sealed)
    with StateLock.acquire(tmp_path / "state"):
        refused = scene.run("keys", "--reseal").stderr
        assert "is in use; stop the proxy before --reseal" in refused
    scene.keys("--reseal")
    assert {("seal", str(one)) for one in (tickets, account, key)} <= set(scene.audited())
    scene.keys("--destroy", "1", "--yes")
    assert scene.opened(key) == pem
    assert scene.vault().sealer(Purpose.ACME_ACCOUNT).open(account.read_bytes(), "ACME account key: one") == b"secret"


def test_a_version_is_kept_while_a_part_of_the_configuration_is_not_understood(scene: Scene) -> None:
    scene.found()
    scene.keys("--rotate")
    scene.add('[upstream.chat]\nservers = ["ftp://a.test"]\ncertificate = "u.pem"\nkey = "u.sealed"\n')
    refused = scene.run("keys", "--destroy", "1", "--yes")
    assert refused.exit_code == 1
    assert "so it is unknown which keys it needs; correct them first (plexigate check)" in refused.stderr
    assert "upstream.chat.servers" in refused.stderr
    assert scene.keys()["plexigate/acme:1"]["state"] == "retired"


def test_a_version_is_kept_while_it_cannot_be_known_what_needs_it(scene: Scene, tmp_path: Path) -> None:
    scene.add('[upstream.chat]\nservers = ["https://a.test"]\ncertificate = "u.pem"\nkey = "loop.sealed"\n')
    scene.found()
    scene.keys("--rotate")
    (tmp_path / "loop.sealed").symlink_to("loop.sealed")
    refused = scene.run("keys", "--destroy", "1", "--yes")
    assert (refused.exit_code, "loop.sealed" in refused.stderr) == (1, True), refused.output
    assert scene.keys()["plexigate/acme:1"]["state"] == "retired"


def test_without_a_sealing_key_it_is_said_what_to_do(scene: Scene) -> None:
    scene.config.write_text("")
    done = scene.run("keys")
    assert (done.exit_code, "plexigate hsm init" in done.stderr) == (1, True)
