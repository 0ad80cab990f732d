"""Clients that prove who they are: real programs before the running proxy, and what its server is told."""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.certificates import Authority
from tests.client_authorities import ClientAuthority, ClientFiles
from tests.configurations import identity, listener, process
from tests.integration.stage import Site, body_of, serving
from tests.integration.test_http_clients import describe
from tests.integration.upstreams import aiohttp_server, in_thread

if TYPE_CHECKING:
    import subprocess

BOTS, ADMINS, OPEN, PLAIN = "bots.test", "admin.test", "open.test", "plain.test"


@dataclass(frozen=True)
class Clients:
    """Who asks, and for what."""

    directory: Path
    bots: ClientAuthority
    bots_below: ClientAuthority
    admins: ClientAuthority
    bot: ClientFiles
    revoked: ClientFiles
    modern: ClientFiles
    admin: ClientFiles

    @classmethod
    def make(cls, directory: Path) -> "Clients":
        """Issue all."""
        bots, admins = ClientAuthority("Bots"), ClientAuthority("Admins", "mldsa-65")
        below = ClientAuthority("Bots below", above=bots)
        return cls(
            directory,
            bots,
            below,
            admins,
            bot=bots.issue(directory, "bot 1"),
            revoked=bots.issue(directory, "bot 2"),
            modern=ClientAuthority("Bots mldsa", "mldsa-65", above=bots).issue(directory, "bot 3", kind="mldsa-65"),
            admin=admins.issue(directory, "admin", kind="mldsa-65"),
        )


def table(name: str, **settings: object) -> str:
    """The `client_certificates` of an identity."""
    lines = [f"{key} = {json.dumps(str(value))}" for key, value in settings.items()]
    return "\n".join([f"[identity.{name}.client_certificates]", *lines, ""])


def curl(site: Site, host: str, *arguments: str, client: ClientFiles | None = None, path: str = "/") -> Any:
    """Ask one of the hosts."""
    shown = [] if client is None else ["--cert", str(client.certificate), "--key", str(client.key)]
    to = f"{host}:{site.port()}"
    return site.curl("--connect-to", f"{to}:127.0.0.1:{site.port()}", *shown, *arguments, url=f"https://{to}{path}")


def seen_by_server(completed: "subprocess.CompletedProcess[bytes]") -> dict[str, str]:
    """The fields that the server got."""
    return {name.lower(): value for name, value in json.loads(body_of(completed))["headers"]}


def byte_sequence(der: bytes) -> str:
    return f":{b64encode(der).decode()}:"


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    return Clients.make(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, authority: Authority, clients: Clients) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("proxy")
    (directory / "bots.pem").write_bytes(clients.bots.pem)
    (directory / "admins.pem").write_bytes(clients.admins.pem)
    names = {"bots": BOTS, "admins": ADMINS, "open": OPEN, "plain": PLAIN}
    with in_thread(lambda: aiohttp_server(web.route("*", "/{any:.*}", describe))) as port:
        text = process(directory / "admin.sock") + listener("public")
        for name, host in names.items():
            text += identity(name, (host,), authority.issue(name, (host,)))
        text += table("bots", ca="bots.pem") + table("admins", ca="admins.pem")
        text += table("open", ca="bots.pem", mode="optional")
        text += f'[upstream.app]\nservers = ["http://127.0.0.1:{port}"]\n'
        for host in names.values():
            text += f'[[route]]\nhost = "{host}"\nupstream = "app"\n'
        text += f'[[route]]\nhost = "{OPEN}"\npath = "/members"\nupstream = "app"\nclient_certificate = "require"\n'
        configuration = directory / "site.toml"
        configuration.write_text(text)
        with serving(configuration, authority) as site:
            yield site


class TestCurl:
    def test_ecdsa(self, proxy: Site, clients: Clients) -> None:
        fields = seen_by_server(curl(proxy, BOTS, client=clients.bot, path="/ecdsa"))
        assert fields["client-cert"] == byte_sequence(clients.bot.der)
        assert "client-cert-chain" not in fields
        assert proxy.record("/ecdsa")["subject"] == "CN=bot 1"
