"""Answers over TCP offer HTTP/3 once the proxy has reached itself by UDP, and take it back."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.quic.availability import unavailable
from tests.configurations import MINIMAL_REST, Site, listener
from tests.integration.gateway import Gateway, Trust, echo, events, gateway
from tests.integration.upstreams import scripted
from tests.programs import PLEXIGATE, plexigate_listeners, program
from tests.service_manager import activation
from tests.upgrades import upgrade
from tests.waiting import is_alive, until_found

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

LISTENERS = listener("standard", http3=True) + listener(
    "strict", http3=True, level="quantum-safe", weaker_signatures=True
)
SECONDS = 60


@pytest.fixture
def running(trust: Trust, tmp_path: Path) -> Iterator[Gateway]:
    with scripted(echo) as server, gateway(tmp_path, trust, server, LISTENERS + listener("without")) as running:
        running.program.wait_for(lambda output: len(events(output, "http3_offered")) == 2 or None)
        yield running


def offered(running: Gateway, *arguments: str, on: str = "standard", path: str = "/") -> list[str]:
    """The values of Alt-Svc in the head of an answer."""
    said = running.curl("--head", *arguments, on=on, path=path)
    assert said.status == 0, said.errors
    return re.findall(r"(?im)^alt-svc: (.*?)\r?$", said.output)


def test_answers_offer_what_curl_then_uses_until_it_is_switched_off(running: Gateway, tmp_path: Path) -> None:
    ours = f'h3=":{running.port()}"; ma=3600'
    assert offered(running, "--http1.1") == offered(running, "--http2") == [ours]
    assert offered(running, "--http2", "-H", "Host: other.example") == [ours], "an answer of the proxy itself"
    assert offered(running, on="without") == []
    assert offered(running, "--curves", "SecP384r1MLKEM1024", on="strict") != []

    command = ["curl", "--silent", "--ipv4", "--cacert", str(running.trust.classical.path), "--noproxy", "*"]
    command += ["--alt-svc", str(tmp_path / "alt-svc"), "--output", "/dev/null", "--write-out", "%{http_version}"]
    command.append(f"https://localhost:{running.port()}/")
    versions = [subprocess.run(command, capture_output=True, check=True, timeout=SECONDS).stdout for _ in range(2)]
    assert versions == [b"2", b"3"]

    file = tmp_path / "gateway-0.toml"
    status = subprocess.run(
        [PLEXIGATE, "status", "--json", "--socket", str(file.with_suffix(".sock"))],
        capture_output=True,
        check=True,
        timeout=SECONDS,
    )
    listeners = {one["name"]: one["http3"] for one in json.loads(status.stdout)["listeners"]}
    assert listeners["without"] is None
    assert (listeners["standard"]["port"], listeners["standard"]["fault"]) == (running.port(), None)
    assert listeners["standard"]["connections"] >= 2, "the proxy's own, and that of curl"

    doctor = subprocess.run(
        [PLEXIGATE, "doctor", "examine", str(file), "--json"], capture_output=True, check=False, timeout=SECONDS
    )
    found = json.loads(doctor.stdout)["findings"]
    states = {one["subject"]: one["state"] for one in found if one["check"] == "http3"}
    assert states[f"standard 127.0.0.1 UDP {running.port()}"] == "ok"
    assert states["standard DNS"] == "ok"

    file.write_text(file.read_text().replace("http3 = true", "http3 = false"))
    os.kill(running.program.pid, signal.SIGHUP)
    running.program.wait_for(lambda output: len(events(output, "http3_not_offered")) == 2 or None)
    assert offered(running) == ["clear"]


def test_an_upgrade_that_switches_it_off_has_clients_forget_it(running: Gateway, tmp_path: Path) -> None:
    assert offered(running) != []
    file = tmp_path / "gateway-0.toml"
    file.write_text(file.read_text().replace("http3 = true", "http3 = false"))
    told = upgrade(file, "--program", PLEXIGATE)
    assert told.status == 0, told
    try:
        until_found(lambda: offered(running) == ["clear"])
    finally:
        os.kill(told.last["pid"], signal.SIGTERM)
        until_found(lambda: not is_alive(told.last["pid"]))


def test_sockets_of_the_service_manager_serve_it(tmp_path: Path) -> None:
    """`ListenDatagram=`, and what systemd has kept at a restart."""
    site = Site.make(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(tcp.getsockname())
        port = tcp.getsockname()[1]
        text = listener("public", bind=f"127.0.0.1:{port}", http3=True) + site.identity + MINIMAL_REST
        file = site.write("workers = 2\n" + text)
        prefix, descriptors = activation(public=tcp, udp=udp)
        with program([*prefix, PLEXIGATE, "run", str(file)], plexigate_listeners, descriptors=descriptors) as running:
            running.wait_for(lambda output: events(output, "http3_offered") or None)
            assert events(running.output, "socket_unused") == []
            command = ["curl", "--silent", "--http3-only", "--cacert", str(site.authority.path), "--noproxy", "*"]
            command += ["--resolve", f"chat.test:{port}:127.0.0.1", "--output", "/dev/null"]
            command += ["--write-out", "%{http_version} %{http_code}", f"https://chat.test:{port}/"]
            told = [subprocess.run(command, capture_output=True, check=True, timeout=SECONDS).stdout for _ in range(8)]
    assert told == [b"3 502"] * 8, "nobody is behind it"
