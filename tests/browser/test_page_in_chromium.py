"""The page of the admin server in Chromium: it is live, it is for everybody, and it runs nothing that is not its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from proxy.admin.server import AdminServer
from proxy.admin.settings import AdminSettings
from proxy.commands.page.forwarder import PageForwarder
from proxy.observe.alert import Concern, OpenAlert
from proxy.observe.alert_kinds import AlertKind, AlertUrgency
from proxy.observe.counts.counters import Counters
from proxy.observe.readiness import READY, NotReadyReason, Readiness, ReadinessSubject
from proxy.observe.scrape import ListenerFacts, Scrape, TokenScrape
from tests.browser.devtools import Browser, Tab, private_window, running_chromium
from tests.fakes_admin import DAY, DOWN, NOW, FakeControl, fed, host_of, scrape, server, worker

pytestmark = pytest.mark.paced

AUDIT = Path(__file__).with_name("audit.js").read_text()
HOSTILE = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"&<svg onload=window.hacked=1>' + "W" * 60
)
NOT_READY = Readiness((NotReadyReason(ReadinessSubject.UPSTREAM, "chat", "has no server that takes requests"),))
ROTATES: Any = {
    "identity": "rotating",
    "credential": "ec",
    "names": ["chat.test"],
    "issuer": "internal",
    "key": {"algorithm": "ecdsa-p256", "place": "file"},
    "not_before": "2026-05-01T00:00:00+00:00",
    "not_after": "2026-07-10T00:00:00+00:00",
    "next": {"at": "2026-06-20T00:00:00+00:00", "urgency": "calm"},
    "last_error": None,
}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where one for all tests takes commands."""
    with running_chromium(tmp_path_factory.mktemp("home")) as address:
        yield address


@dataclass
class Scene:
    """A page that is open, and the proxy that it shows."""

    control: FakeControl
    browser: Browser
    url: str
    directory: Path
    errors: list[BaseException] = field(default_factory=list)

    async def open(self, *, scheme: str = "light", width: int = 1280) -> Tab:
        """Open the page, and wait until it shows the state."""
        tab = await self.tab()
        await self.look(tab, scheme=scheme, width=width)
        await tab.navigate(self.url)
        await tab.wait_until("document.title.includes('·') && document.querySelector('#workers-table table')")
        return tab

    async def tab(self) -> Tab:
        """A tab that records what goes wrong."""
        tab = await self.browser.open_tab("about:blank")
        for domain in ("Log", "Audits"):
            await tab.command(f"{domain}.enable")
        return tab

    @staticmethod
    async def look(tab: Tab, *, scheme: str = "light", width: int = 1280, media: str = "") -> None:
        """Make the screen so wide, and light or dark; nothing moves."""
        await tab.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        await tab.command("Emulation.setEmulatedMedia", media=media, features=features)

    def wrong(self) -> list[str]:
        """What the browser complained about."""
        kinds = {"Log.entryAdded", "Runtime.exceptionThrown", "Audits.issueAdded"}
        return [str(event.params) for event in self.browser._events if event.method in kinds]

    def passes(self, seconds: float, times: int, **changes: Any) -> None:
        """Let time pass for the proxy, which has `times` as much of everything behind it then."""
        answer = self.control.answer
        workers = [worker(0, fed(times)), worker(1, fed(3 * times))]
        self.control.answer = replace(answer, now=answer.now + seconds, **{"workers": workers, **changes})


@asynccontextmanager
async def shown(
    directory: Path, chromium: str, answer: Scrape, listed: list[Any] | None = None
) -> AsyncIterator[Scene]:
    control, errors = FakeControl(answer), list[BaseException]()
    control.rotating.listed = [ROTATES] if listed is None else listed
    settings = AdminSettings(directory / "run" / "admin.sock", ())
    admin = AdminServer(control.parts, settings, host_of(errors))
    await admin.start()
    try:
        async with PageForwarder(settings.socket).serving(0) as url, private_window(chromium) as browser:
            scene = Scene(control, browser, url, directory)
            for times in range(2, 8):
                control.history.note(control.answer)
                scene.passes(10.0, times)
            yield scene
    finally:
        await admin.stop()
    assert errors == []


async def test_page_is_live_and_loads_nothing_else(tmp_path: Path, chromium: str) -> None:
    async with shown(tmp_path, chromium, replace(scrape(), alerts=(), configured_at=scrape().now - DAY)) as scene:
        tab = await scene.open()
        assert await tab.evaluate("readiness.textContent") == "Ready: every worker, certificate and route can serve."
        await tab.wait_until("document.querySelector('.live.on')")
        rows = "document.querySelectorAll('#traffic-plots details')[0].querySelectorAll('tbody tr').length"
        await tab.evaluate("document.querySelectorAll('#traffic-plots summary')[0].click()")
        await tab.wait_until(f"{rows} === 6")

        scene.passes(10.0, 9, readiness=NOT_READY, alerts=(DOWN,))
        await tab.wait_until(f"{rows} === 7")
        await tab.wait_until("document.title.startsWith('Not ready')")
        assert "upstream chat has no server" in await tab.evaluate("readiness.textContent")
        assert "upstream chat has no server" in await tab.evaluate("document.querySelector('.alert').textContent")

        await tab.evaluate("document.getElementById('span-3').click()")
        await tab.wait_until(f"{rows} === 1")
        # the clock of the machine is set back: the plots continue from there
        now = scene.control.answer.now
        scene.passes(-3_600.0, 10)
        await scene.browser.event(tab.session, "Page.loadEventFired")
        await tab.wait_until("document.querySelector('.live.on')")
        await tab.evaluate("document.querySelectorAll('#traffic-plots summary')[0].click()")
        assert await tab.evaluate(rows) == 0
        scene.passes(10.0, 11)
        await tab.wait_until(f"{rows} === 1")
        assert scene.control.history.latest_at == now - 3_590.0
        asked = {
            event.params["request"]["url"].removeprefix(scene.url).partition("?")[0]
            for event in scene.browser._events
            if event.method == "Network.requestWillBeSent" and not event.params["request"]["url"].startswith("data:")
        }
        assert asked == {"", "events", "page/history"}
        assert scene.wrong() == []


async def test_page_is_for_everybody(tmp_path: Path, chromium: str) -> None:
    async with shown(tmp_path, chromium, replace(scrape(), alerts=())) as scene:
        tab = await scene.open()
        await tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        await audited(scene, tab)

        await scene.look(tab, scheme="dark", media="print")
        faults = await tab.evaluate(AUDIT)
        assert [fault for fault in faults if "contrast" in fault or "wider" in fault] == [], "paper is white"

        token = TokenScrape("plexi", "absent", "the device is unavailable", 1, 16, 5, {}, 80.0, {"key": ("chat",)})
        scene.passes(10.0, 9, readiness=NOT_READY, alerts=(DOWN,), tokens=(token,))
        await tab.wait_until("document.title.startsWith('Not ready') && document.querySelector('.alert')")
        await audited(scene, tab)


async def audited(scene: Scene, tab: Tab) -> None:
    """Find nothing wrong with the page, light and dark, from a phone to a wide screen."""
    for scheme in ("light", "dark"):
        for width in (360, 768, 1280, 1900):
            await scene.look(tab, scheme=scheme, width=width)
            await tab.evaluate("new Promise((yes) => requestAnimationFrame(() => requestAnimationFrame(yes)))")
            assert await tab.evaluate(AUDIT) == [], (scheme, width)


async def test_hundreds_of_certificates_stay_readable(tmp_path: Path, chromium: str) -> None:
    first = scrape().certificates[0]
    many = [
        replace(first, identity=f"identity-{n}", begins_at=NOW - DAY, expires_at=NOW + n * DAY) for n in range(1, 201)
    ]
    async with shown(tmp_path, chromium, replace(scrape(), certificates=many)) as scene:
        tab = await scene.open(width=360)
        await tab.evaluate("document.querySelector('#certificates summary').click()")
        bars = await tab.evaluate("document.getElementById('timeline').innerText")
        assert ("identity-20" in bars, "identity-21" in bars) == (True, False)
        assert "The table has 80 more." in bars
        table = await tab.evaluate("document.getElementById('certificates-table').innerText")
        assert ("identity-21" in table, "101 more are not shown." in table) == (True, True)
        assert await tab.evaluate(AUDIT) == []


async def test_sections_fold_on_a_phone_and_a_browser_remembers_which(tmp_path: Path, chromium: str) -> None:
    is_open = (
        "[...document.querySelectorAll('details.fold')].filter((one) => one.open).map((one) => one.parentElement.id)"
    )
    async with shown(tmp_path, chromium, replace(scrape(), tokens=())) as scene:
        tab = await scene.open(width=360)
        assert await tab.evaluate(is_open) == ["alerts", "traffic"]
        assert await tab.evaluate("document.documentElement.scrollHeight") < 4_000
        await tab.evaluate("document.querySelector('nav a[href=\"#routes\"]').click()")
        await tab.wait_until("document.querySelector('#routes details').open")
        await tab.evaluate("document.querySelector('#traffic summary').click()")
        await tab.navigate(scene.url)
        await tab.wait_until("document.querySelector('#workers-table table')")
        assert await tab.evaluate(is_open) == ["alerts"], "a link opens a section for once, a click for good"
        assert await tab.evaluate("document.querySelector('nav a[href=\"#tokens\"]').checkVisibility()") is False


async def test_a_selection_survives_the_refresh(tmp_path: Path, chromium: str) -> None:
    async with shown(tmp_path, chromium, scrape()) as scene:
        tab = await scene.open()
        await tab.evaluate(
            "getSelection().selectAllChildren(document.querySelector('#upstreams-table td:nth-child(2)'))"
        )
        requests = "document.querySelector('#upstreams-table').textContent"
        before = await tab.evaluate(requests)
        scene.passes(10.0, 9)
        scene.control.answer = replace(
            scene.control.answer, workers=[worker(0, fed(9), [server(requests=77), server("http://10.0.0.2:8000")])]
        )
        await tab.wait_until(f"{requests} !== {before!r}")
        assert await tab.evaluate("getSelection().toString()") == "http://10.0.0.1:8000"


async def test_colours_mean_the_same_in_all_plots_of_handshakes(tmp_path: Path, chromium: str) -> None:
    colours = """[...document.querySelectorAll('#tls-plots figure')].slice(0, 2).map((figure) =>
        Object.fromEntries([...figure.querySelectorAll('.legend li')].map((one) =>
            [one.childNodes[1].data, one.querySelector('rect').getAttribute('class')])))"""
    async with shown(tmp_path, chromium, scrape()) as scene:
        tab = await scene.open()
        await tab.wait_until("document.getElementById('tls-plots').textContent.includes('X25519 (classical)')")
        outcomes, groups = await tab.evaluate(colours)
        assert outcomes["post-quantum"] == groups["X25519MLKEM768"] == "f0"
        assert outcomes["classical: the client cannot"] == groups["X25519 (classical)"] == "f4"


async def test_hostile_text_stays_text(tmp_path: Path, chromium: str) -> None:
    counters = Counters(lambda: (0, 0))
    counters.breaking.add("public", None, "192.0.2.7", [(b"User-Agent", HOSTILE.encode())])
    counters.failure(HOSTILE, HOSTILE)
    counters.listener(HOSTILE)
    token = TokenScrape(HOSTILE, HOSTILE, HOSTILE, 1, 2, 3, {}, None, {HOSTILE: (HOSTILE,)})
    concern = Concern(AlertKind.UPSTREAM_DOWN, HOSTILE, AlertUrgency.CRITICAL, HOSTILE)
    answer = replace(
        scrape(worker(0, counters, [server(HOSTILE, HOSTILE)])),
        listeners=(ListenerFacts(HOSTILE, (HOSTILE,), HOSTILE, HOSTILE),),
        tokens=(token,),
        alerts=(OpenAlert(concern, scrape().now, 1),),
        readiness=Readiness((NotReadyReason(ReadinessSubject.WORKER, HOSTILE, HOSTILE),)),
        version=HOSTILE,
    )
    hostile = ROTATES | {"identity": HOSTILE, "names": [HOSTILE], "issuer": HOSTILE, "last_error": HOSTILE}
    async with shown(tmp_path, chromium, answer, [hostile]) as scene:
        scene.control.answer = replace(answer, now=scene.control.answer.now + 10)
        tab = await scene.open(width=360)
        await tab.wait_until("document.querySelector('#classical-tables table')")
        assert await tab.evaluate("window.hacked ?? null") is None
        assert await tab.evaluate("document.querySelectorAll('img, [onerror], [onload], script').length") == 1
        for place in (
            "readiness",
            "alerts-list",
            "listeners-table",
            "certificates-table",
            "tokens-table",
            "upstreams-table",
        ):
            assert HOSTILE in await tab.evaluate(f"document.getElementById('{place}').textContent"), place
        assert HOSTILE[:100] in await tab.evaluate("document.getElementById('classical-tables').textContent")
        assert not [fault for fault in await tab.evaluate(AUDIT) if "wider" in fault]
        assert scene.wrong() == []

        # and where a script tried to make markup of text, the policy forbids it
        for attempt in (
            "document.body.innerHTML = '<b>x</b>'",
            "document.body.setAttribute('onclick', 'window.hacked=1')",
            "document.createElement('script').text = 'window.hacked=1'",
        ):
            refused = f"(() => {{ try {{ {attempt}; }} catch (error) {{ return error.name; }} }})()"
            assert await tab.evaluate(refused) == "TypeError", attempt


async def test_without_scripts_there_is_the_state_and_what_is_missing(tmp_path: Path, chromium: str) -> None:
    async with shown(tmp_path, chromium, replace(scrape(), readiness=NOT_READY)) as scene:
        tab = await scene.tab()
        await tab.command("Emulation.setScriptExecutionDisabled", value=True)
        await tab.navigate(scene.url)
        document = await tab.command("Accessibility.getFullAXTree")
        names = {node["name"].get("value") for node in document["nodes"] if "name" in node}
        assert "Not ready: upstream chat has no server that takes requests." in names
        assert any("needs JavaScript for its plots" in str(name) for name in names)
        assert "Asking the proxy" not in names


async def test_keyboard_reaches_everything_and_reads_the_plots(tmp_path: Path, chromium: str) -> None:
    async def press(key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await tab.command("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=CODES[key])

    async with shown(tmp_path, chromium, scrape()) as scene:
        tab = await scene.open()
        await press("Tab")
        assert await tab.evaluate("document.activeElement.className") == "skip"
        assert await tab.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        for _ in range(60):
            await press("Tab")
            if await tab.evaluate("document.activeElement.classList.contains('plot')"):
                break
        assert await tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        when = "document.activeElement.closest('figure').querySelector('.when').textContent"
        assert await tab.evaluate(when) == "now"
        await press("Home")
        first = await tab.evaluate(when)
        await press("ArrowRight")
        assert len({"now", first, await tab.evaluate(when)}) == 3
        await press("Tab")
        assert await tab.evaluate(when) == "now"


CODES = {"Tab": 9, "Home": 36, "ArrowRight": 39}


async def test_page_says_that_the_proxy_is_away_and_goes_on_when_it_is_back(tmp_path: Path, chromium: str) -> None:
    control = FakeControl(replace(scrape(), readiness=READY))
    settings = AdminSettings(tmp_path / "run" / "admin.sock", ())
    first, second = (AdminServer(control.parts, settings, host_of([])) for _ in range(2))
    await first.start()
    async with PageForwarder(settings.socket).serving(0) as url, private_window(chromium) as browser:
        tab = await browser.open_tab(url)
        await tab.wait_until("document.querySelector('.live.on')")
        await first.stop()
        await tab.wait_until("document.querySelector('.live.off')")
        assert "does not answer" in await tab.evaluate("document.getElementById('live-text').textContent")
        assert (await tab.evaluate("document.title")).startswith("No data"), "and not: ready"
        assert (await tab.evaluate("readiness.textContent")).startswith("No data since ")
        control.answer = replace(control.answer, readiness=NOT_READY)
        await second.start()
        await tab.wait_until("document.querySelector('.live.on') && document.title.startsWith('Not ready')")
    await second.stop()
    await asyncio.sleep(0)


async def test_page_that_is_refused_says_so_and_does_not_ask_again(tmp_path: Path, chromium: str) -> None:
    control = FakeControl(replace(scrape(), readiness=READY))
    settings = AdminSettings(tmp_path / "run" / "admin.sock", ())
    admin = AdminServer(control.parts, settings, host_of([]))
    await admin.start()
    async with private_window(chromium) as browser:
        async with PageForwarder(settings.socket).serving(0) as url:
            tab = await browser.open_tab(url)
            await tab.wait_until("document.querySelector('.live.on')")
        port = int(url.split(":")[2].partition("/")[0])
        async with PageForwarder(settings.socket).serving(port) as other:
            assert other != url, "the secret of another run"
            await tab.wait_until("!document.getElementById('again').hidden")
            assert (
                await tab.evaluate("document.getElementById('live-text').textContent")
                == "the page is not here any more"
            )
            assert (await tab.evaluate("document.title")).startswith("No data")
            asked = len([event for event in browser._events if event.method == "Network.requestWillBeSent"])
            await tab.evaluate("new Promise((yes) => setTimeout(yes, 4000))")
            assert asked == len([event for event in browser._events if event.method == "Network.requestWillBeSent"])
    await admin.stop()
