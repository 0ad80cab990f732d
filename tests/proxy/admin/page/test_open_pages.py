"""What goes out to the pages that are open."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from proxy.admin.page.open_pages import MOST_PAGES, OpenPages
from proxy.observe.history.history import History
from tests.fakes_admin import NOW, fed, scrape, worker
from tests.waiting import until_seen

Stream = AsyncGenerator[str, None]


class Proxy:
    """What is looked at."""

    def __init__(self) -> None:
        self.sections: Any = {"proxy": {"now": 0}, "alerts": []}
        self.looks = 0
        self.error: Exception | None = None
        self.history = History()
        self.errors: list[BaseException] = []

    async def look(self) -> Any:
        self.looks += 1
        if self.error is not None:
            raise self.error
        self.sections["proxy"] = {"now": self.looks}
        return dict(self.sections)

    def sample(self, seconds: float) -> None:
        """Let the history have one more."""
        self.history.note(replace(scrape(worker(0, fed())), now=NOW + seconds))


class Page:
    """A browser that reads."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.text = ""

    async def next(self, kind: str) -> Any:
        """The data of the next event of this kind."""
        async with asyncio.timeout(10):
            while True:
                while "\n\n" in self.text:
                    event, _, self.text = self.text.partition("\n\n")
                    fields = dict(line.split(": ", 1) for line in event.splitlines())
                    if fields.get("event") == kind:
                        return fields | {"data": json.loads(fields["data"])}
                self.text += await anext(self.stream)


@asynccontextmanager
async def watching(
    every: float = 0.01, longest: float = 60.0
) -> AsyncIterator[tuple[Proxy, OpenPages, Callable[..., Page]]]:
    proxy, pages = Proxy(), list[Page]()
    watching = OpenPages(proxy.look, proxy.history, proxy.errors.append, every, longest)

    def page(seen_at: float = 0.0) -> Page:
        pages.append(Page(watching.events(seen_at)))
        return pages[-1]

    yield proxy, watching, page
    await watching.close()
    for one in pages:
        await one.stream.aclose()
    assert len(watching) == 0
    before = proxy.looks
    await asyncio.sleep(0)
    assert proxy.looks == before


async def test_nothing_is_looked_at_without_a_page() -> None:
    async with watching() as (proxy, _, page):
        assert proxy.looks == 0
        one = page()
        await one.next("now")
        await one.stream.aclose()
        seen = proxy.looks
        for _ in range(20):
            await asyncio.sleep(0)
        assert proxy.looks == seen


async def test_page_gets_everything_and_then_what_changes() -> None:
    async with watching() as (proxy, _, page):
        one = page()
        assert (await one.next("now"))["data"] == {"proxy": {"now": 1}, "alerts": []}
        assert list((await one.next("now"))["data"]) == ["proxy"]
        proxy.sections["alerts"] = ["a fire"]
        await until_seen_in(one, "alerts", ["a fire"])


async def until_seen_in(page: Page, section: str, value: Any) -> None:
    while (await page.next("now"))["data"].get(section) != value:
        pass


async def test_second_page_gets_everything_too_without_a_look_of_its_own() -> None:
    async with watching(every=60.0) as (proxy, _, page):
        await page().next("now")
        assert (await page().next("now"))["data"] == {"proxy": {"now": 1}, "alerts": []}
        assert proxy.looks == 1


async def test_samples_follow_with_their_time_as_the_id() -> None:
    async with watching() as (proxy, _, page):
        proxy.sample(0.0)
        proxy.sample(10.0)
        one = page(seen_at=NOW)
        event = await one.next("samples")
        assert event["id"] == f"{NOW + 10:.3f}"
        assert event["data"]["at"] == [NOW + 10]
        proxy.sample(20.0)
        assert (await one.next("samples"))["data"]["at"] == [NOW + 20]


async def test_page_that_comes_again_gets_what_it_missed() -> None:
    async with watching() as (proxy, _, page):
        for number in range(5):
            proxy.sample(10.0 * number)
        assert (await page(seen_at=NOW + 20).next("samples"))["data"]["at"] == [NOW + 30, NOW + 40]


async def test_one_page_too_many_ends_the_oldest_which_comes_later() -> None:
    async with watching() as (_, room, page):
        pages = [page() for _ in range(MOST_PAGES)]
        for one in pages:
            await one.next("now")
        newest = page()
        await newest.next("now")
        assert (await pages[0].next("crowded"))["retry"] == "30000"
        with pytest.raises(StopAsyncIteration):
            await anext(pages[0].stream)
        assert len(room) == MOST_PAGES
        await pages[1].next("now")


async def test_page_comes_again_after_its_time() -> None:
    async with watching(longest=0.05) as (_, room, page):
        one = page()
        assert (await one.next("later"))["retry"] == "1000"
        assert len(room) == 0


async def test_page_that_does_not_read_comes_again() -> None:
    async with watching(every=0.001) as (_, room, page):
        slow, quick = page(), page()
        await slow.next("now")
        await quick.next("now")
        async with asyncio.timeout(10):
            while len(room) == 2:
                await quick.next("now")
        await slow.next("later")
        await quick.next("now")


async def test_fault_of_a_look_is_reported_and_the_page_stays() -> None:
    async with watching() as (proxy, _, page):
        proxy.error = ZeroDivisionError()
        one = asyncio.ensure_future(page().next("now"))  # noqa: TID251 - it waits beside the test
        await until_seen(lambda: len(proxy.errors) > 1)
        proxy.error = None
        assert (await one)["data"]["alerts"] == []


async def test_close_ends_all_pages() -> None:
    async with watching() as (_, room, page):
        pages = [page(), page()]
        for one in pages:
            await one.next("now")
        await room.close()
        for one in pages:
            await one.next("later")
