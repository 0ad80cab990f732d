"""`plexigate doctor` beside a running proxy: it finds nothing wrong, and then each of several faults."""

import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import prepared
from tests.certificates import DAY, Authority, CertificateFiles
from tests.configurations import identity, process
from tests.integration.upstreams import OK, Peer, scripted
from tests.ports import lasting_port
from tests.programs import PLEXIGATE, plexigate

SECONDS = 90


@dataclass(frozen=True, slots=True)
class Place:
    """A configuration, and what it names."""

    directory: Path
    authority: Authority
    local: CertificateFiles
    server: str

    @property
    def file(self) -> Path:
        """The configuration of the running proxy."""
        return self.directory / "plexigate.toml"

    def write(self, name: str, server: str, bind: str = "127.0.0.1:0") -> Path:
        """Write a configuration for the same admin socket."""
        path = self.directory / name
        top = process(self.directory / "admin.sock")
        listener = f'[listener.public]\nbind = "{bind}"\n'
        upstream = f'[upstream.chat]\nservers = ["{server}"]\n[upstream.chat.health]\npath = "/health"\n'
        route = '[[route]]\nhost = "localhost"\nupstream = "chat"\n'
        path.write_text(top + listener + identity("local", ("localhost",), self.local) + upstream + route)
        return path


def answer(peer: Peer) -> None:
    peer.sock.settimeout(None)
    while True:
        peer.read_head()
        peer.send(OK)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A running proxy."""
    directory = tmp_path_factory.mktemp("d")
    authority = Authority(directory)
    with scripted(answer) as server:
        made = Place(directory, authority, authority.issue("local", ("localhost",)), server.url)
        made.write("plexigate.toml", server.url)
        with plexigate(made.file):
            yield made


def doctor(file: Path, *options: str, authority: Path | None = None) -> tuple[int, dict[str, Any]]:
    """The exit status, and the report."""
    trust = {} if authority is None else {"SSL_CERT_FILE": str(authority)}
    done = prepared.run(
        [PLEXIGATE, "doctor", str(file), "--json", *options],
        {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **trust},
        SECONDS,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def failures(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["check"], one["subject"]) for one in report["findings"] if one["state"] == "failure"}


def test_nothing_is_wrong_with_a_running_proxy(place: Place) -> None:
    status, report = doctor(place.file, authority=place.authority.path)
    assert (status, failures(report), report["running"]) == (0, set(), True)
    states = {(one["check"], one["subject"]): one["state"] for one in report["findings"]}
    assert states["readiness", "the proxy"] == "ok"
    assert states["served configuration", str(place.file)] == "ok"
    assert states["certificates", "local local.pem, trust"] == "ok"
    assert states["names", "localhost"] == "ok"
    assert states["upstreams", f"chat {place.server}"] == "ok"
    assert states["upstream health", f"chat {place.server}"] == "ok"
    assert any(check == "served chains" and state == "ok" for (check, _), state in states.items())
    assert not [one for one in report["findings"] if one["state"] == "unknown" and one["check"] != "clock"]
    assert sum(report["seconds"].values()) < 55 * 8


def test_each_fault_is_found_with_its_remedy(place: Place) -> None:
    expired = place.authority.issue("expired", ("localhost",), (-10 * DAY, -timedelta(hours=1)))
    expired.key.chmod(0o644)
    faulty = Place(place.directory, place.authority, expired, place.server)
    gone = f"http://127.0.0.1:{lasting_port()}"
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        file = faulty.write("faulty.toml", gone, taken)
        status, report = doctor(file)
    assert status == 1
    found = failures(report)
    assert {
        ("configuration", "identity.local.certificate"),
        ("file rights", "identity.local.key"),
        ("certificates", "local expired.pem"),
        ("upstreams", f"chat {gone}"),
        ("upstream health", f"chat {gone}"),
        ("ports", f"{taken} (listener.public.bind[0])"),
    } <= found
    findings = {(one["check"], one["subject"]): one for one in report["findings"]}
    port = findings["ports", f"{taken} (listener.public.bind[0])"]
    assert Path(sys.executable).name[:6] in port["found"], "the program that has it is named"
    assert "chmod 600" in findings["file rights", "identity.local.key"]["remedy"]
    assert findings["served configuration", str(file)]["state"] == "warning"
