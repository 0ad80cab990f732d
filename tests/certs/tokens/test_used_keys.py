"""Which keys of tokens are used, by a file and by what lies in its state."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from certs.hsm.facts import KeyClass, KeyFacts, TokenFacts
from certs.sealing.envelope import Envelope, SealingScheme
from certs.sealing.sealing_key import sealing_key_name
from certs.tokens.used_keys import UsedKey, issued_keys, used_keys
from config.loading.loader import survey
from config.values.pkcs11_uri import Pkcs11Uri
from proxy.commands.hsm.configured import read_configured
from tests.hsm_tokens import softhsm_module
from tests.rotations import Rotations, configuration

TOKEN: Final = TokenFacts(0, "plexi", "42", "", "", 0, None, None, ())
KEY: Final = KeyFacts("a b", b"\x01\xff", KeyClass.PRIVATE, "ecdsa-p256", 256, None, None, None, None, None, ())
BY_LABEL: Final = UsedKey("identity.chat.key[0]", "plexi", None, "a b", None)
BY_ID: Final = UsedKey("identity.chat.key[1]", None, "42", None, b"\x01\xff")


def test_a_used_key_is_known() -> None:
    assert BY_LABEL.is_about(TOKEN, KEY)
    assert BY_ID.is_about(TOKEN, KEY)
    assert not BY_LABEL.is_about(TOKEN, replace(KEY, label="c"))
    assert not BY_LABEL.is_about(replace(TOKEN, label="other"), KEY)
    assert not BY_ID.is_about(TOKEN, replace(KEY, id=b""))


def test_what_is_not_said_of_a_key_may_be_that_of_a_used_one() -> None:
    assert BY_ID.may_be(Pkcs11Uri("plexi", object="a b"))
    assert not BY_ID.may_be(Pkcs11Uri("plexi", object="a b", id=b"\x02"))


def test_names_issued_keys_and_what_has_sealed_the_keys_below_it_are_used(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text("")
    document = {
        "sealing": {"key": "pkcs11:token=plexi;object=sealing.aes-256.v3", "directory": "seals"},
        "audit": {"checkpoint_key": "PKCS11:serial=42;id=%0a?pin-source=x"},
        "identity": {"chat": {"key": ["chat.pem", "pkcs11:token=plexi;object=chat"]}},
        "rotation": {"state": "issued"},
    }
    file.write_text(
        '[sealing]\nkey = "pkcs11:token=plexi;object=sealing.aes-256.v3"\ndirectory = "seals"\n[rotation]\nstate = "issued"\n'
    )
    issued = tmp_path / "issued" / "issuers" / "internal" / "root" / "v000001" / "key"
    issued.parent.mkdir(parents=True)
    issued.write_text(json.dumps({"label": "ca.internal.root", "id": "50", "public": ""}))
    loaded = survey(file).loaded
    assert loaded is not None
    sealing = UsedKey("sealing.key", "plexi", None, "sealing.aes-256.v3", None)
    named = (
        sealing,
        UsedKey("audit.checkpoint_key", None, "42", None, b"\x0a"),
        UsedKey("identity.chat.key[1]", "plexi", None, "chat", None),
        UsedKey(str(issued), None, None, "ca.internal.root", b"P"),
    )
    assert used_keys(loaded.file, loaded.config.rotation.state, loaded.config.sealing, document) == named, (
        "nothing is sealed yet"
    )
    older, seals = sealing_key_name(2), tmp_path / "seals" / "keys.sealed"
    seals.parent.mkdir()
    seals.write_bytes(
        Envelope(SealingScheme.DIRECT, older.id, "key hierarchy: domains", b"", bytes(12), bytes(16)).encode()
    )
    assert used_keys(loaded.file, loaded.config.rotation.state, loaded.config.sealing, document) == (
        *named,
        UsedKey(str(seals), None, None, None, older.id),
    )
    seals.write_bytes(b"rubbish")
    assert used_keys(loaded.file, loaded.config.rotation.state, loaded.config.sealing, document) == named


def kept(state: Path, place: str, content: bytes) -> Path:
    path = state / place / "key"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_those_of_credentials_and_of_authorities_are_found(tmp_path: Path) -> None:
    facts = json.dumps({"label": "chat.0a.ecdsa-p256.v1", "id": "50", "public": ""}).encode()
    paths = [
        kept(tmp_path, "credentials/chat/ec/v000001", facts),
        kept(tmp_path, "issuers/internal/intermediate/v000001", facts),
    ]
    kept(tmp_path, "credentials/chat/ec/v000002", b"-----BEGIN PRIVATE KEY-----")
    kept(tmp_path, "credentials/chat/ec/v000003", b"{}")
    assert list(issued_keys(tmp_path)) == [(str(path), "chat.0a.ecdsa-p256.v1", b"P") for path in paths]


def test_keys_in_files_are_not_in_a_token(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    scene.serve()
    assert list(issued_keys(scene.parts.store.directory)) == []
    assert list(issued_keys(tmp_path / "nowhere")) == []


def test_they_count_as_used_by_the_configuration(tmp_path: Path) -> None:
    tables = f'[hsm]\nmodule = "{softhsm_module()}"\n[hsm.token.plexi]\npin_file = "pin"\n'
    scene = Rotations(tmp_path, configuration("ec-p256@plexi", further=tables))
    facts = json.dumps({"label": "chat.0a.ecdsa-p256.v1", "id": "50", "public": ""}).encode()
    path = kept(scene.parts.store.directory, "credentials/chat/ec/v000001", facts)
    (used,) = read_configured(scene.file).keys
    assert (used.where, used.label, used.id) == (str(path), "chat.0a.ecdsa-p256.v1", b"P")
