"""A proxy with several workers in front of the backend, and what an operator does to it."""

import json
import os
import signal
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.certificates import Authority, CertificateFiles
from tests.configurations import identity, process
from tests.integration.admin import Admin
from tests.integration.stage import workers_of
from tests.programs import PLEXIGATE, Program, plexigate, plexigate_listeners, program


def backend_port(line: str) -> int | None:
    """Where the backend listens, if this is its readiness line."""
    return int(line.rpartition(" ")[2]) if line.startswith("backend: ready on ") else None


@dataclass
class Scene:
    """A running proxy, whose configuration can be rewritten: each attribute is a part of the file."""

    directory: Path
    authority: Authority
    backend: int
    top: str = ""
    listener: str = 'bind = "127.0.0.1:0"\nexempt = ["127.0.0.1"]'
    workers: int = 2
    servers: tuple[str, ...] = ("127.0.0.1",)
    route: str = '[[route]]\nhost = "localhost"\nupstream = "backend"\n'
    extra: str = ""
    running: Program[dict[str, list[str]]] = field(init=False)

    def __post_init__(self) -> None:
        """Make the certificate."""
        self.renew()

    def renew(self) -> None:
        """Put a new certificate and key in place of the old ones, as whoever renews them does."""
        made = self.authority.issue("localhost", ("localhost", "127.0.0.1"))
        made.certificate.replace(self.certificate)
        made.key.replace(self.key)

    @property
    def certificate(self) -> Path:
        """The certificate that it shows."""
        return self.directory / "site.pem"

    @property
    def key(self) -> Path:
        """The key of that."""
        return self.directory / "site.key"

    @property
    def path(self) -> Path:
        """The configuration."""
        return self.directory / "plexigate.toml"

    def write(self) -> None:
        """Write the configuration as it is described now, in one step."""
        servers = json.dumps([self.server(address) for address in self.servers])
        draft = self.path.with_suffix(".draft")
        draft.write_text(
            f"{process(self.directory / 'admin.sock', self.workers)}{self.top}\n[listener.public]\n{self.listener}\n"
            f"{self.identity}\n"
            f"[upstream.backend]\nservers = {servers}\n{self.route}\n{self.extra}\n"
        )
        draft.replace(self.path)

    @property
    def identity(self) -> str:
        """What it proves itself with."""
        return identity("local", ("localhost", "127.0.0.1"), CertificateFiles(self.certificate, self.key))

    def server(self, address: str) -> str:
        """The backend as a server of the upstream, by one of its addresses."""
        return f"http://{address}:{self.backend}"

    @property
    def port(self) -> int:
        """Where it serves."""
        return int(self.running.ready["public"][0].rpartition(":")[2])

    @property
    def client(self) -> ssl.SSLContext:
        """Who trusts it."""
        return self.authority.client_context()

    @property
    def worker_pids(self) -> list[int]:
        """Its workers, the oldest first."""
        return workers_of(self.running.pid)

    @property
    def admin(self) -> Admin:
        """Where it is asked how it is."""
        return Admin(self.directory / "admin.sock")

    def resident_bytes(self) -> dict[int, int]:
        """The memory of the parent and of each worker."""
        return {pid: _resident(pid) for pid in (self.running.pid, *self.worker_pids)}

    def signal(self, number: signal.Signals) -> None:
        """Tell the parent something."""
        os.kill(self.running.pid, number)

    def events(self, *names: str) -> list[dict[str, Any]]:
        """What it has said of these so far."""
        entries = [json.loads(line) for line in list(self.running.output) if line.startswith("{")]
        return [entry for entry in entries if entry.get("event") in names]

    def requests(self, beginning: str) -> list[dict[str, Any]]:
        """What the access log has so far of requests whose path begins so."""
        return [json.loads(line) for line in list(self.running.output) if f'"path":"{beginning}' in line]


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1_024 for line in lines if line.startswith("VmRSS:"))


@contextmanager
def scene(
    directory: Path,
    prefix: Sequence[str] = (),
    descriptors: Sequence[int] = (),
    kind: type[Scene] = Scene,
    **settings: Any,
) -> Iterator[Scene]:
    """Run backend and proxy until the block ends; `prefix` is a program that starts the proxy, which inherits `descriptors`."""
    with program([sys.executable, "-m", "tests.soak.backend"], backend_port) as backend:
        made = kind(directory, Authority(directory), backend.ready, **settings)
        made.write()
        command = [*prefix, PLEXIGATE, "run", str(made.path)]
        is_usual = not prefix and not descriptors
        with (
            plexigate(made.path)
            if is_usual
            else program(command, plexigate_listeners, descriptors=descriptors) as running
        ):
            made.running = running
            yield made
