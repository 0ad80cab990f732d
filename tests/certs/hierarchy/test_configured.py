"""The vault of a configuration, and private keys that rest sealed."""

from pathlib import Path

import pytest

from certs.audit.entries import Action
from certs.hierarchy.configured import (
    KEY_LABEL,
    directory_of,
    files_of,
    key_in_file_warnings,
    opened_keys,
    vault_of,
)
from certs.hierarchy.vault import NoKeys, Vault
from certs.sealing.envelope import Purpose
from certs.sealing.key_file import create_key
from certs.sealing.sealer import AeadSealer
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from config.values.problems import ConfigError
from tests.certs.hierarchy.test_hierarchy import NOW
from tests.hsm_tokens import softhsm

IDENTITY = {
    "names": ["chat.test"],
    "credential": [
        {"certificate": "a.pem", "key": "plain.key"},
        {"certificate": "b.pem", "key": "mldsa.sealed"},
        {"certificate": "c.pem", "key": "none.key"},
    ],
}
UPSTREAM = {"servers": ["https://a.test"], "certificate": "d.pem", "key": "upstream.sealed"}
TABLES = {"identity": {"chat": IDENTITY}, "upstream": {"files": UPSTREAM}}
SEALING = {"key": "sealing.key", "directory": "state"}


def loaded(directory: Path, **tables: object) -> LoadedConfig:
    return LoadedConfig(Config.model_validate({**TABLES, **tables}), ConfigFile(directory / "p.toml"))


@pytest.fixture
def sealed(tmp_path: Path) -> LoadedConfig:
    """Both sealed files are there."""
    create_key(tmp_path / "sealing.key")
    config = loaded(tmp_path, sealing=SEALING)
    sealer = vault(config).sealer(Purpose.CREDENTIAL_KEY)
    (tmp_path / "plain.key").write_text("-----BEGIN PRIVATE KEY-----")
    for name in ("mldsa.sealed", "upstream.sealed"):
        (tmp_path / name).write_bytes(sealer.seal(name.encode(), KEY_LABEL))
    return config


def vault(config: LoadedConfig) -> Vault:
    found = vault_of(config, lambda: NOW, lambda *_: None)
    assert found is not None
    return found


def test_sealed_keys_open_and_others_are_left_alone(sealed: LoadedConfig) -> None:
    names = ("mldsa.sealed", "upstream.sealed")
    assert opened_keys(sealed, vault(sealed)) == {sealed.file.directory / name: name.encode() for name in names}


def test_the_use_of_the_sealing_key_is_told(sealed: LoadedConfig) -> None:
    told: list[tuple[object, ...]] = []
    opened_keys(sealed, vault_of(sealed, lambda: NOW, lambda *one: told.append(one)))
    assert [one[0] for one in told] == [Action.OPEN]


def test_every_key_that_does_not_open_is_a_problem(sealed: LoadedConfig) -> None:
    damaged = sealed.file.directory / "upstream.sealed"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    other = sealed.file.directory / "mldsa.sealed"
    other.write_bytes(vault(sealed).sealer(Purpose.TICKET_KEYS).seal(b"a", KEY_LABEL))
    with pytest.raises(ConfigError) as caught:
        opened_keys(sealed, vault(sealed))
    found = {one.key: one.found for one in caught.value.problems}
    assert set(found) == {"identity.chat.credential[1].key", "upstream.files.key"}
    assert "was changed or damaged" in found["upstream.files.key"]


def test_keys_of_identities_alone_wait_for_a_token_that_is_away(
    sealed: LoadedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = sealed.file.directory
    monkeypatch.setenv("STATE_DIRECTORY", str(directory / "pins"))
    with softhsm(directory) as hsm:
        hsm.pin_file(name="plexi.pin")
        tables: dict[str, object] = {
            "hsm": {"module": str(hsm.module), "token": {"plexi": {"pin_file": "plexi.pin"}}},
            "sealing": {**SEALING, "key": "pkcs11:token=plexi;object=sealing"},
        }
        without = loaded(directory, **tables, upstream={})
        assert opened_keys(without, vault(without)) == {}
        config = loaded(directory, **tables)
        with pytest.raises(ConfigError, match=r"upstream\.files\.key.*no token with label plexi"):
            opened_keys(config, vault(config))


def test_without_a_sealing_key_a_sealed_one_is_no_use(sealed: LoadedConfig) -> None:
    config = loaded(sealed.file.directory)
    assert vault_of(config, lambda: NOW, lambda *_: None) is None
    with pytest.raises(ConfigError, match=r"is sealed, while \[sealing\] has no key"):
        opened_keys(config, None)


def test_the_directory_is_the_state_directory_unless_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/somewhere")
    assert directory_of((given := loaded(tmp_path, sealing={"key": "a"})).file, given.config.sealing) == Path(
        "/var/lib/somewhere"
    )
    assert directory_of((given := loaded(tmp_path, sealing=SEALING)).file, given.config.sealing) == tmp_path / "state"


def test_a_key_in_a_file_is_worth_a_warning(tmp_path: Path) -> None:
    (warning,) = key_in_file_warnings((given := loaded(tmp_path, sealing=SEALING)).file, given.config.sealing)
    assert (warning.key, warning.is_error) == ("sealing.key", False)
    bare = loaded(tmp_path)
    assert key_in_file_warnings(bare.file, bare.config.sealing) == ()
    token = {"key": "pkcs11:token=plexi;object=s"}
    in_token = loaded(tmp_path, sealing=token)
    assert key_in_file_warnings(in_token.file, in_token.config.sealing) == ()


def test_keys_are_made_only_where_nothing_needs_earlier_ones(sealed: LoadedConfig, tmp_path: Path) -> None:
    (tmp_path / "state/keys.sealed").unlink()
    with pytest.raises(NoKeys, match=r"mldsa\.sealed.*upstream\.sealed.*restore it from a backup, or remove them"):
        vault(sealed).sealer(Purpose.CREDENTIAL_KEY).seal(b"key", KEY_LABEL)
    for name in ("mldsa.sealed", "upstream.sealed"):
        (tmp_path / name).unlink()
    assert vault(sealed).sealer(Purpose.CREDENTIAL_KEY).seal(b"key", KEY_LABEL)


def test_what_was_sealed_without_a_sealing_key_needs_none_of_these_keys(tmp_path: Path) -> None:
    create_key(tmp_path / "sealing.key")
    config = loaded(
        tmp_path,
        sealing=SEALING,
        rotation={"state": "issued"},
        payload={"directory": "rings"},
        identity={},
        upstream={},
    )
    for name in ("issued", "rings", "state/payload"):
        (tmp_path / name).mkdir(parents=True)
        own = AeadSealer(create_key(tmp_path / name / "sealing.key"))
        (tmp_path / name / "one").write_bytes(own.seal(b"secret", "credential key: one"))
    assert vault(config).sealer(Purpose.CREDENTIAL_KEY).seal(b"key", KEY_LABEL)
    assert [one.path.parent.name for one in files_of(config)] == ["issued", "rings", "payload"]
