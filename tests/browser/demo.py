"""The demo chat behind Plexigate, with the key of its certificate in a token, for a browser to load."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import prepared
from tests.configurations import process
from tests.integration.upstreams import in_thread, websocket_server
from tests.programs import PLEXIGATE, chat_address, plexigate, program

DEMO = Path(__file__).parents[2] / "docker" / "demo"

CONFIGURATION = """
[listener.public]
bind = "127.0.0.1:0"
http3 = {http3}

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

[upstream.closing]
servers = ["http://{closing}"]

[[route]]
host = "localhost"
upstream = "chat"

[[route]]
host = "localhost"
path = "/closing"
upstream = "closing"

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


CLOSING = """
const opened = () => new WebSocket(location.origin.replace("https", "wss") + "/closing");
const closed = (one) => new Promise((yes) => { one.onclose = (event) => yes([event.code, event.reason, event.wasClean]); });
const ours = opened(), theirs = opened();
ours.onopen = () => ours.close(4001, "done");
theirs.onopen = () => theirs.send("4002");
return Promise.all([closed(ours), closed(theirs)]);
"""
"""WebSockets that the page closes, and that the server does: how the page sees each end."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The running demo: its URL, and a HOME whose Chromium trusts it."""

    url: str
    home: Path
    ca: Path
    log: list[str]
    """What the proxy has written."""

    @property
    def posted(self) -> list[dict[str, Any]]:
        """The requests over the route that takes encrypted bodies."""
        return self.of("/messages")

    def of(self, path: str) -> list[dict[str, Any]]:
        """The lines of the access log about a path."""
        return [json.loads(line) for line in self.log if f'"{path}"' in line]


@dataclass(frozen=True, slots=True)
class Site:
    """A directory with a token and a certificate for the key in it, and who trusts that."""

    directory: Path
    home: Path

    @property
    def ca(self) -> Path:
        """Whom a browser has to trust."""
        return self.directory / "certificates" / "ca.pem"

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes SoftHSM find the token."""
        return {"SOFTHSM2_CONF": str(self.directory / "hsm" / "softhsm2.conf")}

    def plexigate(self, *words: str | Path) -> str:
        """What a command of the set-up prints."""
        done = prepared.run([PLEXIGATE, *map(str, words)], self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, chat: str, closing: str = "127.0.0.1:1", *, http3: bool = False) -> Path:
        """Write the configuration; both are addresses of servers."""
        path = self.directory / "demo.toml"
        filled = CONFIGURATION.format(chat=chat, closing=closing, http3=str(http3).lower())
        path.write_text(process(path.with_suffix(".sock"), workers=2) + filled)
        return path


def make_site(directory: Path) -> Site:
    """The same steps as in `./dev run`."""
    site = Site(directory, directory / "home")
    site.plexigate("hsm", "init-dev", directory / "hsm", "--identity", "demo")
    of_request = ("demo.ecdsa-p256.v1", "--name", "localhost", "--config", site.write("127.0.0.1:1"))
    (directory / "server.csr").write_text(site.plexigate("hsm", "request", *of_request))
    made = ("sh", DEMO / "certificates.sh", directory / "certificates", directory / "server.csr")
    subprocess.run(made, check=True, timeout=30, capture_output=True)
    return site


@contextmanager
def running_demo(site: Site, *, http3: bool = False) -> Iterator[Demo]:
    """Chat, a server of WebSockets, and the proxy on ports of their own."""
    identity = site.directory / "identity.json"
    command = [sys.executable, str(DEMO / "chat.py"), "--bind", "127.0.0.1:0", "--payload-identity", str(identity)]
    with in_thread(websocket_server) as closing, program(command, chat_address) as chat:
        configuration = site.write(chat.ready, f"127.0.0.1:{closing}", http3=http3)
        with plexigate(configuration, site.environment) as proxy:
            port = proxy.ready["public"][0].rpartition(":")[2]
            site.plexigate("payload", "identity", "--config", configuration, "--output", identity)
            yield Demo(f"https://localhost:{port}/", site.home, site.ca, proxy.output)
