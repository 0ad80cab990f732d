"""Firefox driven through WebDriver BiDi: as much of it as the tests use.

As in `devtools`, commands and events share one WebSocket, and events that come in between are kept.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.browser.devtools import trust_in
from tests.programs import program

ANSWER_SECONDS = 20.0
_LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")

# Quiet about the world outside.
_PREFERENCES: Mapping[str, object] = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.search.update": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.security.https_only_mode": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#",
    "toolkit.telemetry.enabled": False,
}


class BidiError(Exception):
    """The browser refused a command, or a script in the page threw."""

    def __init__(self, method: str, answer: object) -> None:
        super().__init__(method, answer)
        self.method = method
        self.answer = answer

    def __str__(self) -> str:
        return f"{self.method}: {self.answer}"


@dataclass(slots=True)
class Firefox:
    """The connection to one browser with one page, and the events that came."""

    _connection: ClientConnection
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    responses: list[dict[str, Any]] = field(default_factory=list)
    """`network.responseCompleted`, each with `request` and `response`."""
    context: str = ""

    async def command(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command and wait for its result. Raises BidiError, TimeoutError."""
        number = next(self._numbers)
        await self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(ANSWER_SECONDS):
            while (answer := await self._receive()).get("id") != number:
                pass
        if answer["type"] == "error":
            raise BidiError(method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._connection.recv())
        if message.get("method") == "network.responseCompleted":
            self.responses.append(message["params"])
        return message

    async def begin(self) -> None:
        """Begin a session; events of the network are recorded."""
        await self.command("session.new", capabilities={})
        await self.command("session.subscribe", events=["network.responseCompleted"])
        tree = await self.command("browsingContext.getTree")
        self.context = tree["contexts"][0]["context"]

    async def navigate(self, url: str) -> None:
        """Load `url` and wait until it is loaded. Raises BidiError with Firefox's own error."""
        await self.command("browsingContext.navigate", context=self.context, url=url, wait="complete")

    async def evaluate(self, script: str) -> Any:
        """The JSON value of an expression in the page; promises are awaited. Raises BidiError when it throws."""
        answer = await self.command(
            "script.evaluate",
            expression=f"Promise.resolve({script}).then(JSON.stringify)",
            target={"context": self.context},
            awaitPromise=True,
            userActivation=True,
        )
        if answer["type"] != "success":
            raise BidiError(script, answer)
        value = answer["result"].get("value")
        return None if value is None else json.loads(value)

    async def wait_until(self, condition: str) -> None:
        """Wait until an expression in the page is true. Raises TimeoutError."""
        look = f"() => ({condition}) ? yes(true) : setTimeout(look, 10)"
        await self.evaluate(f"new Promise((yes) => {{ const look = {look}; look(); }})")

    async def type(self, text: str) -> None:
        """Type into the focused element as a keyboard would, then press Enter."""
        # a page that has loaded need not have set the focus yet
        await self.wait_until("document.activeElement !== null && document.activeElement !== document.body")
        keys = [{"type": kind, "value": key} for key in [*text, "\ue007"] for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": keys}]
        await self.command("input.performActions", context=self.context, actions=actions)

    async def response_of(self, path: str) -> dict[str, Any]:
        """Wait for the response to the first request for a path. Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                for one in self.responses:
                    if one["request"]["url"].split("?")[0].endswith(path):
                        response: dict[str, Any] = one["response"]
                        return response
                await self._receive()


@asynccontextmanager
async def firefox(
    directory: Path, authority: Path, more_preferences: Mapping[str, object] = MappingProxyType({})
) -> AsyncIterator[Firefox]:
    """A headless Firefox whose profile is in `directory`, and which trusts `authority` (a PEM file)."""
    profile = directory / "firefox"
    trust_in(profile, authority)
    preferences = {**_PREFERENCES, **more_preferences}
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())
    (profile / "user.js").write_text("".join(lines))

    def bidi_address(line: str) -> str | None:
        found = _LISTENING.search(line)
        return found and found[1]

    command = ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port=0"]
    with program([*command, "about:blank"], bidi_address, {"HOME": str(directory)}) as running:
        async with connect(f"{running.ready}/session", max_size=None, proxy=None) as connection:
            browser = Firefox(connection)
            await browser.begin()
            yield browser
