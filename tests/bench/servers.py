"""The programs that are compared, set up for the same job (see `configurations`), and what they stand in front of."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import configurations, messages
from tests.bench.messages import Message
from tests.ports import lasting_port
from tests.programs import START_SECONDS, NotReadyError, end, plexigate_listeners, program

MESSAGE, PICTURE, LARGE = "/message", "/picture", "/large"
SIZES = {MESSAGE: 126, PICTURE: 65_536, LARGE: 100_000_000}
"""The paths of the files, and their octets."""
ECHO, LARGE_SINK = "/up/echo", "/up/large"
"""Where WebSocket messages come back, and where a body may be large."""

# where it is counted what they do
_START_SECONDS = 8 * START_SECONDS
_SOURCES = Path(__file__).parent
_PROGRAMS = ("exchanges", "handshakes", "upstream")
_CERTIFICATES = Path(__file__).parents[2] / "docker" / "demo" / "certificates.sh"


@dataclass(frozen=True, slots=True)
class Server:
    """A running program: its name, its first process, where it listens."""

    name: str
    pid: int
    port: int


@dataclass(frozen=True, slots=True)
class Backend:
    """What answers behind the proxies: the ports of the files, and of what takes bodies and WebSockets."""

    files: int
    up: int


@dataclass(frozen=True, slots=True)
class Bench:
    """A directory with certificate and files, and the cores: one for the proxy, the other for everything else."""

    directory: Path
    proxy_core: int
    other_core: int
    under: Sequence[str] = ()
    """The command that runs the servers that are compared, if one counts what they do."""

    @property
    def authority(self) -> Path:
        """What vouches for the servers' certificate."""
        return self.directory / "ca.pem"

    def lay_out(self) -> None:
        """Make the certificate, the files that the backend serves, and the programs that make the load."""
        subprocess.run(["sh", _CERTIFICATES, self.directory], check=True, timeout=30)
        both = [(self.directory / name).read_text() for name in ("server.pem", "server.key")]
        (self.directory / "haproxy.pem").write_text("".join(both))
        (self.directory / "files").mkdir()
        for path, size in SIZES.items():
            (self.directory / "files" / path[1:]).write_bytes(b'{"text":"' + b"x" * (size - 11) + b'"}')
        for name in _PROGRAMS:
            compiled(name, self.directory)

    @contextmanager
    def backend(self, answers: Sequence[Message] = ()) -> Iterator[Backend]:
        """Serves the files over plain HTTP/1.1, takes bodies, gives `answers`, and sends WebSocket messages back."""
        messages.write(self.directory / "answers", answers)
        command = pinned(self.other_core, str(self.directory / "upstream"), str(self.directory / "answers"))
        with (
            self._nginx("backend", self.other_core, configurations.BACKEND) as files,
            program(command, upstream_port) as up,
        ):
            yield Backend(files.port, up.ready)

    @contextmanager
    def nginx(self, backend: Backend) -> Iterator[Server]:
        """A yardstick."""
        with self._nginx("nginx", self.proxy_core, configurations.PROXY, backend) as server:
            yield server

    @contextmanager
    def haproxy(self, backend: Backend) -> Iterator[Server]:
        """The other yardstick."""
        configuration = self.directory / "haproxy.cfg"
        log_server = pinned(
            self.other_core,
            sys.executable,
            str(_SOURCES / "log_server.py"),
            str(self.directory / "haproxy.log"),
        )
        with program(log_server, logs_port) as logs:
            port = lasting_port()
            text = configurations.HAPROXY.format(
                directory=self.directory, port=port, files=backend.files, up=backend.up, logs=logs.ready
            )
            configuration.write_text(text)
            command = pinned(self.proxy_core, *self.under, "/usr/sbin/haproxy", "-db", "-f", str(configuration))
            with subprocess.Popen(command) as process:
                try:
                    _wait(process, lambda: _listens(port) or None)
                    yield Server("haproxy", process.pid, port)
                finally:
                    end(process)

    @contextmanager
    def plexigate(
        self, backend: Backend, name: str = "plexigate", further: str = "", listener: str = ""
    ) -> Iterator[Server]:
        """What is measured; `further` tables of its configuration come last, `listener` are more lines of its listener."""
        configuration = self.directory / f"{name}.toml"
        text = configurations.PLEXIGATE.format(
            name=name, files=backend.files, up=backend.up, further=further, listener=listener
        )
        configuration.write_text(text)
        plexigate = str(Path(sys.executable).with_name("plexigate"))
        command = pinned(self.proxy_core, *self.under, plexigate, "run", str(configuration))
        log = self.directory / f"{name}.log"
        log.unlink(missing_ok=True)
        with subprocess.Popen(command) as process:
            try:
                yield Server(name, process.pid, _wait(process, lambda: _logged_port(log)))
            finally:
                end(process)

    @contextmanager
    def all_three(self, backend: Backend) -> Iterator[tuple[Server, Server, Server]]:
        """The yardsticks, then what is measured."""
        with ExitStack() as stack:
            nginx = stack.enter_context(self.nginx(backend))
            haproxy = stack.enter_context(self.haproxy(backend))
            yield nginx, haproxy, stack.enter_context(self.plexigate(backend))

    @contextmanager
    def http3(self, backend: Backend) -> Iterator[tuple[Server, Server]]:
        """nginx and Plexigate, both with HTTP/3: others of their own, as what offers it is in each answer over TCP."""
        with (
            self._nginx("nginx-http3", self.proxy_core, configurations.PROXY_HTTP3, backend) as nginx,
            self.plexigate(backend, "plexigate-http3", listener="http3 = true") as ours,
        ):
            yield replace(nginx, name="nginx"), replace(ours, name="plexigate")

    @contextmanager
    def _nginx(self, name: str, core: int, http: str, backend: Backend = Backend(0, 0)) -> Iterator[Server]:
        port = lasting_port()
        configuration = self.directory / f"{name}.conf"
        part = http.format(directory=self.directory, port=port, files=backend.files, up=backend.up)
        text = configurations.NGINX.format(directory=self.directory, name=name, user=nginx_user(), http=part)
        configuration.write_text(text)
        under = () if core == self.other_core else self.under
        # The error log of the moment before nginx has read its configuration has to go somewhere writable too.
        command = pinned(core, *under, "/usr/sbin/nginx", "-e", "stderr", "-c", str(configuration))
        with program(command, lambda line: "start worker process" in line or None) as running:
            yield Server(name, running.pid, port)


def compiled(name: str, directory: Path) -> Path:
    """Compile a C program of this package. Fails aloud where a tool is missing."""
    made = directory / name
    flags = ["-Wall", "-Wextra", "-Werror", "-O2", "-pthread", "-o", str(made), str(_SOURCES / f"{name}.c")]
    # by their whole names: the short ones are of a package with headers
    libraries = ["-Wl,--as-needed", "-l:libssl.so.3", "-l:libcrypto.so.3", "-l:libnghttp2.so.14"]
    done = subprocess.run(["gcc", *flags, *libraries], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"{name}.c cannot be built (apt-get install gcc libc6-dev libssl3t64 libnghttp2-14): {done.stderr}"
    )
    return made


def upstream_port(line: str) -> int | None:
    """The port in the readiness line of upstream.c."""
    return int(line.rpartition(" ")[2]) if line.startswith("upstream: ready on ") else None


def logs_port(line: str) -> int | None:
    """The port in the readiness line of log_server.py."""
    return int(line.rpartition(" ")[2]) if line.startswith("log server: ready on ") else None


def pinned(core: int, *command: str) -> list[str]:
    """A command that runs on one core."""
    return ["taskset", "--cpu-list", str(core), *command]


def nginx_user() -> str:
    """As root, nginx would give its worker to somebody who may not read the directory."""
    return "user root;" if Path("/proc/self").stat().st_uid == 0 else ""


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _logged_port(log: Path) -> int | None:
    """The port of Plexigate, whose readiness line is in its log file."""
    for line in log.read_text().split("\n")[:-1] if log.exists() else []:
        if (listeners := plexigate_listeners(line)) is not None:
            return int(listeners["public"][0].rpartition(":")[2])
    return None


def _wait(process: "subprocess.Popen[bytes]", found: Callable[[], int | None]) -> int:
    """What `found` finds as soon as the process is ready."""
    give_up = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < give_up:
        if (answer := found()) is not None:
            return answer
        time.sleep(0.05)
    raise NotReadyError(process.args if isinstance(process.args, list) else [], ["(see above)"])
