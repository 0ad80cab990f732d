"""The log and the service manager hear of a start and of every reload."""

from typing import Any

import pytest

from config.values.problems import ConfigError, Problem, Severity
from proxy.observe.events.event import Event
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.announcements import Announcements
from tests.configurations import Site
from tests.workforces import edition_of

PROBLEMS = [Problem("f", "a", "x", "y"), Problem("f", "b", "x", "y", Severity.WARNING)]


class Case:
    """Announcements of a proxy with one worker; what the log, and what the service manager, is told."""

    def __init__(self, site: Site) -> None:
        self.workers = [object()]
        self.served = ServedEdition(edition_of(site, site.minimal))
        self.told: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.heard: list[str] = []
        self.announcements = Announcements(self, self.served, self, self.tell)

    def tell(self, event: Event) -> None:
        self.told.append(event.as_json())
        self.lines.append(event.sentence())

    def ready(self, status: str) -> None:
        self.heard.append(status)

    def reloading(self, monotonic_usec: int) -> None:
        assert monotonic_usec > 0
        self.heard.append("reloading")


@pytest.fixture
def case(site: Site) -> Case:
    return Case(site)


def test_the_service_manager_hears_of_a_start(case: Case) -> None:
    case.announcements.started()
    assert case.heard == ["serving with 1 worker"]


def test_a_reload_that_is_refused_is_said_and_one_that_succeeds_afterwards_too(case: Case) -> None:
    announcements = case.announcements
    announcements.begun("SIGHUP")
    with announcements.to_service_manager():
        announcements.failed(ConfigError(PROBLEMS))
    with announcements.to_service_manager():
        pass
    configured = announcements.configured_at
    announcements.succeeded(case.served.edition, [])
    assert announcements.configured_at > configured
    assert [event["event"] for event in case.told] == ["reloading", "reload_failed", "reloaded"]
    assert [one["key"] for one in case.told[1]["problems"]] == ["a"], "warnings are no reason"
    assert case.lines[2] == "reloaded: 0 changes, generation 1"
    assert case.heard == [
        "reloading",
        "the last reload was refused, see the log; serving with 1 worker, generation 1",
        "reloading",
        "serving with 1 worker, generation 1",
    ]
    assert dict(announcements.counts) == {"failed": 1, "ok": 1}


def test_the_service_manager_hears_the_end_whatever_comes_of_a_reload(case: Case) -> None:
    with pytest.raises(ZeroDivisionError), case.announcements.to_service_manager():
        raise ZeroDivisionError
    assert case.heard[-1] == "serving with 1 worker, generation 1"
