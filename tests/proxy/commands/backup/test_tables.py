"""What people read of a backup."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from certs.backup.index import LeftOut
from certs.backup.kept import KeptBackup, NoBackup
from certs.sealing.sealing_key import sealing_key_name
from proxy.commands.backup.tables import (
    backup_document,
    backup_table,
    created_text,
    left_out_lines,
    schedule_text,
    verified_text,
)
from tests.certs.backup.test_manifest import MANIFEST

KEPT = KeptBackup(Path("/b/one"), 1, MANIFEST, ())


def test_hundreds_of_keys_are_not_all_listed() -> None:
    assert left_out_lines([]) == []
    lines = left_out_lines([LeftOut(f"key {number}", "make it") for number in range(10)])
    assert lines[1] == "  key 0: make it"
    assert lines[-1] == "  and 2 more (--json)"
    assert len(lines) == 10


@pytest.mark.parametrize(("count", "text"), [(1, "with 1 credential,"), (2, "with 2 credentials,")])
def test_one_credential_is_one(count: int, text: str) -> None:
    assert text in verified_text(replace(KEPT, manifest=replace(MANIFEST, credentials=count)))


def test_the_schedule_is_a_sentence() -> None:
    document = {"timer": "enabled", "directory": "/b", "keep": 14, "age_seconds": 7_200.0, "late": False, "damaged": []}
    assert schedule_text(document) == "Timer: enabled. /b keeps 14 backups. The newest is 2 h old."


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ((sealing_key_name(2).id, bytes(range(16))), "The sealing key v2 or 0001020304050607 opens it."),
        ((), "No sealing key opens it."),
    ],
)
def test_the_sealing_keys_that_open_a_backup_are_told(keys: tuple[bytes, ...], text: str) -> None:
    kept = replace(KEPT, sealing_keys=keys)
    assert text in verified_text(kept)
    assert text in created_text(kept, [])
    assert [one["version"] for one in backup_document(kept)["sealing_keys"]] == [2, None][: len(keys)]


def test_what_a_manifest_says_does_not_move_the_cursor() -> None:
    """Everybody can sign a manifest."""
    evil = "\x1b[2J\nSigner: aaaa"
    manifest = replace(MANIFEST, node=evil, made_by=evil, left_out=(LeftOut(evil, evil),), recipients={evil: evil})
    kept = replace(KEPT, manifest=manifest)
    shown = verified_text(kept)
    assert "\x1b" not in shown
    assert shown.count("\nSigner: ") == 1
    console = Console(file=StringIO(), width=300)
    rows: list[KeptBackup | NoBackup] = [replace(kept, path=Path(evil)), NoBackup(Path(evil), "damaged")]
    console.print(backup_table(rows, manifest.made_at))
    assert isinstance(console.file, StringIO)
    assert "\x1b[2J" not in console.file.getvalue()
