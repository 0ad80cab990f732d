"""The demo over HTTP/3, with the key of the certificate in a token: Chromium and Firefox have an implementation of QUIC each."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.quic.availability import unavailable
from tests.browser.bidi import firefox
from tests.browser.demo import CLOSING, Demo, Site, running_demo
from tests.browser.devtools import Browser, private_window, running_chromium
from tests.waiting import until_seen

pytestmark = [
    pytest.mark.paced,
    pytest.mark.skipif(unavailable() is not None, reason=str(unavailable())),
]

# Chromium believes a private CA over QUIC only for an origin that it is told, and tries ::1 first. Its WebSockets take
# HTTP/3 with this feature alone: without it they go by HTTP/2, or by HTTP/1.1 if there is no connection of HTTP/2.
FLAGS = ("--host-resolver-rules=MAP localhost 127.0.0.1", "--enable-features=EnableWebsocketsOverHttp3")

OFFER_IS_TAKEN = """
(async () => {
    for (;;) {
        const url = new URL("/payload.js?" + Math.random(), location.href).href;
        await (await fetch(url, {cache: "no-store"})).text();
        if (performance.getEntriesByName(url).pop()?.nextHopProtocol === "h3") return true;
        await new Promise((yes) => setTimeout(yes, 20));
    }
})()
"""
"""Asks again until the browser has gone over to what `Alt-Svc` offers."""


def shown(text: str) -> str:
    """Whether the page shows a message, as an expression."""
    return f"[...document.querySelectorAll('.bubble')].some((each) => each.innerText === {json.dumps(text)})"


@pytest.fixture(scope="module")
def http3_demo(site: Site) -> Iterator[Demo]:
    """One for all tests here."""
    with running_demo(site, http3=True) as demo:
        yield demo


@pytest.fixture(scope="module")
def chromium(http3_demo: Demo) -> Iterator[str]:
    """Where one takes commands that goes to the demo over HTTP/3 from the first request on."""
    origin = http3_demo.url.removeprefix("https://").rstrip("/")
    with running_chromium(http3_demo.home, *FLAGS, f"--origin-to-force-quic-on={origin}") as address:
        yield address


async def protocol_of(browser: Browser, session: str, kind: str) -> tuple[str, str]:
    """The protocol of a response in a tab, and the group of its connection."""
    response = (await browser.event(session, "Network.responseReceived", type=kind)).params["response"]
    return response["protocol"], response["securityDetails"]["keyExchangeGroup"]


async def test_two_tabs_of_chromium_chat_with_page_messages_and_websocket_over_http3(
    chromium: str, http3_demo: Demo
) -> None:
    async with private_window(chromium) as browser:
        ada, grace = await browser.open_tab(http3_demo.url), await browser.open_tab(http3_demo.url)
        for tab, name in ((ada, "Ada"), (grace, "Grace")):
            assert await protocol_of(browser, tab.session, "Document") == ("h3", "X25519MLKEM768")
            await tab.type(name)
            await tab.wait_until("connected() && badge.className")
            handshake = await browser.event(tab.session, "Network.webSocketHandshakeResponseReceived")
            assert handshake.params["response"]["status"] == 200  # over HTTP/1.1 it is 101
        await ada.type("Hello from the first tab")
        await grace.wait_until(shown("Hello from the first tab"))
        await grace.type("and from the second")
        await ada.wait_until(shown("and from the second"))
        assert await ada.evaluate("badge.innerText.split(/\\s+/)") == ["X25519MLKEM768", "post-quantum"]
        # the messages went over the route that takes encrypted bodies only
        assert await ada.evaluate("badge.dataset.sealed") == "true"
        assert await protocol_of(browser, ada.session, "Fetch") == ("h3", "X25519MLKEM768")
    # Firefox has its WebSockets over HTTP/2
    await until_seen(
        lambda: [one["status"] for one in http3_demo.of("/socket") if one["protocol"] == "h3"] == [101, 101]
    )


async def test_websockets_of_chromium_close_cleanly_from_either_side(chromium: str, http3_demo: Demo) -> None:
    async with private_window(chromium) as browser:
        tab = await browser.open_tab(http3_demo.url)
        closes = await tab.evaluate(f"(() => {{{CLOSING}}})()")
    assert closes == [[4001, "done", True], [4002, "as you said", True]]
    await until_seen(lambda: len(http3_demo.of("/closing")) == 2)
    assert {(one["protocol"], one["close"], one["closed_by"]) for one in http3_demo.of("/closing")} == {
        ("h3", 4001, "client"),
        ("h3", 4002, "server"),
    }


async def test_firefox_goes_over_to_http3_when_it_is_offered(http3_demo: Demo, tmp_path: Path) -> None:
    await until_seen(lambda: any('"http3_offered"' in line for line in http3_demo.log))
    # else it leaves HTTP/3 alone for as long as the operating system or its user trusts a CA of their own
    believes = {"network.http.http3.disable_when_third_party_roots_found": False}
    async with firefox(tmp_path, http3_demo.ca, believes) as browser:
        await browser.navigate(http3_demo.url)
        assert (await browser.response_of("/"))["protocol"] == "h2"
        assert await browser.evaluate(OFFER_IS_TAKEN)
        browser.responses.clear()
        await browser.navigate(http3_demo.url)
        await browser.type("Linus")
        await browser.wait_until("connected() && badge.className")
        await browser.type("Hello")
        await browser.wait_until(shown("Hello"))
        assert await browser.evaluate("badge.innerText.split(/\\s+/)") == ["X25519MLKEM768", "post-quantum"]
        for path, status in (("/", 200), ("/messages", 201)):
            response = await browser.response_of(path)
            assert (response["status"], response["protocol"]) == (status, "h3")
