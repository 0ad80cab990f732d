"""Routes in maintenance in the parent: on disk first, then in all workers."""

import asyncio
import json
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from config.values.problems import ConfigError
from proxy.processes.messages.answers import Done
from proxy.processes.messages.questions import MaintainedRoute, Question, ShowMaintenance
from proxy.supervisor.maintenance import Maintenance, MaintenanceStore, MaintenanceUnreadable
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site

ONE = MaintainedRoute("chat.test/", 5.0, 300, "", page_is_html=True, allowed=())
OTHER = MaintainedRoute("chat.test/api", 6.0, 1, "", page_is_html=False, allowed=("10.0.0.0/8", "::1/128"))


class Told:
    """Workers that note what they are told, and what was on disk by then."""

    def __init__(self, loaded: LoadedConfig) -> None:
        self.store = MaintenanceStore.of(loaded)
        self.shown: list[tuple[str, ShowMaintenance]] = []

    async def tell_all(self, order: Question[Done]) -> None:
        """Note it for those that serve."""
        self._note("serving", order)

    async def ask_all(self, question: Question[Done], seconds: float) -> Mapping[Any, Done | None]:
        """Note it for those that leave."""
        assert seconds > 0
        self._note("all", question)
        return {"serves": Done(), "leaves": Done(), "stuck": None}

    def _note(self, who: str, order: Question[Done]) -> None:
        assert isinstance(order, ShowMaintenance)
        assert self.store.read() == order.routes
        self.shown.append((who, order))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedConfig:
    site = Site.make(tmp_path_factory.mktemp("site"))
    text = MINIMAL_LISTENER + site.identity + MINIMAL_REST + '[rotation]\nstate = "state"\n'
    return load(site.write(text))


@pytest.fixture
def path(loaded: LoadedConfig) -> Path:
    file = MaintenanceStore.of(loaded).path
    file.unlink(missing_ok=True)
    return file


def restored(loaded: LoadedConfig, events: list[dict[str, Any]] | None = None) -> tuple[Maintenance, Told]:
    told = Told(loaded)
    noted = [] if events is None else events
    made = Maintenance(asyncio.get_running_loop(), told, lambda event: noted.append(event.as_json()))
    made.restore(loaded)
    return made, told


async def test_change_is_on_disk_before_the_workers_hear_of_it(loaded: LoadedConfig, path: Path) -> None:
    events: list[dict[str, Any]] = []
    maintenance, told = restored(loaded, events)
    assert maintenance.shown == ShowMaintenance(())
    assert maintenance.path == str(path)
    assert await maintenance.begin(ONE) == 1  # has not answered
    await maintenance.begin(OTHER)
    assert await maintenance.end("chat.test/") == 1
    with pytest.raises(KeyError):
        await maintenance.end("chat.test/")
    shown = [ShowMaintenance((ONE,)), ShowMaintenance((ONE, OTHER)), ShowMaintenance((OTHER,))]
    assert told.shown == [(who, order) for order in shown for who in ("serving", "all")]
    assert events == [
        {"event": "maintenance_begun", "route": "chat.test/", "retry_after": 300},
        {"event": "maintenance_begun", "route": "chat.test/api", "retry_after": 1, "allowed": "10.0.0.0/8, ::1/128"},
        {"event": "maintenance_ended", "route": "chat.test/"},
    ]
    again, _ = restored(loaded)
    assert again.routes == (OTHER,)


async def test_what_cannot_be_kept_is_not_done(loaded: LoadedConfig, path: Path) -> None:
    maintenance, told = restored(loaded)
    with in_the_way(path), pytest.raises(OSError, match="directory"):
        await maintenance.begin(ONE)
    assert (maintenance.routes, told.shown) == ((), [])


@contextmanager
def in_the_way(path: Path) -> Iterator[None]:
    """A directory where the file should be."""
    path.mkdir(parents=True)
    yield
    path.rmdir()


async def test_proxy_does_not_start_without_knowing_what_is_in_maintenance(loaded: LoadedConfig, path: Path) -> None:
    with in_the_way(path), pytest.raises(ConfigError) as caught:
        restored(loaded)
    (problem,) = caught.value.problems
    assert str(path) in problem.found
    assert "delete it" in problem.allowed


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
