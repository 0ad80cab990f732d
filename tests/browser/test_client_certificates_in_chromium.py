"""A browser whose profile has a client certificate, and one whose profile has none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.browser.devtools import DevToolsError, chromium, trust
from tests.certificates import Authority
from tests.client_authorities import ClientAuthority, ClientFiles
from tests.integration.clients_scene import byte_sequence, install_in, table
from tests.integration.stage import Site, Upstream, site
from tests.integration.test_http_clients import describe
from tests.integration.upstreams import aiohttp_server, in_thread

pytestmark = pytest.mark.paced

BOTS = ClientAuthority("Bots")


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Site]:
    authority = Authority(tmp_path)
    (tmp_path / "bots.pem").write_bytes(BOTS.pem)
    with in_thread(lambda: aiohttp_server(web.route("*", "/{any:.*}", describe))) as port:
        upstreams = {"application": Upstream((f"http://127.0.0.1:{port}",), path="/")}
        with site(
            tmp_path, authority, authority.issue("localhost"), upstreams, table("local", ca="bots.pem")
        ) as running:
            yield running


def install(home: Path, client: ClientFiles, origin: str) -> None:
    """Put a certificate where Chromium looks for one, and let it choose without asking a person."""
    install_in(f"sql:{home / '.pki' / 'nssdb'}", home, client)
    # what the policy AutoSelectCertificateForUrls sets for a machine, of this profile alone
    chosen: dict[str, Any] = {f"{origin},*": {"setting": {"filters": [{}]}}}
    preferences = home / "profile" / "Default" / "Preferences"
    preferences.parent.mkdir(parents=True)
    preferences.write_text(
        json.dumps({"profile": {"content_settings": {"exceptions": {"auto_select_certificate": chosen}}}})
    )


async def test_page_loads_with_a_certificate_and_not_without(proxy: Site, tmp_path: Path) -> None:
    origin, client = f"https://localhost:{proxy.port()}", BOTS.issue(tmp_path, "alice")
    for home in (tmp_path / "alice", tmp_path / "nobody"):
        trust(home, proxy.ca)
    install(tmp_path / "alice", client, origin)
    async with chromium(tmp_path / "alice") as browser:
        for _ in range(2):  # the second resumes
            tab = await browser.open_tab(f"{origin}/alice")
            fields = {
                name.lower(): value
                for name, value in (await tab.evaluate("JSON.parse(document.body.innerText)"))["headers"]
            }
            assert fields["client-cert"] == byte_sequence(client.der)
    assert proxy.records("/alice", 2)[0]["subject"] == "CN=alice"
    async with chromium(tmp_path / "nobody") as browser:
        # the refusal comes behind the handshake (TLS 1.3), so the page's request may meet a closed socket first
        with pytest.raises(DevToolsError, match=r"SSL_CLIENT_AUTH_CERT|SOCKET_NOT_CONNECTED"):
            await browser.open_tab(f"{origin}/nobody")
