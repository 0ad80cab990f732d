"""A proxy whose identities ask for certificates of clients in different ways, and the clients."""

import json
import socket
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.certificates import DAY, Authority
from tests.client_authorities import ClientAuthority, ClientFiles
from tests.configurations import identity, listener, process
from tests.hostile.client import Address
from tests.integration.stage import Site, body_of, serving
from tests.integration.test_http_clients import describe
from tests.integration.upstreams import aiohttp_server, in_thread

BOTS, ADMINS, OPEN, WIDE = "bots.asking.test", "admin.asking.test", "open.asking.test", "other.asking.test"
SECONDS = 30


@dataclass(frozen=True)
class Clients:
    """Who asks, and for what."""

    bots: ClientAuthority
    admins: ClientAuthority
    bot: ClientFiles
    other_bot: ClientFiles
    below: ClientAuthority
    """Of ML-DSA, below that of the bots."""
    modern: ClientFiles
    """With an ML-DSA key, of the authority below."""
    admin: ClientFiles
    """With an ML-DSA key, of an ML-DSA authority."""

    @classmethod
    def make(cls, directory: Path) -> "Clients":
        """Issue all."""
        bots, admins = ClientAuthority("Bots"), ClientAuthority("Admins", "mldsa-65")
        below = ClientAuthority("Modern bots", "mldsa-65", above=bots)
        return cls(
            bots,
            admins,
            bots.issue(directory, "bot 1"),
            bots.issue(directory, "bot 2"),
            below,
            below.issue(directory, "bot 3", kind="mldsa-65"),
            admins.issue(directory, "admin", kind="mldsa-65"),
        )

    def lists(self, *revoked: ClientFiles, valid: tuple[timedelta, timedelta] = (-DAY, DAY)) -> bytes:
        """What the authorities of the bots have revoked."""
        return self.bots.revocations(*(one.leaf for one in revoked), valid=valid) + self.below.revocations()


@dataclass(frozen=True)
class Asking:
    """A running proxy that asks."""

    site: Site
    directory: Path
    clients: Clients

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(self.site.port(), self.site.ca)

    def curl(
        self, host: str, *arguments: str, client: ClientFiles | None = None, path: str = "/"
    ) -> "subprocess.CompletedProcess[bytes]":
        """Ask one of the hosts."""
        shown = [] if client is None else ["--cert", str(client.certificate), "--key", str(client.key)]
        to = f"{host}:{self.site.port()}"
        connect = ["--connect-to", f"{to}:127.0.0.1:{self.site.port()}"]
        return self.site.curl(*connect, *shown, *arguments, url=f"https://{to}{path}")

    def fields(self, *arguments: Any, **options: Any) -> dict[str, str]:
        """The fields that the server got of a request by curl."""
        return told(body_of(self.curl(*arguments, **options)))

    def s_client(
        self, host: str, *arguments: str, client: ClientFiles | None = None, path: str = "/"
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run `openssl s_client` with one request."""
        shown = [] if client is None else ["-cert", str(client.certificate), "-key", str(client.key)]
        chain = [] if client is None else ["-cert_chain", str(client.certificate)]
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.site.port()}", "-servername", host]
        return subprocess.run(
            [*command, "-CAfile", str(self.site.ca), "-verify_return_error", "-ign_eof", *shown, *chain, *arguments],
            input=f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode(),
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )

    def context(self, client: ClientFiles | None = None) -> ssl.SSLContext:
        """A client of Python."""
        context = ssl.create_default_context(cafile=str(self.site.ca))
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        return context

    def visit(
        self, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None = None, path: str = "/"
    ) -> tuple[bool, dict[str, str], ssl.SSLSession]:
        """One request of Python: whether it resumed, what the server was told, and the new session."""
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        with (
            socket.create_connection(("127.0.0.1", self.site.port()), SECONDS) as sock,
            context.wrap_socket(sock, server_hostname=host, session=session) as tls,
        ):
            tls.sendall(request)
            answer = b"".join(iter(lambda: tls.recv(65_536), b""))
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            assert tls.session is not None
            return bool(tls.session_reused), told(answer.partition(b"\r\n\r\n")[2]), tls.session

    def write(self, name: str, content: bytes) -> None:
        """Put a file in place of the one that is there, in one step."""
        draft = self.directory / f"{name}.draft"
        draft.write_bytes(content)
        draft.replace(self.directory / name)

    def reload(self, name: str, content: bytes) -> "subprocess.CompletedProcess[str]":
        """Put a file in place of the one that is there, and reload."""
        self.write(name, content)
        return self.site.command("reload")

    def failure(self, reason: str, name: str) -> dict[str, Any]:
        """Wait for a line of the log about a handshake for a name that failed for a reason."""

        def find(output: list[str]) -> dict[str, Any] | None:
            found = [json.loads(line) for line in output if f'"reason":"{reason}"' in line]
            return next((one for one in found if one["name"] == name), None)

        return self.site.program.wait_for(find)


def install_in(database: str, directory: Path, client: ClientFiles) -> None:
    """Put a client's certificate and key into a database of NSS, which is made if it is not there."""
    bundle = str(directory / "client.p12")
    made_of = ["-in", str(client.certificate), "-inkey", str(client.key), "-name", "client"]
    export = ["openssl", "pkcs12", "-export", *made_of, "-out", bundle, "-passout", "pass:"]
    into = ["pk12util", "-i", bundle, "-d", database, "-K", "", "-W", ""]
    if not (Path(database.removeprefix("sql:")) / "cert9.db").exists():
        subprocess.run(["certutil", "-d", database, "-N", "--empty-password"], check=True, timeout=SECONDS)
    for command in (export, into):
        subprocess.run(command, check=True, timeout=SECONDS, capture_output=True)


def told(body: bytes) -> dict[str, str]:
    """The fields in the answer of `describe`, chunked or not."""
    document, _ = json.JSONDecoder().raw_decode(body[body.index(b"{") :].decode("latin-1"))
    return {name.lower(): value for name, value in document["headers"]}


def byte_sequence(der: bytes) -> str:
    """As RFC 9440 writes a certificate."""
    return f":{b64encode(der).decode()}:"


def table(name: str, **settings: object) -> str:
    """The `client_certificates` of an identity."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    return "\n".join([f"[identity.{name}.client_certificates]", *lines, ""])


async def meet(request: web.Request) -> web.WebSocketResponse:
    """Tell a WebSocket which fields came with it."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(json.dumps({"headers": [list(header) for header in request.headers.items()]}))
    await socket.close()
    return socket


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Say what is said."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


@contextmanager
def asking(
    directory: Path, authority: Authority, clients: Clients, top: str = "", crl_url: Sequence[str] = ()
) -> Iterator[Asking]:
    """Run the proxy; `top` are further lines at the top of its configuration. Bots are revoked by lists of `crl_url`, if given."""
    (directory / "bots.pem").write_bytes(clients.bots.pem + clients.below.pem)
    (directory / "admins.pem").write_bytes(clients.admins.pem)
    (directory / "bots.crl").write_bytes(clients.lists())
    names = {"bots": BOTS, "admins": ADMINS, "open": OPEN, "wide": "*.asking.test"}
    text = process(directory / "admin.sock") + top + listener("public", trusted_peers=["127.0.0.2"])
    for name, host in names.items():
        text += identity(name, (host,), authority.issue(f"asking-{name}", (host,)))
    lists = {"crl_url": list(crl_url), "crl_refresh": "1s"} if crl_url else {"crl": "bots.crl"}
    text += table("bots", ca="bots.pem", **lists) + table("admins", ca="admins.pem")
    text += table("open", ca="bots.pem", mode="optional")
    with in_thread(
        lambda: aiohttp_server(web.get("/ws", meet), web.get("/echo", echo), web.route("*", "/{any:.*}", describe))
    ) as port:
        text += f'[upstream.app]\nservers = ["http://127.0.0.1:{port}"]\n'
        for host in (BOTS, ADMINS, OPEN, WIDE):
            text += f'[[route]]\nhost = "{host}"\nupstream = "app"\n'
        text += f'[[route]]\nhost = "{OPEN}"\npath = "/members"\nupstream = "app"\nclient_certificate = "require"\n'
        configuration = directory / "site.toml"
        configuration.write_text(text)
        with serving(configuration, authority) as site:
            yield Asking(site, directory, clients)
