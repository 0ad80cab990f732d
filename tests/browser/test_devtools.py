"""The browser harness itself, against a server whose behaviour is known: aiohttp on Python's own TLS."""

import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.browser.devtools import DevToolsError, chromium, trust

pytestmark = pytest.mark.paced

CERTIFICATES = Path(__file__).parents[2] / "docker" / "demo" / "certificates.sh"


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A directory with ca.pem, server.pem and server.key for localhost."""
    subprocess.run(["sh", CERTIFICATES, tmp_path / "certificates"], check=True, timeout=30)
    return tmp_path / "certificates"


@asynccontextmanager
async def page_over_tls(certificates: Path) -> AsyncIterator[str]:
    """A page on https://localhost; answers its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="<title>page</title><input autofocus>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        yield f"https://localhost:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_browser_refuses_an_authority_that_it_was_not_told_to_trust(certificates: Path, tmp_path: Path) -> None:
    async with page_over_tls(certificates) as url, chromium(tmp_path / "home") as browser:
        with pytest.raises(DevToolsError, match="ERR_CERT_AUTHORITY_INVALID"):
            await browser.open_tab(url)


async def test_browser_loads_a_page_from_a_trusted_authority_and_tells_its_security(
    certificates: Path, tmp_path: Path
) -> None:
    trust(tmp_path / "home", certificates / "ca.pem")
    async with page_over_tls(certificates) as url, chromium(tmp_path / "home") as browser:
        tab = await browser.open_tab(url)
        assert await tab.evaluate("document.title") == "page"
        response = (await browser.event(tab.session, "Network.responseReceived", type="Document")).params["response"]
        assert response["securityState"] == "secure"
        assert response["securityDetails"]["protocol"] == "TLS 1.3"
        assert response["securityDetails"]["keyExchangeGroup"] == "X25519MLKEM768"


async def test_tabs_are_typed_into_and_photographed_one_by_one(certificates: Path, tmp_path: Path) -> None:
    trust(tmp_path / "home", certificates / "ca.pem")
    async with page_over_tls(certificates) as url, chromium(tmp_path / "home") as browser:
        first, second = await browser.open_tab(url), await browser.open_tab(url)
        for tab in (first, second):
            await tab.wait_until(
                "document.activeElement === document.querySelector('input')"
            )  # autofocus comes after load
        await first.type("one", enter=False)
        await second.type("two", enter=False)
        assert [await tab.evaluate("document.querySelector('input').value") for tab in (first, second)] == [
            "one",
            "two",
        ]
        assert (await first.screenshot()).startswith(b"\x89PNG")


async def test_script_that_throws_is_an_error(tmp_path: Path) -> None:
    async with chromium(tmp_path / "home") as browser:
        tab = await browser.open_tab("about:blank")
        with pytest.raises(DevToolsError, match="no such thing"):
            await tab.evaluate("(() => { throw Error('no such thing') })()")
