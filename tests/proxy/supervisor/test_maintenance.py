"""Routes in maintenance in the parent: on disk first, then in all workers."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from config.values.problems import ConfigError
from proxy.processes.messages.answers import Done
from proxy.processes.messages.questions import MaintainedRoute, Question, ShowMaintenance
from proxy.supervisor.maintenance import Maintenance
from proxy.supervisor.maintenance_store import MaintenanceStore
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


class AllTold:
    """Workers that note what they are told."""

    def __init__(self) -> None:
        self.shown: list[Question[Done]] = []

    async def tell_all(self, order: Question[Done]) -> None:
        """Note it."""
        self.shown.append(order)

    async def ask_all(self, question: Question[Done], seconds: float) -> Mapping[Any, Done | None]:
        """It is the same."""
        assert (question, seconds > 0) == (self.shown[-1], True)
        return {}


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


async def test_routes_of_the_fleet_are_a_list_of_their_own(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    fleet = f'[sealing]\nkey = "{tmp_path}/key"\n[fleet]\netcd = ["http://127.0.0.1:1"]\nname = "one"\n'
    text = MINIMAL_LISTENER + site.identity + MINIMAL_REST + fleet
    loaded = load(site.write(text + f'[rotation]\nstate = "{tmp_path}/state"\n'))
    events: list[dict[str, Any]] = []
    told = AllTold()
    maintenance = Maintenance(asyncio.get_running_loop(), told, lambda event: events.append(event.as_json()))
    maintenance.restore(loaded)
    here = replace(ONE, retry_after=7)
    await maintenance.begin(here)
    await maintenance.follow_fleet({ONE.route: ONE, OTHER.route: OTHER})
    assert maintenance.routes == (here, OTHER), "that of the node comes first"
    assert told.shown[-1] == ShowMaintenance((here, OTHER))
    assert maintenance.is_of_fleet(ONE.route)
    count = len(told.shown)
    await maintenance.follow_fleet({ONE.route: ONE, OTHER.route: OTHER})
    assert len(told.shown) == count, "nothing is new"

    again = Maintenance(asyncio.get_running_loop(), told, lambda event: events.append(event.as_json()))
    again.restore(loaded)
    assert again.routes == (here, OTHER), "before the fleet is asked"
    await again.end(ONE.route)
    assert again.routes == (ONE, OTHER)
    await again.follow_fleet({})
    assert not again.routes
    names = [one["event"] for one in events]
    assert names == ["maintenance_begun"] * 3 + ["maintenance_ended"] * 3
