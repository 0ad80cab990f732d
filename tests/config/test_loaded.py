"""A configuration together with its file."""

from pathlib import Path

from config.loaded import LoadedConfig
from config.omissions import Omissions
from config.schema import Config

LOADED = LoadedConfig(Config(), Path("/etc/plexigate/chat.toml"), omissions=Omissions(frozenset({("route", 0)})))


def test_paths_start_at_the_file() -> None:
    assert LOADED.directory == Path("/etc/plexigate")
    assert LOADED.resolve("keys/chat.key") == Path("/etc/plexigate/keys/chat.key")
    assert LOADED.resolve("/run/chat.key") == Path("/run/chat.key")


def test_problems_name_file_and_key() -> None:
    assert (
        str(LOADED.error(("route", 0, "host"), "a", "b"))
        == "/etc/plexigate/chat.toml: route[1].host: found a; allowed: b"
    )
    assert str(LOADED.warning(("log",), "a", "b")) == "/etc/plexigate/chat.toml: log: warning: found a; better: b"
    assert LOADED.key("log", "file") == "log.file"


def test_file_may_really_be_elsewhere() -> None:
    loaded = LoadedConfig(Config(), Path("/etc/plexigate.toml"), files={Path("/etc/chat.key"): Path("/proc/self/fd/5")})
    assert loaded.resolve("chat.key") == Path("/proc/self/fd/5")
    assert loaded.resolve("/etc/chat.key") == Path("/proc/self/fd/5")
    assert loaded.resolve("other.key") == Path("/etc/other.key")


def test_credentials_of_systemd() -> None:
    path = Path("/run/credentials/plexigate.service")
    loaded = LoadedConfig(Config(), Path("/etc/plexigate.toml"), credentials=path)
    assert loaded.resolve_credential("pin") == path / "pin"
    elsewhere = LoadedConfig(Config(), loaded.path, files={path / "pin": Path("/proc/self/fd/5")}, credentials=path)
    assert elsewhere.resolve_credential("pin") == Path("/proc/self/fd/5")
    assert LOADED.resolve_credential("pin") is None
