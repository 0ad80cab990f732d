"""The looks of the parent: what they find goes to the log and the receivers, and the next look
knows of it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.loading.loader import load
from proxy.net.tasks import Tasks
from proxy.observe.alert_kinds import AlertUrgency
from proxy.observe.events.event import Event
from proxy.observe.events.reloads import Reloaded, ReloadFailed
from proxy.observe.readiness import NotReadyReason, Readiness, ReadinessSubject
from proxy.observe.scrape import Scrape
from proxy.supervisor.alerts.alerting import Alerting, WatchedProxy
from proxy.supervisor.alerts.open_alerts import AlertPatience
from proxy.supervisor.alerts.settings import AlertSettings
from tests.configurations import Site
from tests.waiting import until, until_seen

NOW = 1_780_315_200.0
WELL = Scrape(NOW, NOW, "1.0", 1, [])
DOWN = replace(WELL, readiness=Readiness((NotReadyReason(ReadinessSubject.UPSTREAM, "chat", "has no server"),)))


class Watched:
    """A proxy that is as the test says, and its alerts."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site, self.out = site, directory / "out"
        self.scrape: Scrape | Exception = WELL
        self.shortage: str | None = None
        self.is_serving = True
        self.looks = 0
        self.events: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []
        loop = asyncio.get_running_loop()
        self.tasks = Tasks(loop, self.errors.append)
        watched = WatchedProxy(self.scraped, lambda: self.is_serving, lambda: self.shortage, lambda: NOW)
        self.alerting = Alerting(loop, self.tasks, watched, self.tell, self.errors.append)
        program = f"import sys; open({str(self.out)!r}, 'a').write(sys.stdin.read())"
        self.command = json.dumps([sys.executable, "-c", program])

    async def scraped(self) -> Scrape:
        self.looks += 1
        if isinstance(self.scrape, Exception):
            raise self.scrape
        return self.scrape

    def tell(self, event: Event) -> None:
        """As the parent does: what is logged is heard."""
        self.events.append(event.as_json())
        self.alerting.hear(event)

    def follow(self, text: str = "") -> None:
        self.alerting.follow(AlertSettings.of(load(self.site.write(self.site.minimal + text))))

    def told(self) -> list[tuple[str, str]]:
        return [(one["event"], one.get("kind", "")) for one in self.events]

    async def got(self, count: int) -> list[dict[str, Any]]:
        """What the program has got, once so many came."""

        def lines() -> list[str]:
            return self.out.read_text().splitlines() if self.out.exists() else []

        await until_seen(lambda: len(lines()) >= count)
        return [json.loads(line) for line in lines()]


@pytest.fixture
async def watched(site: Site, tmp_path: Path) -> AsyncIterator[Watched]:
    made = Watched(site, tmp_path)
    yield made
    await made.tasks.cancel_all()


async def test_a_fault_is_logged_listed_and_sent(watched: Watched) -> None:
    watched.follow(f"[alerts]\ncommand = {watched.command}\n")
    watched.scrape = DOWN
    await watched.alerting.look()
    await watched.alerting.look()
    assert watched.told() == [("alert_raised", "upstream_down")]
    (listed,) = (await watched.alerting.listed())["alerts"]
    assert listed["remedy"] == watched.events[0]["remedy"]
    (message,) = await watched.got(1)
    assert (message["state"], message["kind"], message["version"]) == ("firing", "upstream_down", 1)
    await until(lambda: watched.alerting.deliveries == {("command", "ok"): 1})


async def test_a_proxy_that_starts_or_ends_is_not_judged(watched: Watched) -> None:
    watched.scrape = DOWN
    await watched.alerting.look()
    assert watched.looks == 0, "nothing is configured yet"
    watched.follow()
    watched.is_serving = False
    await watched.alerting.look()
    assert (watched.looks, watched.told()) == (0, [])
    watched.is_serving = True

    async def ends_meanwhile() -> Scrape:
        watched.is_serving = False
        return DOWN

    alerting = Alerting(
        asyncio.get_running_loop(),
        watched.tasks,
        WatchedProxy(ends_meanwhile, lambda: watched.is_serving, lambda: None, lambda: NOW),
        watched.tell,
        watched.errors.append,
    )
    alerting.follow(AlertSettings.of(load(watched.site.write(watched.site.minimal))))
    await alerting.look()
    assert list(alerting.open) == []


async def test_a_receiver_that_a_reload_brings_gets_what_is_open_and_one_that_stays_does_not(watched: Watched) -> None:
    watched.follow()
    watched.scrape = DOWN
    await watched.alerting.look()
    watched.follow(f"[alerts]\ncommand = {watched.command}\n")
    (message,) = await watched.got(1)
    assert message["times"] == 1
    watched.follow(f'[alerts]\ncommand = {watched.command}\nresolve_after = "2s"\n')
    arrived: Any = {"receiver": "command", "to": sys.executable, "ok": True, "detail": None}
    assert await watched.alerting.test() == {"ok": True, "receivers": [arrived]}
    assert [one["kind"] for one in await watched.got(2)] == ["upstream_down", "test"]
    watched.follow()
    assert await watched.alerting.test() == {"ok": False, "receivers": []}


async def test_a_repeat_is_sent_and_not_logged(watched: Watched) -> None:
    settings = AlertSettings.of(
        load(watched.site.write(f"{watched.site.minimal}[alerts]\ncommand = {watched.command}\n"))
    )
    at_once = AlertPatience(dict.fromkeys(AlertUrgency, 0.0), 0.0)
    watched.alerting.follow(replace(settings, patience=at_once))
    watched.scrape = DOWN
    await watched.alerting.look()
    await watched.got(1)
    await watched.alerting.look()
    assert [one["times"] for one in await watched.got(2)] == [1, 2]
    watched.scrape = WELL
    await watched.alerting.look()
    assert watched.told() == [("alert_raised", "upstream_down"), ("alert_resolved", "upstream_down")]
    await until_seen(lambda: watched.alerting.deliveries == {("command", "ok"): 3})


async def test_events_of_the_parent_are_heard_and_its_shortage_is_asked_for(watched: Watched) -> None:
    watched.follow()
    watched.shortage = "5 descriptors are left"
    watched.tell(ReloadFailed([]))
    await watched.alerting.look()
    assert {str(one.concern.kind) for one in watched.alerting.open} == {"reload_refused", "descriptors_short"}
    watched.tell(Reloaded(2, []))
    watched.shortage = None


async def test_looks_follow_events_and_errors_do_not_end_them(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.supervisor.alerts.alerting._SOON_SECONDS", 0.0)
    watched.follow()
    watched.scrape = RuntimeError("an internal error")
    watched.tasks.start(watched.alerting.run())
    await until(lambda: watched.errors)
    assert [str(one) for one in watched.errors] == ["an internal error"]
    watched.scrape = DOWN
    looks = watched.looks
    watched.tell(Reloaded(2, []))
    await until(lambda: watched.told()[-1] == ("alert_raised", "upstream_down"))
    for _ in range(50):
        await asyncio.sleep(0)
    assert watched.looks == looks + 1, "what the alerts themselves log is not a reason to look"


async def test_open_alerts_are_remembered_beside_the_state(watched: Watched, tmp_path: Path, site: Site) -> None:
    (site.directory / "kept").mkdir()
    text = '[rotation]\nstate = "kept"\n'
    watched.follow(text)
    watched.scrape = DOWN
    await watched.alerting.look()
    next_process = Watched(site, tmp_path)
    next_process.follow(text)
    next_process.scrape = DOWN
    next_process.tasks.start(next_process.alerting.run())
    await until_seen(lambda: next_process.told())
    (taken_up,) = next_process.alerting.open
    assert taken_up.times == 2
    await next_process.tasks.cancel_all()


async def test_a_disk_that_does_not_answer_stops_no_look(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: object) -> None:
        await asyncio.Event().wait()

    for module in ("alerting", "surroundings"):
        monkeypatch.setattr(f"proxy.supervisor.alerts.{module}.in_thread", hangs)
        monkeypatch.setattr(f"proxy.supervisor.alerts.{module}.DISK_SECONDS", 0.01)
    (watched.site.directory / "hangs").mkdir()
    watched.follow('[rotation]\nstate = "hangs"\n')
    await watched.alerting.look()
    (found,) = watched.alerting.open
    assert found.concern.text.endswith("/hangs cannot be written: it does not answer")
