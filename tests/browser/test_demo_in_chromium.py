"""The whole demo as an operator sees it: Debian's Chromium, Plexigate, and the chat behind it."""

from pathlib import Path

import pytest

from tests.browser.demo import CLOSING, Demo
from tests.browser.devtools import Browser, Tab, chromium
from tests.waiting import until_seen

pytestmark = pytest.mark.paced


async def enter(browser: Browser, demo: Demo, name: str) -> Tab:
    """Open the page in a new tab and choose a name."""
    tab = await browser.open_tab(demo.url)
    await tab.type(name)
    await tab.wait_until("connected() && badge.className")
    return tab


async def texts(tab: Tab) -> list[str]:
    """What the messages in a tab say."""
    found: list[str] = await tab.evaluate("[...document.querySelectorAll('.bubble')].map((each) => each.innerText)")
    return found


async def test_two_tabs_chat_over_a_post_quantum_connection(demo: Demo, tmp_path: Path) -> None:
    async with chromium(demo.home) as browser:
        ada, grace = await enter(browser, demo, "Ada"), await enter(browser, demo, "Grace")

        page = (await browser.event(ada.session, "Network.responseReceived", type="Document")).params["response"]
        assert page["status"] == 200
        assert page["protocol"] == "h2"
        assert page["securityDetails"]["protocol"] == "TLS 1.3"
        assert page["securityDetails"]["keyExchangeGroup"] == "X25519MLKEM768"

        await ada.type("Hello from the first tab")
        await grace.wait_until("document.querySelectorAll('.message').length === 1")
        await grace.type("<b>Hello</b> from the second")
        for tab in (ada, grace):
            await tab.wait_until("document.querySelectorAll('.message').length === 2")
        assert await texts(ada) == await texts(grace) == ["Hello from the first tab", "<b>Hello</b> from the second"]
        assert await ada.evaluate("badge.innerText.split(/\\s+/)") == ["X25519MLKEM768", "post-quantum"]
        assert await ada.evaluate("[...people.children].map((each) => each.innerText.split('\\n').pop())") == [
            "Ada (you)",
            "Grace",
        ]

        # the messages went over the route that takes encrypted bodies only
        assert await ada.evaluate("badge.dataset.sealed") == "true"
        await until_seen(lambda: len(demo.posted) == 2)
        assert [(one["method"], one["status"]) for one in demo.posted] == [("POST", 201)] * 2
        plain = "fetch('/messages', {method: 'POST', body: '{}'}).then((answer) => answer.json()).then((problem) => problem.type)"
        assert await ada.evaluate(plain) == "urn:plexigate:problem:payload-required"

        (tmp_path / "ada.png").write_bytes(await ada.screenshot())


async def test_page_requests_and_websocket_share_one_connection_of_http2(demo: Demo) -> None:
    """Chromium opens the WebSocket over the connection of the page by itself (RFC 8441)."""
    async with chromium(demo.home) as browser:
        ada = await enter(browser, demo, "Ada")
        handshake = await browser.event(ada.session, "Network.webSocketHandshakeResponseReceived")
        assert handshake.params["response"]["status"] == 200  # over HTTP/1.1 it is 101
        await ada.type("Hello")
        await ada.wait_until("document.querySelectorAll('.message').length === 1")
        posted = await browser.event(ada.session, "Network.responseReceived", type="Fetch")
        page = await browser.event(ada.session, "Network.responseReceived", type="Document")
        for one in (page, posted):
            assert one.params["response"]["protocol"] == "h2"
        numbers = {one.params["response"]["connectionId"] for one in (page, posted)}
        assert len(numbers) == 1
    await until_seen(lambda: demo.of("/socket"))
    (socket,) = demo.of("/socket")
    assert (socket["method"], socket["protocol"], socket["status"]) == ("GET", "h2", 101)


async def test_file_of_some_megabytes_reaches_the_other_tab_unharmed(demo: Demo) -> None:
    async with chromium(demo.home) as browser:
        ada, grace = await enter(browser, demo, "Ada"), await enter(browser, demo, "Grace")
        await ada.evaluate("sendFile(new File([new Uint8Array(5_000_000).fill(7)], 'sevens.bin'))")
        await grace.wait_until("document.querySelector('.file') !== null")
        assert await texts(grace) == ["sevens.bin\n5.0 MB"]
        received = "fetch(document.querySelector('.file').href).then((answer) => answer.arrayBuffer()).then((data) => new Uint8Array(data))"
        assert await grace.evaluate(f"{received}.then((data) => [data.length, data.every((byte) => byte === 7)])") == [
            5_000_000,
            True,
        ]


async def test_page_says_that_the_connection_is_lost_and_comes_back_by_itself(demo: Demo) -> None:
    async with chromium(demo.home) as browser:
        ada = await enter(browser, demo, "Ada")
        await ada.evaluate("socket.close()")
        await ada.wait_until("!notice.hidden && badge.innerText === 'not connected'")
        await ada.wait_until("notice.hidden && connected() && badge.className === 'hybrid'")


async def test_websockets_close_cleanly_from_either_side(demo: Demo) -> None:
    """Chromium sends END_STREAM with its close frame, and tells the page 1006 if the server's does not come."""
    async with chromium(demo.home) as browser:
        tab = await browser.open_tab(demo.url)
        closes = await tab.evaluate(f"(() => {{{CLOSING}}})()")
    assert closes == [[4001, "done", True], [4002, "as you said", True]]
    await until_seen(lambda: len(demo.of("/closing")) == 2)
    assert {(one["protocol"], one["close"], one["closed_by"]) for one in demo.of("/closing")} == {
        ("h2", 4001, "client"),
        ("h2", 4002, "server"),
    }
