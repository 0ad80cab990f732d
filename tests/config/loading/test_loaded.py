"""The file of a configuration: its paths, and its problems."""

import json
from pathlib import Path

import pytest

from config.loading.loaded import ConfigFile, LoadedConfig
from config.loading.loader import accepted
from config.loading.reading import credentials_directory
from config.schema import Config
from config.values.omissions import Omissions

FILE = ConfigFile(Path("/etc/plexigate/chat.toml"), omissions=Omissions(frozenset({("route", 0)})))

CONTENT = b"""
reload_timeout = "20s"
[listener.public]
bind = "127.0.0.1:8443"
[identity.chat]
names = ["chat.example.org"]
certificate = "chat.pem"
key = "chat.key"
[upstream.chat]
servers = ["http://127.0.0.1:8000"]
[[route]]
host = "chat.example.org"
upstream = "chat"
"""


def test_paths_start_at_the_file() -> None:
    assert FILE.directory == Path("/etc/plexigate")
    assert FILE.resolve("keys/chat.key") == Path("/etc/plexigate/keys/chat.key")
    assert FILE.resolve("/run/chat.key") == Path("/run/chat.key")


def test_problems_name_file_and_key() -> None:
    assert (
        str(FILE.error(("route", 0, "host"), "a", "b"))
        == "/etc/plexigate/chat.toml: route[1].host: found a; allowed: b"
    )
    assert str(FILE.warning(("log",), "a", "b")) == "/etc/plexigate/chat.toml: log: warning: found a; better: b"
    assert FILE.key("log", "file") == "log.file"


def test_file_may_really_be_elsewhere() -> None:
    file = ConfigFile(Path("/etc/plexigate.toml"), files={Path("/etc/chat.key"): Path("/proc/self/fd/5")})
    assert file.resolve("chat.key") == Path("/proc/self/fd/5")
    assert file.resolve("/etc/chat.key") == Path("/proc/self/fd/5")
    assert file.resolve("other.key") == Path("/etc/other.key")


def test_credentials_of_systemd() -> None:
    path = Path("/run/credentials/plexigate.service")
    file = ConfigFile(Path("/etc/plexigate.toml"), credentials=path)
    assert file.resolve_credential("pin") == path / "pin"
    elsewhere = ConfigFile(file.path, files={path / "pin": Path("/proc/self/fd/5")}, credentials=path)
    assert elsewhere.resolve_credential("pin") == Path("/proc/self/fd/5")
    assert FILE.resolve_credential("pin") is None


@pytest.mark.parametrize("directory", [None, "/run/credentials/plexigate.service"])
def test_a_worker_gets_what_was_accepted_as_tables_with_the_present_paths_of_its_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, directory: str | None
) -> None:
    for name in ("chat.pem", "chat.key"):
        (tmp_path / name).touch()
    if directory is None:
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    else:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", directory)
    before = accepted(CONTENT, tmp_path / "plexigate.toml")
    files = {tmp_path / "chat.key": Path("/proc/self/fd/9")}
    after = LoadedConfig.of_document(
        json.loads(json.dumps(before.document)),
        ConfigFile(before.file.path, files=files, credentials=credentials_directory()),
    )
    assert after.config == before.config
    assert after.file.credentials == before.file.credentials == (None if directory is None else Path(directory))
    assert after.file.resolve("chat.key") == Path("/proc/self/fd/9")
    assert "chat.example.org" not in repr(LoadedConfig(Config(), FILE, document=before.document))
