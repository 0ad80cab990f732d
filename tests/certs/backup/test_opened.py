"""A backup is opened by its manifest, and verified as a whole."""

from pathlib import Path

import pytest

from certs.backup.container import BackupDamaged
from certs.backup.opened import OpenBackup
from tests.backups import Installation, nothing


def test_a_changed_byte_is_found_wherever_it_is(backup: Path) -> None:
    raw = backup.read_bytes()
    step = max(1, len(raw) // 400)
    for place in range(0, len(raw), step):
        backup.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(BackupDamaged), OpenBackup.at(backup) as opened:
            opened.verify(nothing)
    backup.write_bytes(raw)
    with OpenBackup.at(backup) as opened:
        opened.verify(nothing)
        assert list(opened.header.sealed) == list(opened.manifest.recipients)


def test_the_manifest_of_another_backup_does_not_fit(site: Installation, backup: Path, in_memory: Path) -> None:
    site.write("users", b"others")
    site.backed_up(in_memory / "two.pxbackup")
    one, two = backup.read_bytes(), (in_memory / "two.pxbackup").read_bytes()
    with OpenBackup.at(backup) as opened:
        content = one[: one.index(opened.reader.manifest)]
    with OpenBackup.at(in_memory / "two.pxbackup") as opened:
        manifest = two[two.index(opened.reader.manifest) :]
    backup.write_bytes(content + manifest)
    with pytest.raises(BackupDamaged, match="its header"), OpenBackup.at(backup):
        pass
