"""Those who follow an edition do so in an order that leaves no gap."""

from collections.abc import Iterable
from typing import Any

import pytest

from config.problems import Problem, Severity
from proxy.observe.startup import Offers
from proxy.processes.messages.answers import PreparedToServe
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.changeover import Changeover
from proxy.supervisor.reloads.reloading import Prepared
from tests.configurations import Site
from tests.fleets import edition_of

WARNING = Problem("f", "listener.public", "x", "y", Severity.WARNING)
OFFERS = Offers("compiled", "OpenSSL 3.5", "libssl", [], [])


class Part:
    """One that follows."""

    def __init__(self, name: str, steps: list[str]) -> None:
        self.name, self.steps = name, steps

    def follow(self, *_: object) -> None:
        self.steps.append(self.name)

    async def commit(self, _: Prepared) -> None:
        self.steps.append(self.name)


class Case:
    """A change from one edition to the next one."""

    def __init__(self, site: Site) -> None:
        self.steps: list[str] = []
        self.warned: list[Problem] = []
        self.served = ServedEdition(edition_of(site, site.minimal))
        parts: list[Any] = [Part(name, self.steps) for name in ("workers", "servers", "tokens", "audit log")]
        workers, servers, tokens, auditing = parts
        self.changeover = Changeover(workers, self.served, servers, tokens, auditing, self.warn)
        sockets: Any = None
        answer = PreparedToServe(OFFERS, (WARNING,), ())
        self.prepared = Prepared(edition_of(site, site.minimal, number=2), sockets, [], [answer])

    def warn(self, problems: Iterable[Problem]) -> None:
        self.warned += problems


@pytest.fixture
def case(site: Site) -> Case:
    return Case(site)


async def test_checks_and_tokens_change_before_the_workers_do(case: Case) -> None:
    await case.changeover.commit(case.prepared)
    assert case.steps == ["servers", "tokens", "workers", "audit log"]
    assert case.served.edition.number == 2
    assert case.served.offers == OFFERS
    assert WARNING.key in [one.key for one in case.warned]


async def test_other_secrets_bring_no_warning_again_and_leave_servers_alone(case: Case) -> None:
    await case.changeover.renew(case.prepared)
    assert case.steps == ["workers", "audit log", "tokens"]
    assert case.served.edition.number == 2
    assert case.warned == []
