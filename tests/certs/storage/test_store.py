"""Where the shelves are."""

import tomllib
from pathlib import Path

from certs.storage.intent import Intent
from certs.storage.store import Store, paths_of, store_of
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from tests.certs.authority import NOW

CONFIG = Config.model_validate(
    tomllib.loads(
        """
[identity.chat]
names = ["chat.test"]
[[identity.chat.credential]]
certificate = "chat.pem"
key = "chat.key"
[[identity.chat.credential]]
key = "mldsa-65@file"
issuer = "internal"
[rotation]
state = "state"
"""
    )
)


def test_a_configuration_names_its_store(tmp_path: Path) -> None:
    store = store_of(
        (given := LoadedConfig(CONFIG, ConfigFile(tmp_path / "plexigate.toml"))).file, given.config.rotation
    )
    assert store is not None
    assert store.directory == tmp_path / "state"
    assert store_of(ConfigFile(tmp_path / "plexigate.toml"), Config().rotation) is None


def test_issued_credentials_have_their_shelves(tmp_path: Path) -> None:
    ((identity, asked, shelf),) = Store(tmp_path).of_config(CONFIG)
    assert (identity, asked.index, str(asked.key), shelf.slot) == ("chat", 1, "mldsa-65@file", "mldsa-65")
    assert Store(tmp_path).shelves() == []
    shelf.begin(Intent("mldsa-65@file", "internal", ("chat.test",), "first", NOW))
    assert [one.directory for one in Store(tmp_path).shelves()] == [shelf.directory]


def test_what_serves_has_names_that_never_change(tmp_path: Path) -> None:
    chain, key = paths_of("chat", "ec", tmp_path)
    assert chain.parent == key.parent
    assert chain.is_relative_to(tmp_path)
