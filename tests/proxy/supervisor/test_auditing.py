"""What of the parent's work with keys is told to the audit log."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from certs.audit.entries import Entry, HandshakeTotal, KeyOperation
from certs.tokens.prober import Condition, ProbeFinding
from proxy.observe.scrape import CertificateFacts
from proxy.processes.messages.answers import WorkerFigures
from proxy.signing.breaker import BreakerState
from proxy.supervisor.auditing import Auditing
from proxy.supervisor.editions.edition import Edition
from tests.configurations import Site
from tests.workforces import edition_of

if TYPE_CHECKING:
    from proxy.figures.snapshot import KeySignaturesRow


class Told:
    """An audit log that keeps what it is told."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def tell(self, entry: Entry) -> None:
        self.entries.append(entry)

    def operations(self) -> list[tuple[str, str, str, str]]:
        """Since the last look."""
        entries, self.entries = self.entries, []
        return [
            (one.actor, one.action.value, one.key, one.outcome.value)
            for one in entries
            if isinstance(one, KeyOperation)
        ]


@dataclass
class Worker:
    """A worker as far as it is counted."""

    slot: int
    last: WorkerFigures | None = None

    def __hash__(self) -> int:
        return id(self)


@pytest.fixture
def told() -> Told:
    return Told()


async def _scrape(_seconds: float) -> list[Worker]:
    return []


@pytest.fixture
def auditing(told: Told) -> Auditing:
    return Auditing(told.tell, _scrape)


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Edition:
    site = Site.make(tmp_path_factory.mktemp("site"))
    return edition_of(site, site.minimal)


def test_keys_are_told_when_they_are_served_by_and_no_more(auditing: Auditing, told: Told, edition: Edition) -> None:
    (facts,) = edition.identities.certificates
    (key,) = facts.keys
    assert Path(key).suffix == ".key"
    assert len(facts.fingerprint) == 64
    auditing.follow(edition)
    assert told.operations() == [("parent", "load", key, "done")]
    auditing.follow(edition)
    assert told.operations() == []
    other = replace(edition, identities=replace(edition.identities, certificates=[_renewed(facts)]))
    auditing.follow(other)
    assert told.operations() == [("parent", "load", key, "done"), ("parent", "unload", key, "done")]


def _renewed(facts: CertificateFacts) -> CertificateFacts:
    return replace(facts, fingerprint="f" * 64)


def test_breakers_are_told_and_a_refused_pin_too(auditing: Auditing, told: Told) -> None:
    worker = Worker(2)
    auditing.breaker_changed(worker, "plexi", BreakerState.OPEN)
    assert told.operations() == [("worker 2", "breaker", "token plexi", "done")]
    auditing.breaker_changed(worker, "plexi", BreakerState.STOPPED)
    assert told.operations() == [
        ("worker 2", "login", "token plexi", "refused"),
        ("worker 2", "breaker", "token plexi", "done"),
    ]


def test_pins_that_the_parent_tries_are_told(auditing: Auditing, told: Told) -> None:
    auditing.pin_tried("plexi", ProbeFinding(Condition.WELL, "", ""))
    auditing.pin_tried("spare", ProbeFinding(Condition.REFUSED, "CKR_PIN_INCORRECT", "the token refused the PIN"))
    assert told.operations() == [
        ("parent", "login", "token plexi", "done"),
        ("parent", "login", "token spare", "failed"),
    ]


def test_the_last_figures_of_a_worker_are_told_once(auditing: Auditing, told: Told) -> None:
    rows: list[KeySignaturesRow] = [{"key": "chat", "done": 3, "failed": 1}]
    worker = Worker(1, WorkerFigures(1, {"key_signatures": rows}, ()))
    auditing.worker_gone(worker)
    assert told.entries == [HandshakeTotal("worker 1", "chat", 3, 1)]
    auditing.worker_gone(Worker(1))
    assert len(told.entries) == 1


def test_a_rotation_of_tickets_is_told(auditing: Auditing, told: Told) -> None:
    auditing.tickets_rotated()
    assert told.operations() == [("parent", "rotate", "session tickets", "done")]
