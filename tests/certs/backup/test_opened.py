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
            opened.verified(nothing)
    backup.write_bytes(raw)
    with OpenBackup.at(backup) as opened:
        assert list(opened.verified(nothing).sealed) == list(opened.manifest.recipients)


def test_the_manifest_of_another_backup_does_not_fit(site: Installation, backup: Path, in_memory: Path) -> None:
    site.write("users", b"others")
    site.backed_up(in_memory / "two.pxbackup")
    one, two = backup.read_bytes(), (in_memory / "two.pxbackup").read_bytes()
    with OpenBackup.at(backup) as opened:
        manifest = opened.reader.manifest
    with OpenBackup.at(in_memory / "two.pxbackup") as opened:
        other = opened.reader.manifest + opened.reader.signature
    if len(one) == len(two):
        mixed = one[: one.index(manifest)] + other + one[-16:]
        backup.write_bytes(mixed)
        with pytest.raises(BackupDamaged), OpenBackup.at(backup) as opened:
            opened.verified(nothing)
