"""The whole program with the same key in two tokens, clients that shake hands with it, and what it says of itself."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client.samples import Sample

from proxy.tls.handshake.results import FailureReason
from tests.certs.authority import PrivateKey
from tests.hsm.shim import TokenControl
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import Token
from tests.integration.admin import series
from tests.integration.gateway import complaints
from tests.programs import Program, plexigate
from tests.proxy.tls import hellos

WAIT_SECONDS = 20.0
CLIENT_SECONDS = 15.0
ROUTE = '[upstream.chat]\nservers = ["http://127.0.0.1:1"]\n[[route]]\nhost = "localhost"\nupstream = "chat"\n'
USUAL_GROUPS = "X25519MLKEM768:X25519"
RETRIED_GROUPS = "X25519MLKEM768:*X25519"
"""A share of X25519 only, although the better group is listed too: it takes a HelloRetryRequest."""


Running = Program[dict[str, list[str]]]


@dataclass
class Scene:
    """A running proxy that answers for localhost with the key `chat` of the tokens plexi and spare."""

    site: HsmSite
    running: Running
    plexi: TokenControl
    spare: TokenControl

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.running.ready["public"][0].rpartition(":")[2])

    # -- clients

    def client(self, groups: str = USUAL_GROUPS, authority: Path | None = None) -> ssl.SSLContext:
        """A client that verifies, and sends shares as the groups say."""
        context = hellos.client_context(groups)
        context.check_hostname = True
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority or self.site.authority.path)
        return context

    def connect(
        self, context: ssl.SSLContext, session: ssl.SSLSession | None = None, name: str = "localhost"
    ) -> ssl.SSLSocket:
        """A connection after its handshake. Raises `ssl.SSLError` or `OSError`."""
        sock = socket.create_connection(("127.0.0.1", self.port), CLIENT_SECONDS)
        try:
            return context.wrap_socket(sock, server_hostname=name, session=session)
        except BaseException:
            sock.close()
            raise

    def handshakes(self, context: ssl.SSLContext) -> Callable[[], float]:
        """What shakes hands as `handshake` does, for a `Load`."""
        return lambda: self.handshake(context)

    def handshake(self, context: ssl.SSLContext, name: str = "localhost") -> float:
        """Shake hands and part; how long that took."""
        began = time.perf_counter()
        with self.connect(context, name=name) as tls:
            took = time.perf_counter() - began
            assert ask(tls, name) == 502  # by the proxy: there is nobody behind it
        return took

    def serves(self, context: ssl.SSLContext, name: str = "localhost") -> bool:
        """Whether a handshake comes to its end."""
        try:
            self.handshake(context, name)
        except (ssl.SSLError, ConnectionError):
            return False
        return True

    def resumable(self, context: ssl.SSLContext) -> ssl.SSLSession:
        """A session to come back with."""
        with self.connect(context) as tls:
            ask(tls)
            session = tls.session
        assert session is not None
        return session

    # -- what it says

    def samples(self, name: str, **labels: str) -> list[Sample]:
        """A metric's samples with these labels."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(WAIT_SECONDS)
        connection.sock.connect(str(self.site.directory / "plexigate.sock"))
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        samples = (Sample(one, dict(of_it), value) for (one, of_it), value in series(text).items())
        return [one for one in samples if one.name == f"plexigate_{name}" and labels.items() <= one.labels.items()]

    def metric(self, name: str, **labels: str) -> float:
        """Their sum."""
        return sum(sample.value for sample in self.samples(name, **labels))

    def handshakes_failed(self) -> float:
        """Of all handshakes, for whatever reason."""
        return sum(one.value for one in self.samples("failures_total") if one.labels["reason"] in set(FailureReason))

    def state(self, token: str) -> str:
        """What the breaker of the only worker says of a token; "differs" while that one is replaced."""
        states = {sample.labels["state"] for sample in self.samples("token_state", token=token) if sample.value}
        return states.pop() if len(states) == 1 else "differs"

    def is_used(self, token: str) -> bool:
        """Whether handshakes use a token without a second thought."""
        return self.state(token) == "closed"

    def until(self, is_so: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
        """Wait until something is so, which must come about by itself."""
        ends, never = time.monotonic() + seconds, threading.Event()
        while not is_so():
            if time.monotonic() >= ends:
                told = [line for line in self.running.output if '"event"' in line]
                pytest.fail("\n".join(["it never came about; the program told", *told[-100:]]))
            never.wait(0.03)  # it takes a scrape, most often


def ask(tls: ssl.SSLSocket, host: str = "localhost") -> int:
    """Send a request; answers the status."""
    tls.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return int(tls.recv(65_536).split(b" ", 2)[1])


@dataclass
class Load:
    """Clients that shake hands repeatedly, each in a thread of its own."""

    scene: Scene
    handshake: Callable[[], float]
    """Answers how long it took."""
    pause: float = 0.0
    """Seconds between two of a client: where clients only have to be there, they need not take a processor."""
    times: list[float] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def count(self) -> int:
        """How many are over."""
        return len(self.times) + len(self.errors)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self.times.append(self.handshake())
            except Exception as error:  # noqa: BLE001 - counted
                self.errors.append(error)
            self._over.wait(self.pause)

    @contextmanager
    def running(self, clients: int) -> Iterator["Load"]:
        """Let so many clients come until the block ends."""
        threads = [threading.Thread(target=self._run) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def more(self, count: int) -> None:
        """Wait for so many more handshakes."""
        wanted = self.count + count
        self.scene.until(lambda: self.count >= wanted)


def running(site: HsmSite, configuration: Path) -> AbstractContextManager[Running]:
    """Run the proxy with the tokens of a site."""
    return plexigate(configuration, site.hsm.environment)


def scene_of(site: HsmSite, run: Running) -> Scene:
    """One that runs already."""
    return Scene(site, run, site.hsm.shim.token("plexi"), site.hsm.shim.token("spare"))


@contextmanager
def scene(  # noqa: PLR0913 - what a test may set
    site: HsmSite,
    kind: str = "ecdsa-p256",
    further: str = "",
    settings: str = "",
    sessions: Mapping[str, int] | None = None,
    key: PrivateKey | None = None,
    prepared: Callable[[Token], object] = lambda _: None,
    *,
    copies: bool = True,
) -> Iterator[Scene]:
    """Run one with one worker. `settings` are those of the identity, `further` are tables, `sessions` those of each token, `key` is
    the one in both (else a new one). `prepared` puts into the token plexi what is needed besides. Without `copies` each token has a
    key of its own instead, and a certificate.
    """
    plexi, spare = site.hsm.add_token("plexi"), site.hsm.add_token("spare", "another-pin")
    prepared(plexi)
    uris = ("pkcs11:token=plexi;object=chat", "pkcs11:token=spare;object=chat")
    if copies:
        public = site.hsm.share("chat", plexi, spare, kind=kind, key=key)
        identity = site.identity("localhost", public, *uris, further=settings)
    else:
        made = [site.hsm.generate(token, "chat", kind) for token in (plexi, spare)]
        identity = site.replicas("localhost", dict(zip(uris, made, strict=True)), settings)
    limits = {name: f"max_sessions = {count}" for name, count in (sessions or {}).items()}
    configuration = site.write(
        site.tokens(plexi, spare, further=limits),
        identity,
        ROUTE,
        further,
    )
    with running(site, configuration) as run:
        yield scene_of(site, run)
    assert complaints(run.output) == []
