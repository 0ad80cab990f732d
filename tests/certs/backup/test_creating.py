"""A backup says what is in it, and none of its bytes is a secret."""

from pathlib import Path

from certs.backup.opened import OpenBackup
from tests.backups import NODE, NOW, SECRETS, Installation, nothing


def test_the_manifest_says_what_is_in_it(site: Installation, in_memory: Path) -> None:
    manifest = site.backed_up(in_memory / "one.pxbackup")
    assert (manifest.made_at, manifest.node, manifest.made_by) == (NOW, NODE, "1.2.3")
    assert manifest.configuration == str(site.path)
    assert manifest.states == (str(site.directory / "issued"), str(site.directory / "state"))
    assert str(site.directory / "issued") in manifest.locks
    assert manifest.apart == (str(site.directory / "sealing.key"),)
    files = site.files()
    assert manifest.files == len(files)
    assert manifest.credentials == 2
    assert manifest.size == sum(len(content) for _, content in files.values())
    assert list(manifest.recipients.values()) == ["MLKEM768-X25519"]
    with OpenBackup.at(in_memory / "one.pxbackup") as backup:
        assert backup.manifest == manifest


def test_no_secret_is_among_its_bytes(site: Installation, in_memory: Path) -> None:
    file = in_memory / "one.pxbackup"
    site.backed_up(file)
    raw = file.read_bytes()
    sealing = (site.directory / "sealing.key").read_bytes().splitlines()[1]
    found = b"".join(content for _, content in site.files().values())
    assert all(secret in found for secret in SECRETS)
    assert [secret for secret in (*SECRETS, sealing) if secret in raw] == []
    # its index has the paths of state; the manifest has none of a single file of it
    assert b"name0" not in raw


def test_bytes_are_told(site: Installation, in_memory: Path) -> None:
    told: list[int] = []
    with (in_memory / "one").open("wb") as out:
        manifest = site.creation().write(out, told.append)
    assert sum(told) == manifest.size
    nothing(0)
