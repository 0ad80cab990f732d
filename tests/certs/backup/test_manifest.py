"""The manifest is read as it was written; what this version cannot read, it says."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from certs.backup.container import BackupDamaged, Written
from certs.backup.index import KnownDirectory, LeftOut
from certs.backup.manifest import FORMATS, Manifest, TooNew
from certs.hierarchy.document import Document

MANIFEST = Manifest(
    made_by="1.2.3",
    made_at=datetime(2026, 12, 1, 12, 0, tzinfo=UTC),
    node="plexi1",
    configuration="/etc/plexigate/plexigate.toml",
    states=("/var/lib/plexigate",),
    apart=("/etc/plexigate/sealing.key",),
    locks=("/var/lib/plexigate",),
    files=3,
    size=1_000,
    credentials=1,
    left_out=(LeftOut("the sealing key", "shares"),),
    directories=(KnownDirectory("/etc/plexigate", 0o750, "root", "plexigate"),),
    recipients={"ab": "MLKEM768-X25519"},
    signer=b"\0signer",
    written=Written("ab", "cd", 5),
)


def test_it_comes_back() -> None:
    assert Manifest.parse(MANIFEST.encode()) == MANIFEST
    without = replace(MANIFEST, locks=(), states=())
    assert Manifest.parse(without.encode()) == without


def changed(**values: object) -> bytes:
    return json.dumps(json.loads(MANIFEST.encode()) | values).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        changed(made_at="2026-12-01T12:00:00"),
        changed(made_at=1),
        changed(signer="*"),
        changed(written={}),
        changed(written={"header_digest": "", "body_digest": "", "body_bytes": "x"}),
        b"[" * 200_000,
        MANIFEST.encode().replace(b'"files": 3', b'"files": 1e999'),
        changed(made_at="0001-01-01T00:00:00+23:00"),
        changed(states=["/\ud800"]),
        changed(directories=[{"path": 5, "mode": 1, "user": "", "group": ""}]),
        changed(directories=[{"path": "/a", "mode": "x", "user": "", "group": ""}]),
        changed(directories=[{"path": "/a", "mode": -1, "user": "", "group": ""}]),
        changed(left_out=[{}]),
        changed(configuration="../plexigate.toml"),
        changed(locks=["state"]),
        changed(apart=["a"]),
        changed(states=["/var/../etc"]),
        changed(directories=[{"path": "a", "mode": 1, "user": "", "group": ""}]),
    ],
)
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(BackupDamaged):
        Manifest.parse(content)


def test_formats_are_those_of_the_files() -> None:
    assert json.loads(Document().encode())["version"] == FORMATS["keys.sealed"]


def test_older_formats_are_converted_and_newer_ones_refused() -> None:
    assert MANIFEST.conversions() == []
    older = replace(MANIFEST, formats={**FORMATS, "keys.sealed": 0})
    assert older.conversions() == [f"keys.sealed from format 0 to {FORMATS['keys.sealed']}"]
    assert replace(MANIFEST, formats={**FORMATS, "something": -1}).conversions() == []  # everybody can sign one
    for formats in ({**FORMATS, "ledger.json": 9}, {**FORMATS, "something": 1}):
        with pytest.raises(TooNew, match=r"made by Plexigate 1\.2\.3"):
            replace(MANIFEST, formats=formats).conversions()
