"""What operators may ask of maintenance, and what they are told."""

from types import SimpleNamespace
from typing import Any

import pytest

from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from proxy.admin.requests.problems import CommandRefused
from proxy.admin.requests.wishes import MaintenanceWish
from proxy.api.commands import MaintenanceDocument
from proxy.processes.messages.questions import MaintainedRoute
from proxy.routes.error_pages import MOST_BYTES
from proxy.supervisor.control.maintenance_control import SupervisorMaintenance
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site
from tests.parts import differences

NOW = 1_700_000_000.0


class Kept:
    """A list that takes what it is told, or fails."""

    path = "/var/lib/x/maintenance.json"

    def __init__(self) -> None:
        self.by_name: dict[str, MaintainedRoute] = {}
        self.error: OSError | None = None
        self.silent = 0
        self.of_fleet: set[str] = set()
        self.orders: list[tuple[str, object | None]] = []

    def is_of_fleet(self, route: str) -> bool:
        """Those that a test has set."""
        return route in self.of_fleet

    async def order(self, name: str, content: object | None) -> None:
        """Note it."""
        self.orders.append((name, content))

    @property
    def routes(self) -> tuple[MaintainedRoute, ...]:
        """All of them."""
        return tuple(self.by_name.values())

    async def begin(self, route: MaintainedRoute) -> int:
        """Take one."""
        if self.error is not None:
            raise self.error
        self.by_name[route.route] = route
        return self.silent

    async def end(self, route: str) -> int:
        """Drop one."""
        if self.error is not None:
            raise self.error
        del self.by_name[route]
        return self.silent


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedConfig:
    site = Site.make(tmp_path_factory.mktemp("site"))
    api = '[[route]]\nhost = "chat.test"\npath = "/api"\nupstream = "chat"\n'
    return load(site.write(MINIMAL_LISTENER + site.identity + MINIMAL_REST + api))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def control(loaded: LoadedConfig, kept: Kept) -> SupervisorMaintenance:
    served: Any = SimpleNamespace(edition=SimpleNamespace(loaded=loaded))
    maintenance: Any = kept
    return SupervisorMaintenance(served, maintenance, kept.order, lambda: NOW)


def wish(**changes: Any) -> MaintenanceWish:
    usual: dict[str, Any] = {
        "route": "chat.test/",
        "retry_after": "",
        "allowed": "",
        "page": b"",
        "page_is_html": True,
    }
    return MaintenanceWish(**{**usual, **changes})


async def test_route_is_taken_out_with_its_defaults_or_as_wished(control: SupervisorMaintenance, kept: Kept) -> None:
    told = await control.begin(wish())
    entry = {
        "route": "chat.test/",
        "since": NOW,
        "retry_after": 300,
        "page": False,
        "allowed": [],
        "is_configured": True,
        "is_of_fleet": False,
    }
    assert told == entry
    kept.by_name["chat.test/"] = MaintainedRoute("chat.test/", 5.0, 300, "", page_is_html=True, allowed=())
    told = await control.begin(wish(retry_after="7", allowed="10.0.0.0/8, ::1", page=b"<p>"))
    assert told == {**entry, "since": 5.0, "retry_after": 7, "page": True, "allowed": ["10.0.0.0/8", "::1/128"]}
    assert control.listed() == {"routes": [told]}
    assert list(differences(control.listed(), MaintenanceDocument)) == []
    await control.end("chat.test/")
    assert control.listed() == {"routes": []}


async def test_route_that_the_configuration_lost_is_listed_and_can_be_put_back(
    control: SupervisorMaintenance, kept: Kept
) -> None:
    kept.by_name["gone.test/"] = MaintainedRoute("gone.test/", 5.0, 300, "", page_is_html=True, allowed=())
    (listed,) = control.listed()["routes"]
    assert not listed["is_configured"]
    await control.end("gone.test/")
    assert kept.routes == ()


async def test_workers_that_did_not_answer_are_told_of(control: SupervisorMaintenance, kept: Kept) -> None:
    kept.silent = 1
    warning = "1 worker did not answer, and will follow later: see plexigate status"
    assert (await control.begin(wish()))["warning"] == warning
    assert await control.end("chat.test/") == {"route": "chat.test/", "warning": warning}


@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({"route": "chat.test"}, 404, 'there is no route "chat.test"; there is "chat.test/", "chat.test/api"'),
        ({"route": "chat.test/apj"}, 404, 'there is "chat.test/api"'),
        ({"route": "x"}, 404, 'there is "chat.test/", "chat.test/api"'),
        ({"retry_after": "0"}, 400, "write seconds from 1 to 604_800"),
        ({"retry_after": "-1"}, 400, "write seconds"),
        ({"retry_after": "604801"}, 400, "write seconds"),
        ({"retry_after": "1" * 5_000}, 400, "write seconds"),
        ({"retry_after": "٣"}, 400, "write seconds"),
        ({"allowed": "10.0.0.1/8"}, 400, "without host bits"),
        ({"allowed": ","}, 400, "a network such as"),
        ({"allowed": ",".join(["10.0.0.0/8"] * 65)}, 400, "allow has 65 networks"),
        ({"page": b"\xff"}, 400, "not UTF-8"),
        ({"page": b"{", "page_is_html": False}, 400, "not JSON"),
        ({"page": b"x" * (MOST_BYTES + 1)}, 400, "the page has more than 262_144 bytes"),
    ],
)
async def test_what_cannot_be_is_refused(
    control: SupervisorMaintenance, kept: Kept, changes: dict[str, Any], status: int, detail: str
) -> None:
    with pytest.raises(CommandRefused) as caught:
        await control.begin(wish(**changes))
    assert caught.value.status == status
    assert detail in str(caught.value)
    assert kept.routes == ()


async def test_pages_of_all_routes_together_are_bounded(control: SupervisorMaintenance, kept: Kept) -> None:
    page = "x" * MOST_BYTES
    for number in range(16):
        kept.by_name[str(number)] = MaintainedRoute(str(number), 5.0, 300, page, page_is_html=True, allowed=())
    with pytest.raises(CommandRefused, match="more than 4_194_304 bytes"):
        await control.begin(wish(page=b"x"))
    assert (await control.begin(wish()))["page"] is False


async def test_what_cannot_be_kept_is_said_with_the_remedy(control: SupervisorMaintenance, kept: Kept) -> None:
    kept.error = FileNotFoundError(2, "No such file or directory")
    for work in (control.begin(wish()), control.end("chat.test/")):
        with pytest.raises(CommandRefused) as caught:
            await work
        assert caught.value.status == 409
        assert "/var/lib/x/maintenance.json cannot be written (No such file or directory)" in str(caught.value)
        assert "nothing was changed: set [rotation] state" in str(caught.value)


async def test_route_that_is_not_in_maintenance_cannot_be_put_back(control: SupervisorMaintenance) -> None:
    with pytest.raises(CommandRefused) as caught:
        await control.end("chat.test/")
    assert (caught.value.status, str(caught.value)) == (
        404,
        'route "chat.test/" is not in maintenance; in maintenance: none',
    )


async def test_a_route_of_the_whole_fleet_is_ordered_and_put_back_there_alone(
    control: SupervisorMaintenance, kept: Kept
) -> None:
    await control.begin(wish(for_fleet=True))
    content = {
        "route": "chat.test/",
        "since": NOW,
        "retry_after": 300,
        "page": "",
        "page_is_html": True,
        "allowed": [],
    }
    assert kept.orders == [("orders/maintenance/chat.test/", content)]
    assert kept.routes == ()
    with pytest.raises(CommandRefused, match="is not in maintenance in the fleet"):
        await control.end("chat.test/", for_fleet=True)
    kept.of_fleet = {"chat.test/"}
    with pytest.raises(CommandRefused, match="add --fleet") as caught:
        await control.end("chat.test/")
    assert caught.value.status == 409
    await control.end("chat.test/", for_fleet=True)
    assert kept.orders[1:] == [("orders/maintenance/chat.test/", None)]
    await control.begin(wish())
    (listed,) = control.listed()["routes"]
    assert listed["is_of_fleet"]
