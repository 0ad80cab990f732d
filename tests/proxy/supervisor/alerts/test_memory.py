"""The open alerts on disk; a file that cannot be read or written does no harm."""

from pathlib import Path

import pytest

from proxy.supervisor.alerts.memory import remember, remembered
from tests.parts import part

ALERTS = part([{"kind": "upstream_down", "subject": "chat"}])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    remember(path, ALERTS)
    assert remembered(path) == ALERTS
    assert path.stat().st_mode & 0o777 == 0o600
    remember(path, [])
    assert remembered(path) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"alerts": 5}', b'{"alerts": [5, "x"]}', b"\xff", b"5"])
def test_what_is_no_memory_is_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(content)
    assert remembered(path) == []


def test_without_a_directory_nothing_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "alerts.json"
    remember(path, ALERTS)
    assert remembered(path) == []
