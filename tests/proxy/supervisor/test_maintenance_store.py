"""Routes in maintenance on disk."""

import json
import stat
from pathlib import Path

import pytest

from config.loading.loader import load
from proxy.processes.messages.questions import MaintainedRoute
from proxy.supervisor.maintenance_store import MaintenanceStore, MaintenanceUnreadable
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site

ROUTES = (
    MaintainedRoute("chat.test/", 5.0, 300, "<p>ä", page_is_html=True, allowed=("10.0.0.0/8",)),
    MaintainedRoute("chat.test/api", 6.0, 1, "", page_is_html=False, allowed=()),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    store = MaintenanceStore(tmp_path / "new" / "maintenance.json")
    assert store.read() == ()
    store.write(ROUTES)
    assert store.read() == ROUTES
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    store.write(())
    assert store.read() == ()
    assert [file.name for file in store.path.parent.iterdir()] == ["maintenance.json"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "other content"),
        (b"\xff", "other content"),
        (b"[]", "other content"),
        (b"{}", "other content"),
        (b"7", "other content"),
        (b"[" * 100_000, "other content"),
        (b'{"version": 1}', "other content"),
        (b'{"version": 1, "routes": [{"route": 7}]}', "other content"),
        (b'{"version": 2, "routes": []}', "another version"),
    ],
)
def test_anything_else_is_said_to_be_unreadable(tmp_path: Path, content: bytes, found: str) -> None:
    store = MaintenanceStore(tmp_path / "maintenance.json")
    store.path.write_bytes(content)
    with pytest.raises(MaintenanceUnreadable) as caught:
        store.read()
    assert found in caught.value.found


@pytest.mark.parametrize(
    "change", [{"allowed": ["here"]}, {"page": "{", "page_is_html": False}, {"retry_after": 0}, {"since": "now"}]
)
def test_edited_content_that_no_worker_could_use_is_unreadable(tmp_path: Path, change: dict[str, object]) -> None:
    store = MaintenanceStore(tmp_path / "maintenance.json")
    store.write(ROUTES)
    document = json.loads(store.path.read_bytes())
    document["routes"][0] |= change
    store.path.write_text(json.dumps(document))
    with pytest.raises(MaintenanceUnreadable, match="other content"):
        store.read()


def test_file_that_cannot_be_opened_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "maintenance.json").mkdir()
    with pytest.raises(MaintenanceUnreadable, match="Is a directory"):
        MaintenanceStore(tmp_path / "maintenance.json").read()


def test_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    store = MaintenanceStore(tmp_path / "a" / "b" / "maintenance.json")
    with pytest.raises(OSError, match="File exists"):
        store.write(ROUTES)


def test_file_belongs_to_one_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "var"))
    site = Site.make(tmp_path)
    text = MINIMAL_LISTENER + site.identity + MINIMAL_REST
    one = MaintenanceStore.of(load(site.write(text))).path
    other = MaintenanceStore.of(load(site.write(text + '[rotation]\nstate = "state"\n'))).path
    assert one.parent == tmp_path / "var"
    assert other == tmp_path / "state" / "maintenance.json"
    third = tmp_path / "third.toml"
    third.write_text(text)
    assert MaintenanceStore.of(load(third)).path not in {one, other}


def test_content_can_be_read_by_a_person(tmp_path: Path) -> None:
    store = MaintenanceStore(tmp_path / "maintenance.json")
    store.write(ROUTES[1:])
    assert json.loads(store.path.read_bytes()) == {
        "version": 1,
        "routes": [
            {
                "route": "chat.test/api",
                "since": 6.0,
                "retry_after": 1,
                "page": "",
                "page_is_html": False,
                "allowed": [],
            }
        ],
    }
