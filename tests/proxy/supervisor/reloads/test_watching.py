"""Files are watched while the edition that is served wants it."""

import asyncio
from pathlib import Path

import pytest

from proxy.net.tasks import Tasks
from proxy.supervisor.reloads.watching import Watching
from tests.configurations import Site
from tests.waiting import until_seen
from tests.workforces import edition_of


class Case:
    """A file that is watched, and the causes of reloads."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.causes: list[str] = []
        self.errors: list[BaseException] = []
        self.tasks = Tasks(asyncio.get_running_loop(), self.errors.append)
        self.watched, self.unwatched = (edition_of(site, more + site.minimal) for more in ("watch = true\n", ""))
        self.watching = Watching(self.tasks, self.watched.loaded.file.path, self.reload)

    async def reload(self, cause: str) -> None:
        self.causes.append(cause)
        self.watching.follow(self.unwatched)  # as when the file says so now

    def write(self, text: str) -> Path:
        return self.site.write(text)


@pytest.fixture
async def case(site: Site) -> Case:
    return Case(site)


async def test_a_change_reloads_and_the_reload_may_end_the_watching(case: Case) -> None:
    case.watching.follow(case.watched)
    case.watching.follow(case.watched)
    case.write(f"# changed\n{case.site.minimal}")
    await until_seen(lambda: case.causes)
    await case.tasks.cancel_all()
    assert case.causes == ["a change of a file"]
    assert case.errors == []
    case.watching.follow(case.unwatched)


async def test_what_a_reload_reads_is_no_change(case: Case) -> None:
    case.write(f"# changed\n{case.site.minimal}")
    case.watching.settle()
    case.watching.follow(case.watched)
    case.watching.follow(case.unwatched)
    await case.tasks.cancel_all()
    assert case.causes == []
