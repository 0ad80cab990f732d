"""Issued credentials as workers find them: files, keys in tokens, and what stands in for them."""

from dataclasses import replace
from pathlib import Path

import pytest

from certs.identities.identities import examine_issued, load_credentials
from certs.identities.issued import TokenUnknown, files_of_slot, stand_ins, token_place
from certs.rotation.facts import leaf_of
from certs.storage.served import served_files
from config.loading.loaded import LoadedConfig
from tests.certs.fake_token import FakeToken
from tests.hsm_tokens import softhsm_module
from tests.rotations import Rotations, configuration

URI = b"pkcs11:token=plexi;object=chat.0123abcd.ecdsa-p256.v1;id=P%01"


def hsm(directory: Path) -> str:
    """A table with a token whose PIN can be read; nobody logs in."""
    pin = directory / "pin"
    pin.touch(0o600)
    pin.write_text("1234\n")
    return f'[hsm]\nmodule = "{softhsm_module()}"\n[hsm.token.plexi]\npin_file = "{pin}"\n'


def handed_over(scene: Rotations) -> LoadedConfig:
    """The configuration as a worker has it: its files are elsewhere."""
    parts, files = scene.parts, dict[Path, Path]()
    found, _ = served_files(parts.store, parts.loaded.config, parts.homes)
    for number, (path, one) in enumerate(found.items()):
        files[path] = scene.directory / f"memory-{number}"
        files[path].touch(0o600)
        files[path].write_bytes(one.content)
    return replace(parts.loaded, file=replace(parts.loaded.file, files=files))


def serials(loaded: LoadedConfig, scene: Rotations) -> list[int]:
    """What chat is proved with."""
    return [one.leaf.serial_number for one in load_credentials(loaded, scene.time.now).identities["chat"]]


def test_nothing_was_issued_yet(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    loaded = handed_over(scene)
    assert files_of_slot(loaded.file, loaded.config.rotation.state, "chat", "ec") is None
    found = load_credentials(loaded, scene.time.now)
    assert found.identities["chat"] == ()
    (problem,) = found.problems
    assert not problem.is_error
    assert "whose certificate is not issued yet" in problem.found
    assert "it is requested from" in problem.allowed


def test_what_was_issued_serves_whatever_the_time_is(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    version = scene.serve()
    loaded = handed_over(scene)
    assert serials(loaded, scene) == [leaf_of(version).serial_number]
    assert [one.is_issued for one in load_credentials(loaded, scene.time.now).identities["chat"]] == [True]
    scene.time.passes(leaf_of(version).not_valid_after_utc - scene.time.now)
    assert serials(loaded, scene) == [leaf_of(version).serial_number]


def test_the_slot_of_before_stands_in_until_the_new_one_is_issued(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    first = leaf_of(scene.serve()).serial_number
    scene.follow(configuration("rsa-2048@file", "mldsa-65@file"))
    assert [one.slot for one in scene.parts.loaded.config.identity["chat"].issued] == ["rsa", "mldsa-65"]
    assert serials(handed_over(scene), scene) == [first]
    second = leaf_of(scene.serve()).serial_number
    assert serials(handed_over(scene), scene) == [second, first], "until all that is wanted is there"
    scene.follow(configuration("rsa-2048@file"))
    loaded = handed_over(scene)
    assert serials(loaded, scene) == [second]
    assert list(stand_ins(loaded.file, loaded.config.rotation.state, "chat", loaded.config.identity["chat"])) == []


def test_more_names_leave_the_certificate_of_before_in_place(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    first = leaf_of(scene.serve()).serial_number
    scene.follow(configuration(names='"chat.test", "www.chat.test"'))
    assert serials(handed_over(scene), scene) == [first]


def in_token(scene: Rotations) -> LoadedConfig:
    """The same with the key of what serves in a token."""
    scene.serve()
    loaded = handed_over(scene)
    files = files_of_slot(loaded.file, loaded.config.rotation.state, "chat", "ec")
    assert files is not None
    files[1].write_bytes(URI)
    return loaded


def test_a_key_in_a_token_is_found_by_its_uri(tmp_path: Path) -> None:
    scene = Rotations(tmp_path, configuration(further=hsm(tmp_path)))
    loaded = in_token(scene)
    found = load_credentials(loaded, scene.time.now)
    (credential,) = found.identities["chat"]
    assert credential.key.location == URI.decode()
    assert found.problems == ()
    again = load_credentials(loaded, scene.time.now, found.by_digest)
    assert again.identities["chat"][0].digest == credential.digest


def test_a_token_that_nobody_names_any_more_is_no_reason_to_refuse_a_configuration(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    loaded = in_token(scene)
    found = load_credentials(loaded, scene.time.now)
    assert found.identities["chat"] == ()
    (problem,) = found.problems
    assert not problem.is_error
    assert "in a token that is not configured" in problem.found


@pytest.mark.parametrize("content", [URI, b"pkcs11:nonsense", b"PKCS11:nonsense"])
def test_a_uri_without_its_token_is_told(tmp_path: Path, content: bytes) -> None:
    scene = Rotations(tmp_path)
    key = tmp_path / "key"
    key.write_bytes(content)
    with pytest.raises(TokenUnknown, match="not configured"):
        token_place(scene.parts.loaded.config.hsm, tmp_path / "chain", key, {})


def test_a_key_that_is_a_file_is_nowhere_in_a_token(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"-----BEGIN PRIVATE KEY-----")
    assert token_place(Rotations(tmp_path).parts.loaded.config.hsm, tmp_path / "chain", key, {}) is None


def test_what_is_to_serve_is_judged_alone(tmp_path: Path) -> None:
    scene = Rotations(tmp_path, homes={"plexi": FakeToken()})
    scene.serve()
    loaded = handed_over(scene)
    files = files_of_slot(loaded.file, loaded.config.rotation.state, "chat", "ec")
    assert files is not None
    assert examine_issued(loaded.file, loaded.config.hsm, *files, scene.time.now).errors == ()
    files[1].write_bytes(b"rubbish")
    assert examine_issued(loaded.file, loaded.config.hsm, *files, scene.time.now).credential is None
