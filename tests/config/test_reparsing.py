"""A worker reads what the parent has accepted."""

from pathlib import Path

import pytest

from config.loader import accepted
from config.reparsing import parsed

CONTENT = b"""
reload_seconds = 20
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


@pytest.mark.parametrize("directory", [None, "/run/credentials/plexigate.service"])
def test_it_is_what_was_accepted_with_the_present_paths_of_its_files(
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
    after = parsed(CONTENT, tmp_path / "plexigate.toml", files)
    assert after.config == before.config
    assert after.file.credentials == before.file.credentials == (None if directory is None else Path(directory))
    assert after.file.resolve("chat.key") == Path("/proc/self/fd/9")
    assert after.file.error(("route", 0, "host"), "", "").line == before.file.error(("route", 0, "host"), "", "").line
