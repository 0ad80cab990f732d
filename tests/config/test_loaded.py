"""The file of a configuration: its paths, and its problems."""

from pathlib import Path

from config.loaded import ConfigFile
from config.omissions import Omissions

FILE = ConfigFile(Path("/etc/plexigate/chat.toml"), omissions=Omissions(frozenset({("route", 0)})))


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
