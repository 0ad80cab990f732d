"""Versions that were used are remembered over processes, by token, and never go back."""

from dataclasses import replace
from pathlib import Path

import pytest

from certs.hsm.facts import TokenFacts
from certs.hsm.used_versions import UsedVersions, VersionsUnusable, default_versions_directory

TOKEN = TokenFacts(0, "plexi", "42", "", "", 0, None, None, ())


def test_the_highest_of_each_series_is_known(tmp_path: Path) -> None:
    directory = tmp_path / "state/versions"
    assert UsedVersions(directory, TOKEN).labels() == []
    for label in ("a.ecdsa-p256.v9", "a.ecdsa-p256.v10", "a.ecdsa-p256.v2", "a.rsa-3072.v1", "my own"):
        UsedVersions(directory, TOKEN).note(label)
    assert UsedVersions(directory, replace(TOKEN, label="renamed", slot=7)).labels() == [
        "a.ecdsa-p256.v10",
        "a.rsa-3072.v1",
    ]
    assert UsedVersions(directory, replace(TOKEN, serial="43")).labels() == []
    assert UsedVersions(directory, replace(TOKEN, serial="")).labels() == []
    assert {path.stat().st_mode & 0o077 for path in (directory, *directory.iterdir())} == {0}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"last": 5}', '{"last": [5]}'])
def test_another_file_is_no_ground_to_stand_on(tmp_path: Path, content: str) -> None:
    used = UsedVersions(tmp_path, TOKEN)
    used.note("a.aes-256.v1")
    (path,) = tmp_path.glob("*.json")
    path.write_text(content)
    with pytest.raises(VersionsUnusable, match="found something else"):
        used.labels()
    with pytest.raises(VersionsUnusable):
        used.note("a.aes-256.v2")
    assert path.read_text() == content


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VersionsUnusable, match="file exists"):
        UsedVersions(tmp_path / "file/versions", TOKEN).note("a.aes-256.v1")


def test_they_are_in_the_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert default_versions_directory() == tmp_path / "key-versions"
