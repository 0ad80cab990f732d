"""Keys that rotations have made are known to the commands for tokens."""

import json
from pathlib import Path

from certs.tokens.issued_keys import issued_keys
from proxy.commands.hsm.configured import read_configured
from tests.hsm_tokens import softhsm_module
from tests.rotations import Rotations, configuration


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
