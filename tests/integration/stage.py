"""Plexigate as a process in front of servers that a test plays, and the ways in which clients reach it."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests import prepared
from tests.bench.usage import processes
from tests.certificates import Authority, CertificateFiles
from tests.configurations import process
from tests.hostile.client import Address, Client
from tests.integration.admin import Admin
from tests.prepared_children import WORKER
from tests.programs import PLEXIGATE, Program, plexigate, program

CURL_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Site:
    """A running proxy that answers for localhost."""

    program: Program[dict[str, list[str]]]
    ca: Path
    configuration: Path

    @property
    def pid(self) -> int:
        """Its parent process, which signals go to."""
        return self.program.pid

    @property
    def worker_pids(self) -> list[int]:
        """The processes that serve, the oldest first."""
        return workers_of(self.program.pid)

    @property
    def admin(self) -> Admin:
        """Where it is asked how it is."""
        return Admin(self.configuration.with_suffix(".sock"))

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of an operator against it."""
        return prepared.run([PLEXIGATE, *words, "--config", str(self.configuration)])

    def port(self, listener: str = "public") -> int:
        """The port of a listener."""
        return int(self.program.ready[listener][0].rpartition(":")[2])

    def url(self, path: str = "/", *, scheme: str = "https") -> str:
        """Where it serves."""
        return f"{scheme}://localhost:{self.port()}{path}"

    # -- clients

    def connect(self, source: str = "") -> Client:
        """A connection, from the address `source` if there is one, on which the test chooses every byte."""
        return Client(Address(self.port(), self.ca), "localhost", source=source)

    def session(self) -> requests.Session:
        """A client as people write them in Python."""
        session = requests.Session()
        session.verify = str(self.ca)
        session.trust_env = False
        return session

    def curl(self, *arguments: str, path: str = "/", url: str = "") -> "subprocess.CompletedProcess[bytes]":
        """Run curl against a path of the site, or another URL: by HTTP/1.1, unless `arguments` say otherwise."""
        command = ["curl", "--http1.1", "--silent", "--show-error", "--noproxy", "*", "--cacert", str(self.ca)]
        return subprocess.run(
            [*command, *arguments, url or self.url(path)], capture_output=True, timeout=CURL_SECONDS, check=False
        )

    # -- what it shows

    def records(self, path: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for that many lines of the access log about a path."""

        def find(output: list[str]) -> list[dict[str, Any]] | None:
            found = [
                entry for line in output if line.startswith("{") and (entry := json.loads(line)).get("path") == path
            ]
            return found if len(found) >= count else None

        found = self.program.wait_for(find)
        assert len(found) == count
        return found

    def record(self, path: str) -> dict[str, Any]:
        """Wait for the line of the access log about a path that was asked for once."""
        return self.records(path)[0]

    @property
    def resident_bytes(self) -> int:
        """The memory that the workers hold now."""
        return sum(memory_of(pid) for pid in self.worker_pids)

    @property
    def peak_bytes(self) -> int:
        """The most memory that they have held since `forget_peak`."""
        return sum(_status(pid, "VmHWM") for pid in self.worker_pids)

    def forget_peak(self) -> None:
        """Let the peak start again at what is held now."""
        for pid in self.worker_pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def workers_of(pid: int) -> list[int]:
    """The workers of a parent, the oldest first: not the processes that look at its tokens, which come and go."""
    workers = [
        one
        for one in processes(pid)
        if b"\0proxy.worker.entry\0" in _read(one, "cmdline") or _read(one, "comm").strip() == WORKER
    ]
    return sorted(workers, key=lambda one: (_started(one), one))


def _started(pid: int) -> int:
    """When a process began, in ticks: zero when it is gone."""
    stat = _read(pid, "stat")
    return int(stat.rpartition(b")")[2].split()[19]) if stat else 0


def _read(pid: int, name: str) -> bytes:
    """A file about a process: nothing when that is gone, as it may be in the middle of this."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def memory_of(pid: int) -> int:
    """The memory that a process holds now."""
    return _status(pid, "VmRSS")


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(name + ":")]
    return int(line.split()[1]) * 1_024


@dataclass(frozen=True, slots=True)
class Upstream:
    """One upstream of a site. Its route is `/NAME`, or `path`; `settings` are TOML lines of `[upstream.NAME]`."""

    servers: tuple[str | tuple[str, int], ...]
    """URLs, or pairs of one and its weight."""
    settings: str = ""
    path: str | None = None
    route: str = ""
    """TOML lines of its `[[route]]`."""


@contextmanager
def site(
    directory: Path,
    authority: Authority,
    certificate: CertificateFiles,
    upstreams: Mapping[str, Upstream],
    extra: str = "",
    *,
    is_pretty: bool = False,
) -> Iterator[Site]:
    """Run a proxy; `extra` are further tables of its configuration. It must not have written anything unexpected."""
    configuration = write_configuration(directory, certificate, upstreams, extra)
    with serving(configuration, authority, is_pretty=is_pretty) as running:
        yield running


@contextmanager
def serving(configuration: Path, authority: Authority, *, is_pretty: bool = False) -> Iterator[Site]:
    """Run a proxy by a configuration that `write_configuration` wrote. It must not have written anything unexpected."""
    pretty = [PLEXIGATE, "run", str(configuration), "--log-format", "pretty"]
    with program(pretty, _pretty_listeners) if is_pretty else plexigate(configuration) as running:
        yield Site(running, authority.path, configuration)
    assert is_pretty or complaints(running.output) == []


def _pretty_listeners(line: str) -> dict[str, list[str]] | None:
    found = re.search(r"  listener (\S+): (\S+)", line)
    return found and {found[1]: [found[2]]}


def write_configuration(
    directory: Path,
    certificate: CertificateFiles,
    upstreams: Mapping[str, Upstream],
    extra: str = "",
    workers: int = 1,
) -> Path:
    """Write a configuration with one identity, which is localhost's."""
    listeners = "" if "[listener.public]" in extra else '[listener.public]\nbind = "127.0.0.1:0"\n'
    text = (
        f"{listeners}{extra}\n[identity.local]\nnames = {json.dumps(['localhost', '127.0.0.1'])}\n"
        f"certificate = {json.dumps(str(certificate.certificate))}\nkey = {json.dumps(str(certificate.key))}\n"
    )
    for name, upstream in upstreams.items():
        path = upstream.path or f"/{name}"
        text += f"[upstream.{name}]\nservers = [{_servers(upstream)}]\n{upstream.settings}\n"
        text += f'[[route]]\nhost = "localhost"\npath = "{path}"\nupstream = "{name}"\n{upstream.route}\n'
    configuration = directory / f"site-{len(list(directory.glob('site-*.toml')))}.toml"
    configuration.write_text(process(configuration.with_suffix(".sock"), workers) + text)
    return configuration


def _servers(upstream: Upstream) -> str:
    return ", ".join(
        json.dumps(one) if isinstance(one, str) else f"{{ address = {json.dumps(one[0])}, weight = {one[1]} }}"
        for one in upstream.servers
    )


def complaints(output: list[str]) -> list[str]:
    """Lines that a proxy never writes unless something happened that nobody expected."""
    return [line for line in output if not line.startswith("{") or json.loads(line).get("event") == "error"]


def body_of(completed: "subprocess.CompletedProcess[bytes]") -> bytes:
    """What curl received, which must have succeeded."""
    assert completed.returncode == 0, completed.stderr.decode()
    return completed.stdout


def request(*lines: str, start: str = "GET / HTTP/1.1", body: bytes = b"") -> bytes:
    """Write a request."""
    return "\r\n".join([start, "Host: localhost", *lines, "", ""]).encode() + body
