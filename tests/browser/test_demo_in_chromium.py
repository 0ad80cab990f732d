"""The whole demo as a person sees it: Debian's Chromium, Plexigate, and the chat behind it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser.devtools import Browser, Tab, chromium, trust
from tests.configurations import process
from tests.programs import chat_address, plexigate_listeners, program
from tests.waiting import until_seen

pytestmark = pytest.mark.paced

PLEXIGATE = str(Path(sys.executable).with_name("plexigate"))
DEMO = Path(__file__).parents[2] / "docker" / "demo"

CONFIGURATION = """
[listener.public]
bind = "127.0.0.1:0"

[identity.demo]
names = ["localhost"]
certificate = "certificates/server.pem"
key = "pkcs11:token=plexi;object=demo.ecdsa-p256.v1"

[hsm]
module = "/usr/lib/softhsm/libsofthsm2.so"

[hsm.token.plexi]
pin_file = "hsm/plexi.pin"

[upstream.chat]
servers = ["http://{chat}"]

[[route]]
host = "localhost"
upstream = "chat"

[payload]
directory = "payload"

[payload.sessions]

[[route]]
host = "localhost"
path = "/messages"
upstream = "chat"
payload = "require"
payload_sessions = true
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """The running demo: its URL, and a HOME whose Chromium trusts it."""

    url: str
    home: Path
    log: list[str]
    """What the proxy has written."""

    @property
    def posted(self) -> list[dict[str, Any]]:
        """The requests over the route that takes encrypted bodies."""
        return [json.loads(line) for line in self.log if '"/messages"' in line]


@dataclass(frozen=True, slots=True)
class Site:
    """A directory with a token and a certificate for the key in it, and who trusts that."""

    directory: Path
    home: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes SoftHSM find the token."""
        return {"SOFTHSM2_CONF": str(self.directory / "hsm" / "softhsm2.conf")}

    def run(self, *command: str | Path) -> bytes:
        """Run a program of the set-up."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, check=True, timeout=30, env=environment, capture_output=True).stdout

    def write(self, chat: str) -> Path:
        """Write the configuration."""
        path = self.directory / "demo.toml"
        path.write_text(process(path.with_suffix(".sock"), workers=2) + CONFIGURATION.format(chat=chat))
        return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The same steps as in `./dev run`."""
    directory = tmp_path_factory.mktemp("demo")
    site = Site(directory, directory / "home")
    site.run(PLEXIGATE, "hsm", "init-dev", directory / "hsm", "--identity", "demo")
    of_request = ("demo.ecdsa-p256.v1", "--name", "localhost", "--config", site.write("127.0.0.1:1"))
    (directory / "server.csr").write_bytes(site.run(PLEXIGATE, "hsm", "request", *of_request))
    site.run("sh", DEMO / "certificates.sh", directory / "certificates", directory / "server.csr")
    trust(site.home, directory / "certificates" / "ca.pem")
    return site


@pytest.fixture
def demo(site: Site) -> Iterator[Demo]:
    """Chat and proxy on ports of their own, ended after the test."""
    identity = site.directory / "identity.json"
    command = [sys.executable, str(DEMO / "chat.py"), "--bind", "127.0.0.1:0", "--payload-identity", str(identity)]
    with program(command, chat_address) as chat:
        configuration = site.write(chat.ready)
        with program([PLEXIGATE, "run", str(configuration)], plexigate_listeners, site.environment) as proxy:
            port = proxy.ready["public"][0].rpartition(":")[2]
            site.run(PLEXIGATE, "payload", "identity", "--config", configuration, "--output", identity)
            yield Demo(f"https://localhost:{port}/", site.home, proxy.output)


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
        assert page["protocol"] == "http/1.1"
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
