"""The proxy as a process, the recorder behind it, and what every hostile test asks of the two."""

import itertools
import json
import os
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.certs.authority import issue, private_key, write
from tests.configurations import process
from tests.hostile.client import Address, Client, Cut, End
from tests.hostile.http2_client import Http2Client
from tests.hostile.http3_client import Http3Client
from tests.hostile.quic_client import QuicClient
from tests.hostile.recorder import SENTINEL, Recorder
from tests.hostile.strict import Message
from tests.integration.admin import Admin
from tests.integration.stage import workers_of
from tests.programs import plexigate

DOORS = ("chat", "vault")
TRUSTING = "trusting"
NAMES = {"chat": ("chat.test", "*.chat.test", "trusting.test", "empty.test"), "other": ("other.test",)}
"""Identity -> the names it answers for; nothing is served at empty.test."""

_CONFIGURATION = """
[listener.public]
bind = "127.0.0.1:0"
http = ["h2", "http/1.1"]

[listener.three]
bind = "127.0.0.1:0"
http3 = true

[listener.older]
bind = "127.0.0.1:0"
http = ["http/1.1"]

[listener.lenient]
bind = "127.0.0.1:0"
http = ["h2", "http/1.1"]
default = "chat"

[listener.demanding]
bind = "127.0.0.1:0"
http = ["h2", "http/1.1"]
pq = "require"

[listener.trusting]
bind = "127.0.0.1:0"
http = ["h2", "http/1.1"]
trusted_peers = ["127.0.0.0/8"]

[listener.behind]
bind = "127.0.0.1:0"
http = ["h2", "http/1.1"]
proxy_protocol = "require"
trusted_peers = ["127.0.0.1"]

[upstream.chat]
servers = ["http://127.0.0.1:{chat}"]
{upstream}

[upstream.vault]
servers = ["http://127.0.0.1:{vault}"]

[upstream.trusting]
servers = ["http://127.0.0.1:{trusting}"]

[upstream.tls]
servers = ["https://127.0.0.1:{impostor}"]
ca = "chat.pem"
server_name = "chat.test"

[[route]]
host = "chat.test"
upstream = "chat"

[[route]]
host = "chat.test"
path = "/vault"
upstream = "vault"

[[route]]
host = "chat.test"
path = "/tls"
upstream = "tls"

[[route]]
host = "chat.test"
path = "/streamed"
upstream = "chat"
stream_requests = true

[[route]]
host = "chat.test"
path = "/small"
upstream = "chat"
body_bytes = 1_000

[[route]]
host = "chat.test"
path = "/pq"
upstream = "chat"
pq = "require"

[[route]]
host = "chat.test"
path = "/fixed"
respond = {{ body = "fixed" }}

[[route]]
host = "chat.test"
path = "/moved"
redirect = {{ to = "https://new.test{{path}}{{query}}", status = 302 }}

[[route]]
host = "*.chat.test"
upstream = "chat"

[[route]]
host = "routes.chat.test"
upstream = "chat"

[[route]]
host = "routes.chat.test"
path = "/admin"
allow = ["192.0.2.0/24"]
upstream = "trusting"

[[route]]
host = "routes.chat.test"
path = "/post"
methods = ["POST"]
upstream = "chat"

[[route]]
host = "routes.chat.test"
path = "/v"
upstream = "chat"

[[route]]
host = "routes.chat.test"
path = "/v"
headers = {{ X-Version = "2" }}
allow = ["192.0.2.0/24"]
upstream = "vault"

[[route]]
host = "routes.chat.test"
path = "/v"
query = {{ admin = "1" }}
methods = ["GET"]
allow = ["192.0.2.0/24"]
upstream = "vault"

[[route]]
host = "routes.chat.test"
path = "/api"
strip_prefix = "/api"
add_prefix = "/in"
security_headers = true
response_headers = {{ set = {{ X-Tag = "{{host}} {{client}}" }}, remove = ["X-Backend"] }}
request_headers = {{ set = {{ X-Client = "{{client}}" }}, remove = ["X-Debug"] }}
upstream = "chat"

[[route]]
host = "routes.chat.test"
path = "/bare"
strip_prefix = "/bare"
upstream = "chat"

[[route]]
host = "routes.chat.test"
path = "/u"
rewrite = {{ path = "/u/{{user}}/files/{{rest*}}", to = "/files/{{user}}/{{rest*}}" }}
upstream = "chat"

[[route]]
host = "trusting.test"
upstream = "trusting"

[[route]]
host = "other.test"
upstream = "chat"

[limits]
{limits}
"""


def write_certificates(directory: Path) -> Path:
    """A certificate and a key for each identity, and all that is to be trusted in one file, whose path is returned."""
    now = datetime.now(UTC)  # noqa: TID251 - a driver: OpenSSL looks at the real clock
    trusted = b""
    for number, (identity, names) in enumerate(NAMES.items()):
        made = issue(
            f"{identity}.test",
            private_key("ecdsa-p256", number),
            names=names,
            valid=(now - timedelta(days=1), now + timedelta(days=2)),
        )
        write(directory, identity, made)
        trusted += made.pem
    path = directory / "trusted.pem"
    path.write_bytes(trusted)
    return path


@dataclass(frozen=True, slots=True)
class Usage:
    """What the proxy's process has used."""

    cpu_seconds: float
    peak_bytes: int
    """The most memory it held since the peak was forgotten last."""


@dataclass(slots=True)
class Proxy:
    """A running proxy."""

    pid: int
    listeners: Mapping[str, Address]
    output: list[str]
    admin: Admin
    read_lines: int = 0
    """How many lines of the output have been looked at."""

    def usage(self) -> Usage:
        """Read the process's counters."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        ticks = int(fields[11]) + int(fields[12])
        return Usage(ticks / os.sysconf("SC_CLK_TCK"), int(status["VmHWM"].split()[0]) * 1024)

    def forget_peak(self) -> None:
        """Let the peak of memory start again at what is held now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def complaints(self) -> list[str]:
        """New lines that a proxy never writes unless something happened that nobody expected."""
        new = self.output[self.read_lines :]
        self.read_lines += len(new)
        return [line for line in new if not line.startswith("{") or json.loads(line).get("event") == "error"]


@contextmanager
def proxy(
    trusted: Path, ports: Mapping[str, int], limits: Mapping[str, float | str], upstream: Mapping[str, float | str]
) -> Iterator[Proxy]:
    """Run a proxy with these limits and settings of the upstream `chat`; `ports` are those of the doors and the impostor."""
    directory = trusted.parent
    text = _CONFIGURATION.format(
        **ports,
        limits="\n".join(f"{name} = {json.dumps(value)}" for name, value in limits.items()),
        upstream="\n".join(f"{name} = {json.dumps(value)}" for name, value in upstream.items()),
    )
    for identity, names in NAMES.items():
        text += f'[identity.{identity}]\nnames = {json.dumps(names)}\ncertificate = "{identity}.pem"\nkey = "{identity}.key"\n'
    configuration = directory / f"{len(list(directory.glob('*.toml')))}.toml"
    admin = Admin(configuration.with_suffix(".sock"))
    configuration.write_text(process(admin.socket) + text)
    with plexigate(configuration) as running:
        yield Proxy(
            workers_of(running.pid)[0],
            {name: Address(int(bound.rpartition(":")[2]), trusted) for name, (bound, *_) in running.ready.items()},
            running.output,
            admin,
        )


class Scene:
    """One proxy and the recorder, for one test."""

    def __init__(self, running: Proxy, recorder: Recorder) -> None:
        """Begin with nothing recorded."""
        self.proxy = running
        self.recorder = recorder
        self._numbers = itertools.count()
        recorder.reset()

    def connect(
        self, server_name: str | None = "chat.test", listener: str = "public", *, receive_bytes: int = 0
    ) -> Client:
        """Open a connection; one with a small receive buffer lets the kernel hide little."""
        return Client(self.proxy.listeners[listener], server_name, receive_bytes=receive_bytes)

    def connect_http2(
        self, server_name: str = "chat.test", listener: str = "public", *, source: str = "", receive_bytes: int = 0
    ) -> Http2Client:
        """Open a connection that has chosen `h2`; nothing was said on it yet."""
        return Http2Client(self.proxy.listeners[listener], server_name, source=source, receive_bytes=receive_bytes)

    def connect_http3(self, *, source: str = "127.0.0.1") -> Http3Client:
        """Open a connection of HTTP/3; nothing was said on it yet."""
        return Http3Client(QuicClient(self.proxy.listeners["three"], source=source))

    def connect_unverified(self, server_name: str | None, listener: str) -> Client:
        """Open a connection under a name that the certificate need not have."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.proxy.listeners[listener].trusted)
        return Client(self.proxy.listeners[listener], server_name, context)

    def settle(self) -> None:
        """Bring everything to rest, and prove that the proxy serves and that its upstream connections are sound.

        The probe takes whatever upstream connection is free: bytes that were smuggled onto it would spoil it.
        """
        target = f"{SENTINEL}{next(self._numbers)}"
        with self.connect() as client:
            client.send(f"GET {target} HTTP/1.1\r\nHost: chat.test\r\n\r\n".encode())
            response = client.read_response()
        self.recorder.settle()
        assert self.recorder.violations == []
        assert (response.status, response.body.decode()) == (200, target)

    def check(self) -> None:
        """Prove at the end of a test that nothing bad has happened, whatever it looked at."""
        self.settle()
        assert self.proxy.complaints() == []

    def failures(self) -> Counter[str]:
        """How often the proxy has refused or given up for each reason."""
        counted: Counter[str] = Counter()
        for (_, reason), count in self.proxy.admin.failures().items():
            counted[reason] += count
        return counted

    @property
    def targets(self) -> list[str]:
        """Where the complete requests went, in order."""
        return [request.target for request in self.recorder.complete]

    @property
    def begun(self) -> list[str]:
        """Where all requests went of which at least the head reached the upstream."""
        return [request.target for request in self.recorder.begun]

    def only_request(self) -> Message:
        """The one complete request that reached the upstream."""
        self.settle()
        assert len(self.recorder.begun) == len(self.recorder.complete) == 1
        return self.recorder.complete[0].message

    # -- what most cases expect

    def refused(self, raw: bytes, *statuses: int, cut: Cut = Cut.WHOLE, server_name: str = "chat.test") -> Message:
        """Send `raw`: it is answered once, with one of `statuses`, the connection closes, and nothing reaches the upstream."""
        with self.connect(server_name) as client:
            client.send(raw, cut)
            response = client.read_response()
            assert response.status in statuses
            assert response.values("Connection") == ["close"]
            assert client.await_end() is End.CLEAN
        self.settle()
        assert self.begun == []
        return response

    def refused_body(self, raw: bytes, *statuses: int, cut: Cut = Cut.WHOLE) -> Message:
        """As `refused`, for a fault behind the head: the head may have gone on if the fault did not come with it."""
        with self.connect() as client:
            client.send(raw, cut)
            response = client.read_response()
            assert response.status in statuses
            assert client.await_end() is End.CLEAN
        self.settle()
        assert self.targets == []
        assert len(self.begun) <= (1 if cut is Cut.BYTES else 0)
        return response

    def served(self, raw: bytes, *statuses: int, cut: Cut = Cut.WHOLE, server_name: str = "chat.test") -> list[Message]:
        """Send `raw`: it gets exactly these answers, in order, and the connection serves another request behind them."""
        with self.connect(server_name) as client:
            client.send(raw, cut)
            responses = [client.read_response() for _ in statuses]
            assert [response.status for response in responses] == list(statuses)
            client.send(b"GET " + SENTINEL.encode() + b"same HTTP/1.1\r\nHost: " + server_name.encode() + b"\r\n\r\n")
            assert client.read_response().body == SENTINEL.encode() + b"same"
        self.settle()
        return responses


def request(method: str = "GET", target: str = "/", *lines: str, host: str = "chat.test", body: bytes = b"") -> bytes:
    """A well-formed request with more field lines."""
    head = "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *lines])
    return head.encode("latin-1") + b"\r\n\r\n" + body


SMUGGLED = request("GET", "/smuggled")
"""What an attacker hides: it must never arrive as a request of its own."""

CUTS = pytest.mark.parametrize("cut", [Cut.WHOLE, Cut.BYTES], ids=["whole", "in_bytes"])
"""The two ends of what can be done to one input."""

ALL_CUTS = pytest.mark.parametrize("cut", list(Cut), ids=lambda cut: cut.name.lower())


def cases(table: Mapping[str, object]) -> pytest.MarkDecorator:
    """Parametrise by a table from the name of a case to its `case`."""
    return pytest.mark.parametrize("case", list(table.values()), ids=list(table))
