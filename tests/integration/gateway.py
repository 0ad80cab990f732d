"""Plexigate with many listeners and identities, and the programs that shake hands with it."""

import json
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.certificates import Authority
from tests.configurations import identity, limits, listener, process
from tests.hostile.client import Address, Client
from tests.integration.upstreams import Peer, ScriptedServer
from tests.programs import Program, plexigate

SECONDS = 30
MLDSA = "mldsa-65"
_CURVES = {"X25519": "x25519", "X448": "x448", "prime256v1": "secp256r1"}


@dataclass(frozen=True, slots=True)
class Trust:
    """The authorities: `classical` signs with ECDSA, `mldsa` with ML-DSA; no client need trust both."""

    directory: Path
    classical: Authority
    mldsa: Authority

    @classmethod
    def make(cls, directory: Path) -> "Trust":
        """Set both up."""
        return cls(directory, Authority(directory), Authority(directory, "ML-DSA authority", MLDSA))

    def identities(self) -> str:
        """The tables of all identities."""
        single = {
            "chat": ("chat.test", "*.chat.test"),
            "files": ("files.test",),
            "local": ("localhost", "127.0.0.1", "::1"),
        }
        text = "".join(identity(name, names, self.classical.issue(name, names)) for name, names in single.items())
        for name, prefer in (("dual", None), ("modern", "mldsa")):
            names = (f"{name}.test",)
            credentials = (
                self.classical.issue(f"{name}-ecdsa", names),
                self.mldsa.issue(f"{name}-mldsa", names, kind=MLDSA),
            )
            text += identity(name, names, *credentials, prefer=prefer)
        return text


LISTENERS = (
    listener("standard")
    + listener("off", pq="off")
    + listener("report", pq="report")
    + listener("require", pq="require")
    + listener("high", level="high")
    + listener("critical", level="critical")
    + listener("cnsa", level="quantum-safe", weaker_signatures=True)
    + listener("lenient", default="chat")
    + listener("six", bind="[::1]:0")
)
HOSTS = ("chat.test", "*.chat.test", "files.test", "dual.test", "modern.test", "localhost", "127.0.0.1", "::1")


def routes(upstream: str) -> str:
    """Everything leads to one upstream; `/pq` of chat.test is for post-quantum connections only."""
    text = f'[upstream.echo]\nservers = ["{upstream}"]\n'
    for host in HOSTS:
        text += f'[[route]]\nhost = "{host}"\nupstream = "echo"\n'
    return text + '[[route]]\nhost = "chat.test"\npath = "/pq"\nupstream = "echo"\npq = "require"\n'


def echo(peer: Peer) -> None:
    """Answer with what the proxy said about the connection; `/cut` never ends."""
    for message in peer.requests(is_peer_trusted=True):  # clients come from ::1, too
        body = json.dumps({"target": message.target, "group": message.values("X-TLS-Group")}).encode()
        if message.target == "/cut":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            return
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running proxy."""

    program: Program[dict[str, list[str]]]
    trust: Trust

    def port(self, name: str = "standard") -> int:
        """The port of a listener."""
        return int(self.program.ready[name][0].rpartition(":")[2])

    def connect(self, server_name: str | None = "chat.test", on: str = "standard", **options: Any) -> Client:
        """A connection on which the test chooses every byte."""
        return Client(Address(self.port(on), self.trust.classical.path), server_name, **options)

    def tcp(self, on: str = "standard") -> socket.socket:
        """A connection without TLS."""
        return socket.create_connection(("127.0.0.1", self.port(on)), timeout=SECONDS)

    def s_client(self, *arguments: str, name: str | None = "chat.test", on: str = "standard", say: str = "") -> "Said":
        """Run `openssl s_client`, which verifies chain and name; `say` is sent, then it closes."""
        server_name = ["-noservername"] if name is None else ["-servername", name, "-verify_hostname", name]
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port(on)}", "-msg", *server_name]
        trusted = [] if "-CAfile" in arguments else ["-CAfile", str(self.trust.classical.path)]
        done = subprocess.run(
            [*command, *trusted, "-verify_return_error", *arguments],
            input=say.encode(),
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def curl(self, *arguments: str, host: str = "chat.test", path: str = "/", on: str = "standard") -> "Said":
        """Run curl, which verifies chain and name."""
        port = self.port(on)
        command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", str(self.trust.classical.path)]
        connect = ["--connect-to", f"{host}:{port}:127.0.0.1:{port}"]
        done = subprocess.run(
            [*command, *connect, *arguments, f"https://{host}:{port}{path}"],
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


@dataclass(frozen=True, slots=True)
class Said:
    """What a program printed."""

    status: int
    output: str
    errors: str

    @property
    def group(self) -> str | None:
        """The group that s_client says was negotiated."""
        found = re.search(r"^Negotiated TLS1.3 group: ([^<\s]+)", self.output, re.MULTILINE)
        if found is None:  # a classical one is shown by its curve
            found = re.search(r"^Peer Temp Key: (?:ECDH, )?(\w+),", self.output, re.MULTILINE)
        return None if found is None else _CURVES.get(found[1], found[1])

    @property
    def cipher_suite(self) -> str | None:
        """The cipher suite that s_client says was negotiated."""
        found = re.search(r"^New, TLSv1.3, Cipher is (\S+)$", self.output, re.MULTILINE)
        return None if found is None else found[1]

    @property
    def server_hellos(self) -> int:
        """How many came: two with a HelloRetryRequest."""
        return len(re.findall(r"^<<< .*, ServerHello$", self.output, re.MULTILINE))

    @property
    def signature(self) -> str | None:
        """What the server's signature was made with."""
        found = re.search(r"^Peer signature type: (\S+)$", self.output, re.MULTILINE)
        return None if found is None else found[1]

    @property
    def alert(self) -> int | None:
        """The number of the alert that ended the handshake."""
        found = re.search(r"SSL alert number (\d+)", self.errors)
        return None if found is None else int(found[1])

    @property
    def is_established(self) -> bool:
        """Whether the handshake came to an end, with a certificate that was verified."""
        return "Verify return code: 0 (ok)" in self.output or "Verification: OK" in self.output


@contextmanager
def gateway(
    directory: Path,
    trust: Trust,
    upstream: ScriptedServer | str,
    listeners: str = LISTENERS,
    limit: Mapping[str, float | str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    """Run a proxy in front of an upstream, or of what is at a URL."""
    url = upstream if isinstance(upstream, str) else upstream.url
    configuration = directory / f"gateway-{len(list(directory.glob('gateway-*.toml')))}.toml"
    configuration.write_text(
        process(configuration.with_suffix(".sock")) + listeners + trust.identities() + routes(url) + limits(limit or {})
    )
    with plexigate(configuration, environment) as running:
        yield Gateway(running, trust)


def events(output: list[str], kind: str) -> list[dict[str, Any]]:
    """The events of one kind in what a proxy printed."""
    entries = [json.loads(line) for line in output if line.startswith("{")]
    return [entry for entry in entries if entry.get("event") == kind]


def complaints(output: list[str]) -> list[str]:
    """Lines that a proxy never writes unless something happened that nobody expected."""
    return [line for line in output if not line.startswith("{") or json.loads(line).get("event") == "error"]
