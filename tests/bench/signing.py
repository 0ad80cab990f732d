"""Full handshakes with a key in a slow token, beside nginx with the same module: both have two workers and all cores, and so has the load.

The module is the tests' own, in front of SoftHSM: each signature takes the time that it is told.
"""

import json
import multiprocessing
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.pool import Pool
from pathlib import Path
from statistics import quantiles

from websockets.sync.client import connect

from certs.keys.pkcs11 import uri_pem
from proxy.tls.openssl.configuration import openssl_configuration, pkcs11_provider
from tests.bench import load, usage
from tests.bench.report import Row
from tests.bench.servers import Server, compiled, nginx_user
from tests.hsm.shim import TokenControl, build_shim
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import SOFTHSM
from tests.ports import lasting_port
from tests.programs import PLEXIGATE, plexigate_listeners, program
from tests.soak.scenes import backend_port

WORKERS = 2
THREADS = 16
CLIENTS = 40
STORMING = 2
"""Processes that shake hands with many connections each."""
SECONDS = 4
QUICK_MS, SLOW_MS = 5, 200
STORM_SECONDS = 5.0
ECHOES_PER_SECOND = 50
P99_MS = 10.0
TIMES_NGINX = 1 / 6
"""Six times as many handshakes as nginx, in every run."""
_CORES = len(os.sched_getaffinity(0))

_NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr notice;
worker_processes {workers};
{user}
env SOFTHSM2_CONF;
env PLEXIGATE_SHIM;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096 reuseport;
        server_name localhost;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_ecdh_curve X25519MLKEM768:X25519;
        location / {{
            proxy_pass http://127.0.0.1:{backend};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""

_PLEXIGATE = """
[upstream.backend]
servers = ["http://127.0.0.1:{backend}"]
[[route]]
host = "localhost"
upstream = "backend"
[limits]
handshakes_per_second_per_address = 1_000_000.0
handshake_burst_per_address = 1_000_000
"""
_LISTENER = '[listener.public]\nbind = "127.0.0.1:0"\ndefault = "bench"\ngroups = [["X25519MLKEM768"], ["X25519"]]\n'


@dataclass(frozen=True, slots=True)
class Side:
    """Both servers, the token that they share, and the clients."""

    servers: tuple[Server, Server]
    token: TokenControl
    authority: Path
    program: Path
    """Clients that do nothing but shake hands."""
    clients: Pool


def rate() -> list[Row]:
    """How many handshakes are done while the token takes its time."""
    with _sides() as side:
        return _rate(side)


def wait() -> list[Row]:
    """How long others wait meanwhile."""
    with _sides() as side:
        return [_wait(side)]


@dataclass(frozen=True, slots=True)
class _Handshakes:
    """Those of some seconds by one server: each in milliseconds, of the clock and of the cores."""

    took: float
    of_server: float
    of_load: float
    failed: int

    @property
    def share(self) -> float:
        """Of the cores, which the load took away from the server."""
        return self.of_load / self.took / _CORES

    @property
    def without_load(self) -> float:
        """What is left of `took` without the cores' time for the load, which elsewhere has a machine of its own."""
        return self.took - self.of_load / _CORES


def _rate(side: Side) -> list[Row]:
    side.token.delay(QUICK_MS, "C_Sign")
    nginx, _ = side.servers

    def seen(server: Server) -> _Handshakes:
        began, used = time.perf_counter(), usage.cpu_nanoseconds(server.pid)
        done = load.handshakes_at_once(server, side.program, clients=CLIENTS, seconds=SECONDS)
        seconds, used = time.perf_counter() - began, usage.cpu_nanoseconds(server.pid) - used
        if done.failed and server is not nginx:
            raise load.LoadError(server, f"{done.failed} of {done.failed + done.finished} handshakes failed")
        count = done.finished
        return _Handshakes(
            seconds / count * 1_000, used / count / 1_000_000, done.cpu_seconds / count * 1_000, done.failed
        )

    rounds = [tuple(seen(server) for server in side.servers) for _ in range(3)]
    cores = ", ".join(
        f"{server.name} {one.of_server:.2f} and its load {one.of_load:.2f}, {one.share:.0%} of the cores"
        for server, one in zip(side.servers, rounds[-1], strict=True)
    )
    # SoftHSM fails now and then where several processes sign; nginx passes that on to its clients
    failed = sum(of_nginx.failed for of_nginx, _ in rounds)
    note = f"CPU ms: {cores}" + (f"; {failed} handshakes failed in nginx" if failed else "")
    taken = [{server.name: one.took for server, one in zip(side.servers, each, strict=True)} for each in rounds]
    alone = [{server.name: one.without_load for server, one in zip(side.servers, each, strict=True)} for each in rounds]
    return [
        Row(
            "token",
            f"full handshake, {QUICK_MS} ms a signature",
            "ms",
            taken,
            TIMES_NGINX,
            is_wanted_each_time=True,
            note=note,
        ),
        Row("token", "the same, without the load's share of the cores", "ms", alone, None),
    ]


def _wait(side: Side) -> Row:
    side.token.delay(SLOW_MS, "C_Sign")
    p99 = {server.name: _echo_during_storm(side, server) for server in side.servers}
    title = f"WebSocket echo p99, {SLOW_MS} ms a signature, storm"
    return Row("storm", title, "ms", [p99], None, most=P99_MS)


def _echo_during_storm(side: Side, server: Server) -> float:
    context = ssl.create_default_context(cafile=str(side.authority))
    address = f"wss://localhost:{server.port}/echo"
    with connect(address, ssl=context, proxy=None, open_timeout=30, close_timeout=0.1) as socket:
        storm = side.clients.starmap_async(_shake_hands_for, [(server, STORM_SECONDS, side.authority)] * STORMING)
        times: list[float] = []
        while not storm.ready():
            began = time.perf_counter()
            socket.send("x" * 100)
            socket.recv(timeout=30)
            times.append((time.perf_counter() - began) * 1_000)
            storm.wait(1 / ECHOES_PER_SECOND)
        storm.get()
    if len(times) < 10:
        return max(times)
    return quantiles(times, n=100, method="inclusive")[98]


def _shake_hands_for(server: Server, seconds: float, authority: Path) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        load.handshakes(server, load.MANY, authority, at_once=load.MANY)


@contextmanager
def _sides() -> Iterator[Side]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plexigate-bench-")))
        site = HsmSite.make(directory, build_shim(directory, SOFTHSM))
        stack.callback(site.hsm.shim.close)
        token = site.hsm.add_token("plexi")
        public = site.hsm.generate(token, "chat")
        certificate = site.authority.certify("localhost", public, ("localhost",))
        backend = stack.enter_context(program([sys.executable, "-m", "tests.soak.backend"], backend_port)).ready

        port = lasting_port()
        key = directory / "uri.pem"
        pin_file = site.hsm.pin_file(token)
        key.write_bytes(uri_pem(f"pkcs11:token=plexi;object=chat;type=private?pin-source=file:{pin_file}"))
        (directory / "openssl.cnf").write_text(
            openssl_configuration([pkcs11_provider(None, str(site.hsm.shim.module))])
        )
        (directory / "nginx.conf").write_text(
            _NGINX.format(
                directory=directory,
                workers=WORKERS,
                user=nginx_user(),
                port=port,
                certificate=certificate,
                key=key,
                backend=backend,
            )
        )
        environment = {**site.hsm.environment, "OPENSSL_CONF": str(directory / "openssl.cnf")}
        nginx = stack.enter_context(
            program(
                ["/usr/sbin/nginx", "-e", "stderr", "-c", str(directory / "nginx.conf")],
                lambda line: "start worker process" in line or None,
                environment,
            )
        )
        sessions = f"max_sessions = {THREADS * WORKERS + 2 + WORKERS}"
        configuration = site.write(
            site.tokens(token, further={"plexi": sessions}),
            f'[identity.bench]\nnames = ["localhost"]\ncertificate = {json.dumps(str(certificate))}\n'
            'key = "pkcs11:token=plexi;object=chat"\n',
            _PLEXIGATE.format(backend=backend),
            listener=_LISTENER,
            workers=WORKERS,
        )
        plexigate = stack.enter_context(
            program([PLEXIGATE, "run", str(configuration)], plexigate_listeners, site.hsm.environment)
        )
        clients = stack.enter_context(multiprocessing.get_context("spawn").Pool(STORMING))
        public_port = int(plexigate.ready["public"][0].rpartition(":")[2])
        servers = Server("nginx", nginx.pid, port), Server("plexigate", plexigate.pid, public_port)
        program_path = compiled("handshakes", directory)
        yield Side(servers, site.hsm.shim.token("plexi"), site.authority.path, program_path, clients)
