"""What an upgrade carries over from one parent to the next, and what it leaves out."""

import json
from pathlib import Path
from typing import Any

import pytest

from config.values.problems import Problem
from proxy.observe.counts.breaking import day_of
from proxy.observe.events.reloads import ReloadFailed
from proxy.observe.status import status
from proxy.supervisor.reporting import wall_clock
from tests.configurations import Site
from tests.proxy.supervisor.test_supervisor import Running, running, workers
from tests.waiting import until_seen


async def refused(run: Running) -> list[Any]:
    """The sums of the requests that got 421."""
    document = (await run.supervisor.control.figures.scrape()).retained or {}
    return [row for row in document.get("listener_requests", ()) if row["status"] == "4xx"]


async def test_everything_goes_on_in_the_next_process(site: Site, tmp_path: Path) -> None:
    today, places = day_of(wall_clock()), [tmp_path / name for name in ("before", "next")]
    for place in places:
        place.mkdir()
    async with running(site, places[0], workers(site, 1)) as run:
        await run.visit()
        run.supervisor.alerting.hear(ReloadFailed([Problem("f.toml", "a", "x", "y")]))
        await until_seen(lambda: run.supervisor.alerting.open)
        (before,) = run.supervisor.alerting.open
        run.supervisor.control.figures.history.fine.add(1_000.0, {"requests/4xx": 1.5})
        document = json.loads(json.dumps(await run.supervisor.memory.document()))
    async with running(site, places[1], workers(site, 1)) as run:
        await run.supervisor.memory.take(document)
        assert [row["count"] for row in await refused(run)] == [1]
        (after,) = run.supervisor.alerting.open
        assert (before.concern, before.since, before.times) == (after.concern, after.since, after.times)
        assert run.supervisor.control.figures.history.fine.since(0.0)["series"]["requests/4xx"][0] == 1.5
        readiness = (await run.supervisor.control.adopting.document())["days"][today]["public"]
        assert readiness == document["readiness"]["days"][today]["public"], "nothing counts twice"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"counts": 1, "alerts": {"growth": {}}, "history": [], "readiness": {"version": 99}},
        {"counts": {"listener_requests": [{"unheard": "of", "by": 1}]}, "alerts": {}, "history": {"fine": {}}},
    ],
)
async def test_what_another_version_means_begins_anew(site: Site, tmp_path: Path, document: Any) -> None:
    async with running(site, tmp_path, workers(site, 1)) as run:
        await run.supervisor.memory.take(document)
        assert await refused(run) == []
        assert run.supervisor.alerting.open == []
        assert (status(await run.supervisor.control.figures.scrape()))["alerts"] == []
