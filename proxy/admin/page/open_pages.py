"""Sends what changes to the pages that are open, as Server-Sent Events.

Theory of operation. While a page is open, this looks at the proxy every two seconds, once for all
pages. Each page gets the sections that have changed since it last got them. When the history
has a new sample, the page gets that too, with its time as the id of the event: a browser that comes
again names the last id that it saw, and gets the samples that it missed. Without a page nothing
runs.

There is room for a few pages. One more ends the oldest, which comes again later. Each page is ended
after some minutes and comes again at once: so a connection that died without a word, or a user who
may not look any more, keeps no place.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from proxy.api.overview import Overview
from proxy.observe.history.history import History

MOST_PAGES: Final = 8
# Changes are seen soon, and a look costs milliseconds.
_LOOK_SECONDS: Final = 2.0
# A page that comes again after its time, or after an error of the network.
_AGAIN_MS: Final = 1_000
# One that made room: the others stay in place meanwhile.
_CROWDED_MS: Final = 30_000
_LONGEST_SECONDS: Final = 600.0

Look = Callable[[], Awaitable[Overview]]


class _Watcher:
    """One page: what it has been sent, and what it has to be sent."""

    def __init__(self, seen_at: float) -> None:
        self.seen_at = seen_at
        self.known: dict[str, str] = {}
        self.waiting: asyncio.Queue[str | None] = asyncio.Queue(maxsize=4)
        self.farewell = _event({}, "later", again_ms=_AGAIN_MS)

    def put(self, text: str | None) -> bool:
        """Hand over a text, or None for the end. False if the page does not keep up."""
        if self.waiting.full():
            return False
        self.waiting.put_nowait(text)
        return True

    def end(self, farewell: str) -> None:
        """Let the stream end with this event. What waits is dropped."""
        self.farewell = farewell
        while not self.put(None):
            self.waiting.get_nowait()


class OpenPages:
    def __init__(
        self,
        look: Look,
        history: History,
        report: Callable[[BaseException], None],
        every: float = _LOOK_SECONDS,
        longest: float = _LONGEST_SECONDS,
    ) -> None:
        """`look` makes an overview, `every`: seconds between two. `report` gets internal errors.

        A page has to come again after `longest` seconds.
        """
        self._every = every
        self._longest = longest
        self._look = look
        self._history = history
        self._report = report
        self._watchers: dict[_Watcher, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._sections: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._watchers)

    async def events(self, seen_at: float) -> AsyncGenerator[str, None]:
        """The events for one page, until it has to come again.

        It has seen the samples until `seen_at`, in UNIX seconds. A page that does not read falls
        behind, and has to come again.
        """
        if len(self._watchers) >= MOST_PAGES:
            self._drop(next(iter(self._watchers)), _event({}, "crowded", again_ms=_CROWDED_MS))
        watcher = _Watcher(seen_at)
        self._watchers[watcher] = None
        if self._task is None:
            self._sections = {}
            self._task = asyncio.get_running_loop().create_task(self._run())
        elif self._sections:
            self._serve(watcher)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._longest
        try:
            while (text := await _next(watcher, ends_at - loop.time())) is not None:
                yield text
        finally:
            self._drop(watcher, watcher.farewell)
        yield watcher.farewell

    async def close(self) -> None:
        """End all pages: the server stops."""
        for watcher in list(self._watchers):
            self._drop(watcher, _event({}, "later", again_ms=_AGAIN_MS))

    def _drop(self, watcher: _Watcher, farewell: str) -> None:
        if watcher in self._watchers:
            del self._watchers[watcher]
            watcher.end(farewell)
        if not self._watchers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                found = await self._look()
                self._sections = {name: json.dumps(section) for name, section in found.items()}
                for watcher in list(self._watchers):
                    self._serve(watcher)
            except Exception as error:  # noqa: BLE001 - it is reported, and the pages wait for the next look
                self._report(error)
            await asyncio.sleep(self._every)

    def _serve(self, watcher: _Watcher) -> None:
        changed = {name: text for name, text in self._sections.items() if watcher.known.get(name) != text}
        watcher.known |= changed
        texts = [
            f"event: now\ndata: {{{','.join(f'{json.dumps(name)}:{text}' for name, text in changed.items())}}}\n\n"
        ]
        texts += self._samples(watcher)
        if not watcher.put("".join(texts)):
            self._drop(watcher, _event({}, "later", again_ms=_AGAIN_MS))

    def _samples(self, watcher: _Watcher) -> Iterator[str]:
        latest = self._history.latest_at
        if latest > watcher.seen_at:
            found = self._history.fine.since(watcher.seen_at)
            watcher.seen_at = latest
            if found["at"]:
                yield _event(found, "samples", number=f"{latest:.3f}")


async def _next(watcher: _Watcher, seconds: float) -> str | None:
    """What to send next. None at the end, or if the time is over."""
    try:
        async with asyncio.timeout(seconds):
            return await watcher.waiting.get()
    except TimeoutError:
        return None


def _event(data: Mapping[str, Any], kind: str, *, number: str = "", again_ms: int | None = None) -> str:
    """One event (HTML, section 9.2.5)."""
    lines = [f"event: {kind}", f"data: {json.dumps(data)}"]
    lines += [f"id: {number}"] if number else []
    lines += [] if again_ms is None else [f"retry: {again_ms}"]
    return "\n".join(lines) + "\n\n"
