"""A change of edition reads, judges, prepares and commits; what goes wrong on the way changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.values.problems import ConfigError, Problem, Severity
from proxy.observe.startup import Offers
from proxy.processes.messages.answers import PreparedToServe
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.announcements import Announcements
from proxy.supervisor.reloads.changeover import Changeover, ChangingParts, Standstill
from tests.configurations import Site, listener
from tests.waiting import until
from tests.workforces import edition_of

PROBLEM = Problem("f", "a", "x", "y")
WARNING = Problem("f", "listener.public", "x", "y", Severity.WARNING)
OFFERS = Offers("compiled", "OpenSSL 3.5", "libssl", [], [])
SERVED = ("servers", "tokens", "commit", "audit log")
"""A new configuration: checks and tokens change before the workers do."""
RENEWED = ("commit", "audit log", "tokens")
"""New secrets: servers are left alone."""


def changed(edition: Edition, number: int) -> Edition:
    return replace(edition, number=number)


class Bound:
    """An address that still lacks the sockets of a worker."""

    by_slot = ()


class Sockets:
    """Those of a parent, which only notes."""

    slots = 0

    def __init__(self) -> None:
        self.bound: list[Any] = []

    def prepare(self, *_: object) -> "Sockets":
        return self

    def commit(self) -> list[Any]:
        return []

    def abandon(self) -> None:
        pass


class Part:
    """One that follows."""

    def __init__(self, name: str, case: "Case") -> None:
        self.name, self.case = name, case

    def follow(self, *_: object) -> None:
        self.case.step(self.name)


class Tokens(Part):
    """Their PINs are tried before any worker logs in."""

    @asynccontextmanager
    async def changing_to(self, _: Edition) -> AsyncIterator[None]:
        self.case.step("try PINs")
        yield

    async def begin(self, _: Edition) -> None:
        self.case.step("try PINs")


class Log:
    """The log, in its place."""

    def __init__(self, case: "Case") -> None:
        self.case = case

    def prepare(self, *_: object) -> "Log":
        self.case.step("open log")
        return self

    async def use(self, _: object) -> None:
        self.case.step("move log")

    def close(self) -> None:
        self.case.step("close log")


class Workers:
    """A workforce whose workers can do everything."""

    slots_with_sockets = 0

    def __init__(self, case: "Case") -> None:
        self.case = case
        self.editing = asyncio.Lock()
        self.workers = [object()]

    def able(self, _: int) -> list[Any]:
        return []

    async def join(self, *_: object) -> tuple[list[Any], list[PreparedToServe]]:
        assert self.editing.locked()
        self.case.step("prepare")
        return [], [PreparedToServe(OFFERS, (WARNING,), ())]

    async def prepare(self, *_: object) -> tuple[list[Any], list[Any]]:
        return [], []

    async def commit(self, *_: object) -> None:
        assert self.editing.locked()
        self.case.step("commit")

    async def abort(self, _: object) -> None:
        self.case.step("abandon")


class Case:
    """A proxy whose parts note what they are asked."""

    def __init__(self, first: Edition) -> None:
        self.steps: list[str] = []
        self.events: list[str] = []
        self.warned: list[Problem] = []
        self.settled: list[int] = []
        self.served = ServedEdition(first)
        self.next = first
        self.read_dry = False
        self.refusal = ""
        """The step that fails."""
        self.times = 1
        """The time at which it fails."""
        self.sockets = Sockets()
        sockets: Any = self.sockets
        workers: Any = Workers(self)
        servers, tokens, auditing, log, notifier = self._parts()
        self.announcements = Announcements(
            notifier, self.served, workers, lambda event: self.events.append(event.event)
        )
        announcements = self.announcements
        changing = ChangingParts(
            workers, sockets, servers, tokens, auditing, log, announcements, self.warn, self.settle, self.followed
        )
        self.changeover = Changeover(asyncio.get_running_loop(), self.served, changing, self.reread)

    def _parts(self) -> tuple[Any, Any, Any, Any, Any]:
        return Part("servers", self), Tokens("tokens", self), Part("audit log", self), Log(self), self

    def warn(self, problems: Iterable[Problem]) -> None:
        self.warned += problems

    def step(self, name: str) -> None:
        self.steps.append(name)
        if name == self.refusal and self.steps.count(name) == self.times:
            raise ConfigError([PROBLEM])

    def ready(self, _: str) -> None:
        self.step("ready")

    def reloading(self, _: int) -> None:
        self.step("reloading")

    async def reread(self, *, dry_run: bool) -> Edition:
        assert self.changeover.editing.locked()
        self.read_dry = dry_run
        self.step("read")
        return self.next

    def settle(self, edition: Edition) -> None:
        self.settled.append(edition.number)

    async def followed(self, edition: Edition) -> None:
        assert not self.changeover.editing.locked(), "a rotation swaps, and a swap waits for it"
        self.step(f"followed {edition.number}")


@pytest.fixture
async def case(site: Site) -> Case:
    case = Case(edition_of(site, site.minimal))
    case.next = edition_of(site, site.minimal + listener("second"), number=2)
    return case


async def test_a_start_serves_and_then_lets_others_follow(case: Case) -> None:
    await case.changeover.start()
    assert case.steps == ["try PINs", "prepare", *SERVED, "followed 1"]
    assert case.settled == [1]


async def test_a_reload_is_announced_and_ends_with_all_serving(case: Case) -> None:
    await case.changeover.reload_by("SIGHUP")
    assert case.steps == [
        "reloading", "read", "try PINs", "open log", "prepare", *SERVED, "move log", "close log", "ready", "followed 2",
    ]  # fmt: skip
    assert case.events == ["reloading", "reloaded"]
    assert case.served.edition is case.next
    assert case.served.offers == OFFERS
    assert case.settled == [2]
    assert case.served.changed.is_set(), "who looks at what serves looks at once"
    assert WARNING in case.warned


async def test_a_dry_run_changes_nothing_and_tells_only_who_asked(case: Case) -> None:
    report = await case.changeover.reload(dry_run=True)
    assert (report.ok, report.generation) == (True, 1)
    assert [change["key"] for change in report.changes] == ["listener.second"]
    assert case.steps == ["read", "try PINs", "prepare", "abandon"]
    assert case.read_dry
    assert case.events == []
    assert not case.served.changed.is_set()
    assert case.settled == [1], "the directories that only the other edition wanted are free again"


@pytest.mark.parametrize(
    ("step", "dry_run"),
    [
        *((step, False) for step in ("read", "try PINs", "open log", "prepare")),
        *((step, True) for step in ("read", "try PINs", "prepare")),
    ],
)
async def test_what_fails_is_reported_and_leaves_the_old_edition(case: Case, step: str, dry_run: bool) -> None:  # noqa: FBT001 - a parameter
    case.refusal = step
    report = await case.changeover.reload(dry_run=dry_run)
    assert (report.ok, report.generation) == (False, 1)
    assert [problem["key"] for problem in report.problems] == ["a"]
    assert "commit" not in case.steps
    assert case.events == ([] if dry_run else ["reload_failed"])
    assert dict(case.announcements.counts) == ({} if dry_run else {"failed": 1})
    assert case.settled == [1]


async def test_a_change_that_needs_a_restart_is_refused_before_any_worker_is_asked(
    case: Case, site: Site, tmp_path: Path
) -> None:
    case.next = edition_of(site, f'[admin]\nsocket = "{tmp_path}/other.sock"\n' + site.minimal, number=2)
    report = await case.changeover.reload(dry_run=False)
    assert not report.ok
    assert "needs a restart" in report.problems[-1]["found"]
    assert case.steps == ["reloading", "read", "ready"]


async def test_a_reload_without_a_command_waits_for_the_end_of_an_upgrade_and_is_counted(case: Case) -> None:
    case.changeover.standstill.begin("an upgrade is in progress")
    asking = asyncio.get_running_loop().create_task(case.changeover.reload_by("SIGHUP"))
    await until(lambda: case.changeover.standstill.reloads)
    for _ in range(5):
        await asyncio.sleep(0)
    assert "read" not in case.steps
    case.changeover.standstill.end()
    await asking
    assert "commit" in case.steps
    assert case.changeover.standstill.reloads == 0


class Takeover:
    """The older process of an upgrade."""

    wants_reload = False

    def __init__(self, case: Case, refusal: Exception | None = None) -> None:
        self.case = case
        self.refusal = refusal

    async def take(self) -> None:
        self.case.steps.append("take")
        if self.refusal is not None:
            raise self.refusal

    async def prove(self) -> None:
        self.case.steps.append("prove")


@pytest.mark.parametrize("lacks", [False, True])
async def test_a_start_in_an_upgrade_serves_first_and_lets_others_follow_when_the_older_process_has_left(
    case: Case, *, lacks: bool
) -> None:
    case.sockets.bound = [Bound()] if lacks else []
    await case.changeover.start(Takeover(case))
    more = ["prepare", *RENEWED] if lacks else []
    assert case.steps == ["try PINs", "prepare", "take", *SERVED, "prove", *more, "followed 1"]
    assert case.served.edition.number == (2 if lacks else 1)


async def test_a_start_that_may_not_take_over_leaves_nothing_prepared(case: Case) -> None:
    with pytest.raises(RuntimeError):
        await case.changeover.start(Takeover(case, RuntimeError()))
    assert case.steps == ["try PINs", "prepare", "take", "abandon"]


async def test_sockets_that_cannot_be_made_after_an_upgrade_are_a_warning(case: Case) -> None:
    case.sockets.bound = [Bound()]
    case.refusal, case.times = "prepare", 2
    await case.changeover.start(Takeover(case))
    assert case.steps[-3:] == ["prepare", "abandon", "followed 1"]
    assert case.warned[-1] == PROBLEM


class TestRenewal:
    """New secrets: kept first, served by everybody or by nobody."""

    async def test_it_is_kept_before_anybody_serves_by_it(self, case: Case) -> None:
        await case.changeover.renew(changed, lambda edition: case.step(f"keep {edition.number}"))
        assert case.steps == ["prepare", "keep 2", *RENEWED]
        assert case.served.edition.number == 2
        assert case.warned == [], "they were told when the configuration came"

    async def test_what_cannot_be_kept_is_served_by_nobody(self, case: Case) -> None:
        def full(_edition: Edition) -> None:
            raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space"):
            await case.changeover.renew(changed, full)
        assert case.steps == ["prepare", "abandon"]
        assert case.served.edition.number == 1


async def test_changes_wait_for_its_end() -> None:
    standstill, lock, changes = Standstill(), asyncio.Lock(), list[int]()

    async def change(number: int) -> None:
        async with standstill.moving(lock):
            assert lock.locked()
            changes.append(number)

    await change(1)
    standstill.begin("an upgrade is in progress")
    assert standstill.reason == "an upgrade is in progress"
    task = asyncio.get_running_loop().create_task(change(2))
    for _ in range(5):
        await asyncio.sleep(0)
    assert changes == [1]
    standstill.end()
    await task
    assert changes == [1, 2]
    assert not standstill.reason


async def test_a_change_that_waited_for_the_lock_looks_again() -> None:
    standstill, lock, changes = Standstill(), asyncio.Lock(), list[int]()

    async def change() -> None:
        async with standstill.moving(lock):
            changes.append(1)

    async with lock:
        task = asyncio.get_running_loop().create_task(change())
        await asyncio.sleep(0)
        standstill.begin("an upgrade is in progress")
    for _ in range(5):
        await asyncio.sleep(0)
    assert changes == []
    assert not lock.locked()
    standstill.end()
    await until(lambda: changes)
    await task
