"""The kinds of things that operators ask about are made of the configuration of a node."""

from pathlib import Path

import pytest

from proxy.admin.requests.contracts import ReloadReport
from proxy.supervisor.membership.kinds.keys.tickets import Tickets
from proxy.supervisor.membership.shared_parts import shared_parts
from tests.proxy.supervisor.membership.nodes import NOW, Served
from tests.proxy.supervisor.membership.test_configured import loaded_of


async def reload(*, dry_run: bool) -> ReloadReport:
    return ReloadReport(not dry_run, [], [], 1)


def test_the_parts_know_the_file_and_the_audit_log_of_the_node(tmp_path: Path) -> None:
    fleet = 'etcd = "http://127.0.0.1:1"\nname = "edge-1"\n[audit]\nfile = "audit.log"'
    loaded = loaded_of(tmp_path, fleet, "")
    tickets = Tickets(Served((bytes(32), 0.0)), lambda: NOW)
    parts = shared_parts(loaded, lambda: b"", reload, tickets, lambda _: None, lambda: NOW)
    assert [one.prefix for one in parts.all] == ["tickets", "nodes/", "lead", "reload"]
    assert not any(one.is_kept for one in parts.all[1:])
    own = parts.nodes._own
    (tmp_path / "audit.log").touch()
    assert own(None).audit is None
    (tmp_path / "audit.log").unlink()
    with pytest.raises(FileNotFoundError) as missing:
        own(None)
    assert missing.value.filename == str(tmp_path / "audit.log")
    assert parts.reload._path == loaded.file.path
