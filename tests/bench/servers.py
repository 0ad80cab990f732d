"""The programs that are compared, set up for the same job: TLS in front of one static backend.

Each keeps upstream connections alive, adds the same headers and logs a JSON line per request to a file.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.programs import START_SECONDS, NotReadyError, end, plexigate_listeners, program

SMALL, LARGE = "/small", "/large"
SIZES = {SMALL: 1_024, LARGE: 1_048_576}

_CERTIFICATES = Path(__file__).parents[2] / "docker" / "demo" / "certificates.sh"

_NGINX = """
daemon off;
pid {directory}/{name}.pid;
error_log stderr notice;
worker_processes 1;
worker_rlimit_nofile 8192;
{user}
events {{ worker_connections 4096; }}
http {{
    keepalive_requests 100000000;
    keepalive_timeout 600;
    client_body_temp_path {directory}/{name}-body;
    proxy_temp_path {directory}/{name}-proxy;
    fastcgi_temp_path {directory}/{name}-fastcgi;
    uwsgi_temp_path {directory}/{name}-uwsgi;
    scgi_temp_path {directory}/{name}-scgi;
{http}
}}
"""

_BACKEND = """
    access_log off;
    sendfile on;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {directory}/files;
        default_type application/octet-stream;
    }}
"""

_PROXY = """
    log_format json escape=json '{{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method","path":"$uri",'
        '"host":"$host","status":$status,"sent":$body_bytes_sent,"seconds":$request_time,"upstream":"$upstream_addr",'
        '"group":"$ssl_curve","request_id":"$request_id"}}';
    access_log {directory}/nginx.log json buffer=64k flush=1s;
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        server_name localhost;
        ssl_certificate {directory}/server.pem;
        ssl_certificate_key {directory}/server.key;
        ssl_protocols TLSv1.3;
        ssl_ecdh_curve X25519MLKEM768:X25519;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header Forwarded "for=$remote_addr;host=\\"$http_host\\";proto=https";
            proxy_set_header Via "1.1 nginx";
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header X-TLS-Group $ssl_curve;
        }}
    }}
"""

_PLEXIGATE = """
workers = 1
admin.socket = "plexigate.sock"
[listener.public]
bind = "127.0.0.1:0"
groups = [["X25519MLKEM768"], ["X25519"]]
[identity.bench]
names = ["localhost"]
certificate = "server.pem"
key = "server.key"
[upstream.backend]
servers = ["http://127.0.0.1:{backend}"]
[[route]]
host = "localhost"
upstream = "backend"
[limits]
# all of its clients have one address
handshakes_per_second_per_address = 1_000_000.0
handshake_burst_per_address = 1_000_000
[log]
file = "plexigate.log"
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running program: its name, its first process, where it listens."""

    name: str
    pid: int
    port: int


@dataclass(frozen=True, slots=True)
class Bench:
    """A directory with certificate and files, and the cores: one for the proxy, the other for everything else."""

    directory: Path
    proxy_core: int
    other_core: int

    def lay_out(self) -> None:
        """Make the certificate and the files that the backend serves."""
        subprocess.run(["sh", _CERTIFICATES, self.directory], check=True, timeout=30)
        (self.directory / "files").mkdir()
        for path, size in SIZES.items():
            (self.directory / "files" / path[1:]).write_bytes(b"x" * size)

    @contextmanager
    def backend(self) -> Iterator[Server]:
        """Serves the files over plain HTTP/1.1."""
        with self._nginx("backend", self.other_core, _BACKEND) as server:
            yield server

    @contextmanager
    def nginx(self, backend: Server) -> Iterator[Server]:
        """The yardstick."""
        with self._nginx("nginx", self.proxy_core, _PROXY, backend.port) as server:
            yield server

    @contextmanager
    def plexigate(self, backend: Server) -> Iterator[Server]:
        """What is measured."""
        configuration = self.directory / "plexigate.toml"
        configuration.write_text(_PLEXIGATE.format(backend=backend.port))
        command = _pinned(self.proxy_core, str(Path(sys.executable).with_name("plexigate")), "run", str(configuration))
        log = self.directory / "plexigate.log"
        log.unlink(missing_ok=True)
        with subprocess.Popen(command) as process:
            try:
                yield Server("plexigate", process.pid, _logged_port(process, log))
            finally:
                end(process)

    @contextmanager
    def _nginx(self, name: str, core: int, http: str, backend: int = 0) -> Iterator[Server]:
        port = free_port()
        configuration = self.directory / f"{name}.conf"
        part = http.format(directory=self.directory, port=port, backend=backend)
        configuration.write_text(_NGINX.format(directory=self.directory, name=name, user=nginx_user(), http=part))
        # The error log of the moment before nginx has read its configuration has to go somewhere writable too.
        command = _pinned(core, "/usr/sbin/nginx", "-e", "stderr", "-c", str(configuration))
        with program(command, lambda line: "start worker process" in line or None) as running:
            yield Server(name, running.pid, port)


def _pinned(core: int, *command: str) -> list[str]:
    return ["taskset", "--cpu-list", str(core), *command]


def nginx_user() -> str:
    """As root, nginx would give its worker to somebody who may not read the directory."""
    return "user root;" if Path("/proc/self").stat().st_uid == 0 else ""


def free_port() -> int:
    """A port for nginx, which cannot say which one it got: nobody else takes ports on this machine meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _logged_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """The port of Plexigate, whose readiness line is in its log file."""
    give_up = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up:
        for line in log.read_text().split("\n")[:-1] if log.exists() else []:
            if (listeners := plexigate_listeners(line)) is not None:
                return int(listeners["public"][0].rpartition(":")[2])
        time.sleep(0.05)
    raise NotReadyError(["plexigate"], ["(see above)"])
