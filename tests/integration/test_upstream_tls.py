"""Upstreams over https: verified, with post-quantum groups offered, and never cut without a sign."""

import contextlib
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import DAY, Authority, CertificateFiles
from tests.hostile.client import End
from tests.integration.stage import Site, Upstream, request, site
from tests.integration.upstreams import OK, Peer, answering, scripted
from tests.ports import lasting_port
from tests.programs import program

PORTS = ("good", "named", "expired", "foreign", "mutual", "closing", "injecting")


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """A port for each kind of server."""
    return {name: lasting_port() for name in PORTS}


@pytest.fixture(scope="module")
def proxy(
    tmp_path_factory: pytest.TempPathFactory,
    ports: dict[str, int],
    authority: Authority,
    localhost: CertificateFiles,
    certificates: Path,
) -> Iterator[Site]:
    """A proxy that trusts the authority of the tests, and one upstream that trusts the system's."""
    client = authority.issue("proxy-as-client", ("proxy",))
    identity = f'certificate = "{client.certificate}"\nkey = "{client.key}"'
    ca = f'ca = "{authority.path}"'
    upstreams = {name: Upstream((f"https://127.0.0.1:{port}",), ca) for name, port in ports.items()}
    upstreams["named"] = Upstream((f"https://127.0.0.1:{ports['named']}",), f'{ca}\nserver_name = "chat.internal"')
    upstreams["misnamed"] = Upstream((f"https://127.0.0.1:{ports['named']}",), ca)
    upstreams["system"] = Upstream((f"https://127.0.0.1:{ports['good']}",))
    upstreams["mutual"] = Upstream((f"https://127.0.0.1:{ports['mutual']}",), f"{ca}\n{identity}")
    upstreams["unknown"] = Upstream((f"https://127.0.0.1:{ports['mutual']}",), ca)
    with site(tmp_path_factory.mktemp("tls"), authority, localhost, upstreams) as running:
        assert certificates.is_dir()
        yield running


def refused(proxy: Site, path: str) -> str:
    """Ask for a path whose server cannot be talked to; returns what the log says."""
    with proxy.session() as session:
        response = session.get(proxy.url(path))
    assert response.status_code == 502
    assert "certificate" not in response.text.lower()
    error: str = proxy.record(path)["error"]
    return error


def served(proxy: Site, path: str) -> None:
    """Ask for a path that is answered."""
    with proxy.session() as session:
        assert session.get(proxy.url(path)).text == "ok"


class TestVerification:
    """Whoever cannot prove its name gets no request."""

    def test_server_of_the_own_authority_is_talked_to(
        self, proxy: Site, ports: dict[str, int], authority: Authority
    ) -> None:
        with scripted(answering(OK), ports["good"], authority.issue("good").server_context()) as server:
            served(proxy, "/good/x")
            assert len(server.peers) == 1

    def test_own_authority_is_not_one_of_the_system(
        self, proxy: Site, ports: dict[str, int], authority: Authority
    ) -> None:
        with scripted(answering(OK), ports["good"], authority.issue("good-again").server_context()) as server:
            assert "CERTIFICATE_VERIFY_FAILED" in refused(proxy, "/system/x")
            assert server.peers == []

    def test_name_is_that_of_the_configuration(self, proxy: Site, ports: dict[str, int], authority: Authority) -> None:
        context = authority.issue("internal", ("chat.internal",)).server_context()
        names: list[str | None] = []
        context.sni_callback = lambda _, name, __: names.append(name)
        with scripted(answering(OK, OK), ports["named"], context) as server:
            served(proxy, "/named/x")
            assert "CERTIFICATE_VERIFY_FAILED" in refused(proxy, "/misnamed/x")
            assert len(server.peers) == 1
        assert names == ["chat.internal", None]

    def test_expired_certificate(self, proxy: Site, ports: dict[str, int], authority: Authority) -> None:
        context = authority.issue("expired", valid=(-10 * DAY, -DAY)).server_context()
        with scripted(answering(OK), ports["expired"], context) as server:
            assert "CERTIFICATE_VERIFY_FAILED" in refused(proxy, "/expired/x")
            assert server.peers == []

    def test_foreign_authority(self, proxy: Site, ports: dict[str, int], tmp_path: Path) -> None:
        context = Authority(tmp_path, "Foreign authority").issue("foreign").server_context()
        with scripted(answering(OK), ports["foreign"], context) as server:
            assert "CERTIFICATE_VERIFY_FAILED" in refused(proxy, "/foreign/x")
            assert server.peers == []

    def test_client_certificate(self, proxy: Site, ports: dict[str, int], authority: Authority) -> None:
        subjects = []

        def script(peer: Peer) -> None:
            assert isinstance(peer.sock, ssl.SSLSocket)
            certificate = peer.sock.getpeercert()
            assert certificate is not None
            subjects.append(dict(certificate["subjectAltName"]))  # type: ignore[arg-type]
            answering(OK)(peer)

        context = authority.issue("demanding").server_context(client_ca=authority.path)
        with scripted(script, ports["mutual"], context) as server:
            served(proxy, "/mutual/x")
            refused(proxy, "/unknown/x")
            assert len(server.peers) == 1
        assert subjects == [{"DNS": "proxy"}]

    def test_plaintext_before_the_handshake_is_no_answer(self, proxy: Site, ports: dict[str, int]) -> None:
        def script(peer: Peer) -> None:
            peer.send(OK)
            peer.read_to_end()

        with scripted(script, ports["injecting"]):
            assert "TLS handshake" in refused(proxy, "/injecting/x")


class TestEnds:
    """RFC 8446 section 6.1: only close_notify is an end."""

    @pytest.mark.parametrize("says_so", [True, False])
    def test_close_delimited_response(
        self, proxy: Site, ports: dict[str, int], authority: Authority, *, says_so: bool
    ) -> None:
        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
            if says_so:
                assert isinstance(peer.sock, ssl.SSLSocket)
                with contextlib.suppress(ssl.SSLEOFError):  # it waits for the proxy's, which has had enough by then
                    peer.sock.unwrap()
                return
            peer.end()

        context = authority.issue(f"closing-{says_so}").server_context()
        with scripted(script, ports["closing"], context), proxy.connect() as client:
            client.send(request(start=f"GET /closing/{says_so} HTTP/1.1"))
            if says_so:
                assert bytes(client.read_response().body) == b"until the end"
            else:
                data = client.read_to_end()
                assert data.endswith(b"\r\nuntil the end\r\n")
                assert client.end is End.CUT


def s_server_port(line: str) -> int | None:
    """The port of `openssl s_server`, if this is its readiness line."""
    found = re.fullmatch(r"ACCEPT .*:(\d+)", line)
    return found and int(found[1])


def test_post_quantum_groups_are_offered_first(
    tmp_path: Path, authority: Authority, localhost: CertificateFiles
) -> None:
    """OpenSSL's own server shows a page on what its client offered."""
    files = authority.issue("s_server")
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www"]
    command += ["-cert", str(files.certificate), "-key", str(files.key)]
    with program(command, s_server_port) as server:
        upstreams = {"tls": Upstream((f"https://127.0.0.1:{server.ready}",), f'ca = "{authority.path}"', path="/")}
        with site(tmp_path, authority, localhost, upstreams) as proxy, proxy.session() as session:
            page = session.get(proxy.url("/")).text
    groups = re.search(r"Supported groups: (\S+)", page)
    assert groups is not None
    assert groups[1].split(":")[:3] == ["X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"]
    assert "Protocol  : TLSv1.3" in page
