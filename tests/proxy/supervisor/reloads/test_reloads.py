"""A reload reads, judges, prepares and commits; what goes wrong on the way changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from config.problems import ConfigError, Problem
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.announcements import Announcements
from proxy.supervisor.reloads.reloads import Reloads
from proxy.supervisor.standstill import Standstill
from tests.configurations import Site, listener
from tests.fleets import edition_of
from tests.waiting import until

PROBLEM = Problem("f", "a", "x", "y")


class Case:
    """A proxy whose parts note what they are asked."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.steps: list[str] = []
        self.events: list[str] = []
        self.editing = asyncio.Lock()
        self.standstill = Standstill()
        self.workers = [object()]
        self.served = ServedEdition(edition_of(site, site.minimal))
        self.next = edition_of(site, site.minimal + listener("second"), number=2)
        self.lacks = self.renewal_fails = False
        self.refusal: str = ""
        """The step that fails."""
        parts: Any = self
        announcements = Announcements(parts, self.served, parts, lambda event: self.events.append(event.event))
        self.announcements = announcements
        self.reloads = Reloads(self.served, parts, parts, parts, parts, announcements, self.reread, self.followed)

    def changing(self) -> AbstractAsyncContextManager[None]:
        return self.standstill.moving(self.editing)

    def lacks_sockets(self, _: Edition) -> bool:
        return self.lacks

    async def renew(self, edition: Edition) -> None:
        if self.renewal_fails:
            raise ConfigError([PROBLEM])
        self.step(f"renew {edition.number}")

    def warn(self, problems: object) -> None:
        assert problems
        self.step("warn")

    def step(self, name: str) -> None:
        self.steps.append(name)
        if name == self.refusal:
            raise ConfigError([PROBLEM])

    def ready(self, _: str) -> None:
        self.step("ready")

    def reloading(self, _: int) -> None:
        self.step("reloading")

    async def reread(self) -> Edition:
        assert self.editing.locked()
        self.step("read")
        return self.next

    @asynccontextmanager
    async def changing_to(self, _: Edition) -> AsyncIterator[None]:
        self.step("try PINs")
        yield

    async def begin(self, _: Edition) -> None:
        self.step("try PINs")

    async def prepare_first(self, edition: Edition, _: object) -> Any:
        return await self.prepare(edition)

    def prepare(self, what: Any, *_: object) -> Any:
        """Of the log, or of the workers."""
        if isinstance(what, Edition):
            return self.prepare_workers(what)
        self.step("open log")
        return self

    async def prepare_workers(self, edition: Edition) -> Edition:
        self.step("prepare")
        return edition

    async def abandon(self, _: Edition) -> None:
        self.step("abandon")

    async def commit(self, edition: Edition) -> None:
        assert self.editing.locked()
        self.step("commit")
        self.served.edition = edition

    async def use(self, _: object) -> None:
        self.step("move log")

    def close(self) -> None:
        self.step("close log")

    async def followed(self, edition: Edition) -> None:
        assert not self.editing.locked(), "a rotation swaps, and a swap waits for it"
        self.step(f"followed {edition.number}")


@pytest.fixture
async def case(site: Site) -> Case:
    return Case(site)


async def test_a_start_serves_and_then_lets_others_follow(case: Case) -> None:
    await case.reloads.start()
    assert case.steps == ["try PINs", "prepare", "commit", "followed 1"]


async def test_a_reload_is_announced_and_ends_with_all_serving(case: Case) -> None:
    await case.reloads.reload_by("SIGHUP")
    assert case.steps == [
        "reloading", "read", "try PINs", "open log", "prepare", "commit", "move log", "close log", "ready", "followed 2",
    ]  # fmt: skip
    assert case.events == ["reloading", "reloaded"]


async def test_a_dry_run_changes_nothing_and_tells_only_who_asked(case: Case) -> None:
    report = await case.reloads.reload(dry_run=True)
    assert (report.ok, report.generation) == (True, 1)
    assert [change["key"] for change in report.changes] == ["listener.second"]
    assert case.steps == ["read", "try PINs", "open log", "prepare", "abandon", "close log"]
    assert case.events == []


@pytest.mark.parametrize("step", ["read", "try PINs", "open log", "prepare"])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_what_fails_is_reported_and_leaves_the_old_edition(case: Case, step: str, dry_run: bool) -> None:  # noqa: FBT001 - a parameter
    case.refusal = step
    report = await case.reloads.reload(dry_run=dry_run)
    assert (report.ok, report.generation) == (False, 1)
    assert [problem["key"] for problem in report.problems] == ["a"]
    assert "commit" not in case.steps
    assert case.events == ([] if dry_run else ["reload_failed"])
    assert dict(case.announcements.counts) == ({} if dry_run else {"failed": 1})


async def test_a_change_that_needs_a_restart_is_refused_before_any_worker_is_asked(case: Case, tmp_path: Path) -> None:
    case.next = edition_of(case.site, f'[admin]\nsocket = "{tmp_path}/other.sock"\n' + case.site.minimal, number=2)
    report = await case.reloads.reload(dry_run=False)
    assert not report.ok
    assert "needs a restart" in report.problems[-1]["found"]
    assert case.steps == ["reloading", "read", "ready"]


async def test_a_reload_without_a_command_waits_for_the_end_of_an_upgrade_and_is_counted(case: Case) -> None:
    case.standstill.begin("an upgrade is under way")
    asking = asyncio.get_running_loop().create_task(case.reloads.reload_by("SIGHUP"))
    await until(lambda: case.standstill.reloads)
    for _ in range(5):
        await asyncio.sleep(0)
    assert "read" not in case.steps
    case.standstill.end()
    await asking
    assert "commit" in case.steps
    assert case.standstill.reloads == 0


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
    case.lacks = lacks
    await case.reloads.start(Takeover(case))
    more = ["prepare", "renew 2"] if lacks else []
    assert case.steps == ["try PINs", "prepare", "take", "commit", "prove", *more, "followed 1"]


async def test_a_start_that_may_not_take_over_leaves_nothing_prepared(case: Case) -> None:
    with pytest.raises(RuntimeError):
        await case.reloads.start(Takeover(case, RuntimeError()))
    assert case.steps == ["try PINs", "prepare", "take", "abandon"]


async def test_sockets_that_cannot_be_made_after_an_upgrade_are_a_warning(case: Case) -> None:
    case.lacks = True
    takeover = Takeover(case)
    case.renewal_fails = True
    await case.reloads.start(takeover)
    assert case.steps[-2:] == ["warn", "followed 1"]
