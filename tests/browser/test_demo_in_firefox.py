"""The demo in Debian's Firefox, which has an implementation of TLS, HTTP/2 and WebSockets of its own."""

from pathlib import Path

import pytest

from tests.browser.bidi import firefox
from tests.browser.demo import CLOSING, Demo
from tests.waiting import until_seen

pytestmark = pytest.mark.paced


async def test_page_requests_and_websocket_go_over_http2(demo: Demo, tmp_path: Path) -> None:
    async with firefox(tmp_path, demo.ca) as browser:
        await browser.navigate(demo.url)
        await browser.type("Ada")
        await browser.wait_until("connected() && badge.className")
        await browser.type("Hello")
        await browser.wait_until("document.querySelectorAll('.message').length === 1")
        assert await browser.evaluate("badge.innerText.split(/\\s+/)") == ["X25519MLKEM768", "post-quantum"]
        # the message went over the route that takes encrypted bodies only
        assert await browser.evaluate("badge.dataset.sealed") == "true"
        for path, status in (("/", 200), ("/messages", 201)):
            response = await browser.response_of(path)
            assert (response["status"], response["protocol"]) == (status, "h2")
    await until_seen(lambda: demo.of("/socket"))
    (socket,) = demo.of("/socket")
    assert (socket["method"], socket["protocol"], socket["status"]) == ("GET", "h2", 101)


async def test_websockets_close_cleanly_from_either_side(demo: Demo, tmp_path: Path) -> None:
    async with firefox(tmp_path, demo.ca) as browser:
        await browser.navigate(demo.url)
        closes = await browser.evaluate(f"(() => {{{CLOSING}}})()")
    assert closes == [[4001, "done", True], [4002, "as you said", True]]
    await until_seen(lambda: len(demo.of("/closing")) == 2)
    assert {(one["protocol"], one["close"], one["closed_by"]) for one in demo.of("/closing")} == {
        ("h2", 4001, "client"),
        ("h2", 4002, "server"),
    }
