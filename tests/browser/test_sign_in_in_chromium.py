"""The form for a token of the admin page, in a browser."""

import os
import secrets
import signal
from pathlib import Path

import pytest

from tests.browser.devtools import chromium, trust
from tests.certificates import Authority
from tests.configurations import identity, listener
from tests.integration.stage import serving

pytestmark = pytest.mark.paced


async def test_token_is_typed_once_and_the_page_is_live(tmp_path: Path) -> None:
    authority, token = Authority(tmp_path), secrets.token_hex(32)
    file = tmp_path / "page.tokens"
    file.touch(0o600)
    file.write_text(token)
    configuration = tmp_path / "site.toml"
    configuration.write_text(
        f'workers = 2\n[admin]\nsocket = "{tmp_path}/site.sock"\npage_socket = "{tmp_path}/page.sock"\n'
        f"{listener('public')}{identity('local', ('localhost',), authority.issue('localhost'))}"
        '[[route]]\nhost = "localhost"\nadmin_page = { tokens = "page.tokens" }\n'
    )
    trust(tmp_path / "home", authority.path)
    with serving(configuration, authority) as site:
        async with chromium(tmp_path / "home") as browser:
            tab = await browser.open_tab(site.url())
            await tab.type("not the token of this page")
            await browser.event(tab.session, "Page.loadEventFired")
            assert await tab.evaluate("document.querySelector('[role=alert]').innerText") == "This token is wrong."
            await tab.type(token)
            await browser.event(tab.session, "Page.loadEventFired")
            assert await tab.evaluate("location.pathname") == "/"
            assert await tab.evaluate("document.querySelector('#token') === null")
            assert token not in await tab.evaluate("location.href + document.cookie")
            assert await tab.evaluate("document.cookie") == ""  # no script sees it
            again = await browser.open_tab(site.url())
            assert await again.evaluate("document.querySelector('#token') === null")
            live = "new Promise(done => new EventSource('/events').addEventListener('now', () => done(true)))"
            assert await again.evaluate(live)

            # the session is over when the stream ends: the page says so, and has a way to the form
            await again.wait_until("document.querySelector('.live.on')")
            await again.command("Network.clearBrowserCookies")
            for pid in site.worker_pids:
                os.kill(pid, signal.SIGKILL)
            await again.wait_until("!document.getElementById('again').hidden")
            assert await again.evaluate("document.getElementById('live-text').textContent") == "you are signed out"
            await again.evaluate("document.getElementById('again').click()")
            await again.wait_over_pages("document.querySelector('#token') !== null")
