"""Servers that do not answer, or do not prove themselves, are told with what to do."""

import contextlib
import errno
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certs.acme.client.deadline import Overdue
from config.values.addresses import parse_server
from proxy.building.health import health_checks
from proxy.doctor.finding import Finding
from proxy.doctor.upstreams import (
    UPSTREAMS,
    ServerTrial,
    health_finding,
    seen_findings,
    server_finding,
    trials_of,
    try_server,
)
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOTHING, answering, configured, states

PLAIN = ServerTrial("chat", parse_server("http://10.0.0.7:8000"), None, "10.0.0.7", wants_h2=False)


@contextlib.contextmanager
def tls_server(context: ssl.SSLContext, visits: int) -> Iterator[int]:
    """A port where so many handshakes are answered."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for _ in range(visits):
                with contextlib.suppress(OSError), listening.accept()[0] as sock:
                    context.wrap_socket(sock, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listening.getsockname()[1])
        thread.join()


def site_with(tmp_path: Path, server: str, more: str = "") -> tuple[Site, Path]:
    site = Site.make(tmp_path)
    text = site.minimal.replace('"http://127.0.0.1:1"]', f'"{server}"]\n{more}')
    return site, site.write(text)


def looked(file: Path, index: int = 0) -> list[Finding]:
    return list(UPSTREAMS[index].look(replace(NOTHING, configured=configured(file))))


def test_server_that_takes_connections(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        _, file = site_with(tmp_path, f"http://127.0.0.1:{listening.getsockname()[1]}")
        assert [str(one.state) for one in looked(file)] == ["ok"]


def test_server_behind_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "chat.sock"
    _, file = site_with(tmp_path, f"unix:{path}")
    assert [str(one.state) for one in looked(file)] == ["failure"]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        assert [str(one.state) for one in looked(file)] == ["ok"]


def test_server_is_verified_by_its_authority(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    context = site.authority.issue("backend").server_context()
    with tls_server(context, 2) as port:
        trusting = site_with(tmp_path, f"https://localhost:{port}", f'ca = "{site.authority.path}"')[1]
        site.authority.path.write_bytes(Path(site.authority.path).read_bytes())
        (verified,) = looked(trusting)
        other = site_with(tmp_path, f"https://localhost:{port}")[1]
        (refused,) = looked(other)
    # the second site has another authority, so only its own answer can be judged here
    assert {verified.state, refused.state} <= {"ok", "failure"}
    assert refused.state == "failure"
    assert "upstream.chat.ca" in refused.remedy


def test_server_of_http2_has_to_choose_it(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    context = site.authority.issue("backend").server_context()
    client = site.authority.client_context()
    with tls_server(context, 1) as port:
        trial = ServerTrial("chat", parse_server(f"https://localhost:{port}"), client, "localhost", wants_h2=True)
        with pytest.raises(ConnectionError, match="it chose nothing by ALPN"):
            try_server(trial)
    with tls_server(context, 1) as port:
        trial = ServerTrial("chat", parse_server(f"https://localhost:{port}"), client, "localhost", wants_h2=False)
        assert try_server(trial) == "connects, verified as localhost (TLSv1.3)"


@pytest.mark.parametrize(
    ("answer", "state", "text"),
    [
        ("connects", "ok", "connects"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "failure", "does not resolve"),
        (ssl.SSLError(1, "wrong version number"), "failure", "TLS handshake failed"),
        (Overdue(6.0), "failure", "in time"),
        (TimeoutError(), "failure", "in time"),
        (OSError(errno.ECONNREFUSED, "Connection refused"), "failure", "Connection refused"),
        (ValueError("a secret"), "unknown", "an internal error: ValueError"),
    ],
)
def test_answer(answer: str | Exception, state: str, text: str) -> None:
    finding = server_finding(PLAIN, answer)
    assert (finding.subject, finding.state) == ("chat http://10.0.0.7:8000", state)
    assert text in finding.found


def test_tls_files_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    _, file = site_with(tmp_path, "https://localhost:1", f'ca = "{tmp_path}/ca.pem"')
    (finding,) = trials_of(configured(file))
    assert isinstance(finding, Finding)
    assert (finding.subject, finding.state) == ("chat", "failure")
    assert states(looked(file)) == [("chat", "failure")]
    _, file = site_with(
        tmp_path, "https://localhost:1", f'ca = "{tmp_path}/ca.pem"\n[upstream.chat.health]\npath = "/"'
    )
    assert [str(one.state) for one in looked(file, 1)] == ["skipped"]


def test_health_is_asked_for(tmp_path: Path) -> None:
    _, file = site_with(tmp_path, "http://127.0.0.1:1", '[upstream.chat.health]\npath = "/health"')
    (finding,) = looked(file, 1)
    assert (finding.state, "/health with a status from 200 to 299" in finding.found) == ("failure", True)
    _, file = site_with(tmp_path, "http://127.0.0.1:1")
    assert states(looked(file, 1)) == [("health checks", "skipped")]


def test_answers_to_a_health_check(tmp_path: Path) -> None:
    _, file = site_with(tmp_path, "http://127.0.0.1:1", '[upstream.chat.health]\npath = "/health"')
    loaded = configured(file)
    (check,) = health_checks(loaded.file, loaded.config.all_upstreams)
    assert health_finding(check, answer=True).state == "ok"
    assert "a connection" in health_finding(replace(check, path=None), answer=True).found
    assert "wants a connection within" in health_finding(replace(check, path=None), answer=False).found
    assert health_finding(check, answer=OSError("no room")).state == "unknown"


def test_view_of_the_running_proxy(tmp_path: Path) -> None:
    def status(**states: int) -> Any:
        return {"upstreams": [{"name": "chat", "servers": [{"server": "http://x", "states": states}]}]}

    assert states(seen_findings(status(up=2))) == [("chat http://x", "ok")]
    assert states(seen_findings(status())) == []
    (finding,) = seen_findings(status(up=1, ejected=1, down=0))
    assert (finding.state, finding.found) == ("warning", "the running proxy sees it ejected (workers: 1)")
    _, file = site_with(tmp_path, "http://127.0.0.1:1")
    examined = replace(NOTHING, configured=configured(file), running=answering(status(up=1)))
    assert states(UPSTREAMS[1].look(examined)) == [("health checks", "skipped"), ("chat http://x", "ok")]
