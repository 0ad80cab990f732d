"""Chromium driven through its DevTools protocol: as much of it as the tests use.

Commands and events share one WebSocket. Nothing runs in the background: while a command waits for its answer, the events
that come in between are kept for whoever asks for them later.
"""

import asyncio
import base64
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.programs import program

ANSWER_SECONDS = 20.0

# Quiet about the world outside: without these Chromium calls its maker's hosts at each start.
FLAGS = (
    "--headless",
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",  # a tab in the background has to continue as fast as the one in front
    "--remote-debugging-port=0",
)
_LISTENING = re.compile(r"DevTools listening on (ws://\S+)")


class DevToolsError(Exception):
    """The browser refused a command, or a script in the page threw."""

    def __init__(self, method: str, answer: object) -> None:
        super().__init__(method, answer)
        self.method = method
        self.answer = answer

    def __str__(self) -> str:
        return f"{self.method}: {self.answer}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a page (`session`), as the protocol names it."""

    session: str
    method: str
    params: dict[str, Any]


@dataclass(slots=True)
class Browser:
    """The connection to one browser, and the events that nobody has taken yet."""

    _connection: ClientConnection
    _profile: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _events: list[Event] = field(default_factory=list)

    async def command(self, method: str, session: str | None = None, **params: object) -> dict[str, Any]:
        """Send a command and wait for its result. Raises DevToolsError, TimeoutError."""
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        await self._connection.send(json.dumps(message))
        async with asyncio.timeout(ANSWER_SECONDS):
            while (answer := await self._receive()).get("id") != number:
                pass
        if "error" in answer:
            raise DevToolsError(method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._connection.recv())
        if "method" in message:
            self._events.append(Event(message.get("sessionId", ""), message["method"], message["params"]))
        return message

    async def event(self, session: str, method: str, **expected: object) -> Event:
        """The first event, of those kept or to come, with this method and these parameters. Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                for event in self._events:
                    if (event.session, event.method) == (session, method) and expected.items() <= event.params.items():
                        self._events.remove(event)
                        return event
                await self._receive()

    async def open_tab(self, url: str, *, width: int = 1000, height: int = 700) -> "Tab":
        """A new tab that has loaded `url`; its network events are recorded from the start."""
        target = await self.command(
            "Target.createTarget", url="about:blank", width=width, height=height, newWindow=True, **self._profile
        )
        attached = await self.command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        tab = Tab(self, attached["sessionId"])
        for domain in ("Page", "Network", "Runtime"):
            await tab.command(f"{domain}.enable")
        await tab.command("Emulation.setFocusEmulationEnabled", enabled=True)  # every tab takes keys, as if in front
        await tab.navigate(url)
        return tab


@dataclass(frozen=True, slots=True)
class Tab:
    """One page in the browser."""

    browser: Browser
    session: str

    async def command(self, method: str, **params: object) -> dict[str, Any]:
        """A command to this page; see Browser.command."""
        return await self.browser.command(method, self.session, **params)

    async def navigate(self, url: str) -> None:
        """Load `url` and wait until the page says that it is loaded. Raises DevToolsError with Chromium's net error."""
        answer = await self.command("Page.navigate", url=url)
        if "errorText" in answer:
            raise DevToolsError(f"navigate to {url}", answer["errorText"])
        await self.browser.event(self.session, "Page.loadEventFired")

    async def evaluate(self, script: str) -> Any:
        """The JSON value of an expression in the page; promises are awaited. Raises DevToolsError when it throws."""
        answer = await self.command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise DevToolsError(script, answer["exceptionDetails"])
        return answer["result"].get("value")

    async def wait_until(self, condition: str) -> None:
        """Wait until an expression in the page is true. Raises TimeoutError."""
        await self.evaluate(
            f"new Promise((yes) => {{ const look = () => ({condition}) ? yes() : setTimeout(look, 10); look(); }})"
        )

    async def wait_over_pages(self, condition: str) -> None:
        """The same while one page replaces another, which ends what waits in it. Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                # the question itself ends with the page that it was asked of
                with suppress(DevToolsError):
                    if await self.evaluate(condition):
                        return
                await asyncio.sleep(0.02)

    async def type(self, text: str, *, enter: bool = True) -> None:
        """Type into the focused element as a keyboard would, then press Enter."""
        # a page that has loaded need not have set the focus yet
        await self.wait_until("document.activeElement !== null && document.activeElement !== document.body")
        await self.command("Input.insertText", text=text)
        if enter:
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
            await self.command("Input.dispatchKeyEvent", type="keyDown", **key)
            await self.command("Input.dispatchKeyEvent", type="keyUp", **key)

    async def screenshot(self) -> bytes:
        """What the page shows, as PNG."""
        answer = await self.command("Page.captureScreenshot")
        return base64.b64decode(answer["data"])


def trust(home: Path, authority: Path) -> None:
    """Make every Chromium whose HOME is `home` trust a certificate authority (a PEM file), as an operator would."""
    trust_in(home / ".pki" / "nssdb", authority)


def trust_in(database: Path, authority: Path) -> None:
    """The same for a directory with a database of NSS, as a profile of Firefox has one."""
    database.mkdir(parents=True)
    for arguments in (
        ["-N", "--empty-password"],
        ["-A", "-t", "C,,", "-n", "authority of the test", "-i", str(authority)],
    ):
        subprocess.run(["certutil", "-d", f"sql:{database}", *arguments], check=True, timeout=20)


@asynccontextmanager
async def chromium(home: Path, *flags: str) -> AsyncIterator[Browser]:
    """A headless Chromium with `home` as its HOME, for the time of the block."""
    with running_chromium(home, *flags) as address:
        async with connect(address, max_size=None, proxy=None) as connection:
            yield Browser(connection)


@asynccontextmanager
async def private_window(address: str) -> AsyncIterator[Browser]:
    """A headless Chromium that runs, as one that has stored nothing; its tabs close with the block."""
    async with connect(address, max_size=None, proxy=None) as connection:
        made = await Browser(connection).command("Target.createBrowserContext", disposeOnDetach=True)
        yield Browser(connection, {"browserContextId": made["browserContextId"]})


@contextmanager
def running_chromium(home: Path, *flags: str) -> Iterator[str]:
    """A headless Chromium for the time of the block; answers where it takes commands. To start it costs 2 s of CPU."""

    def devtools_address(line: str) -> str | None:
        found = _LISTENING.search(line)
        return found and found[1]

    environment = {name: str(home) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    command = [os.environ.get("CHROMIUM", "chromium"), *FLAGS, *flags, f"--user-data-dir={home}/profile", "about:blank"]
    with program(command, devtools_address, environment) as running:
        yield running.ready
