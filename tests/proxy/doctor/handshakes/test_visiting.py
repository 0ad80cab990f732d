"""Visits to servers of another stack: each is right or wrong for what a configuration says of it."""

import ssl
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.schema import Config
from proxy.doctor.finding import Finding, State
from proxy.doctor.handshakes.visiting import ListenerVisit, passthrough_finding
from proxy.doctor.handshakes.visits import Entrance, PassedOn, VisitedListener, listeners_to_visit
from tests.certificates import Authority, CertificateFiles
from tests.proxy.doctor.handshakes.tls_servers import context, tls_server, unused_door

NOW = datetime.now(UTC)  # noqa: TID251 - the certificates are of today


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return Authority(tmp_path_factory.mktemp("visiting")).issue("chat", ("chat.test",))


def configured(door: Entrance, listener: str = "", rest: str = "") -> Config:
    text = (
        f'[listener.public]\nbind = "{door}"\n{listener}\n'
        f'[identity.chat]\nnames = ["chat.test"]\ncertificate = "c.pem"\nkey = "k.pem"\n{rest}'
    )
    return Config.model_validate(tomllib.loads(text))


def visitor(door: Entrance, listener: str = "", rest: str = "", pauses: list[float] | None = None) -> ListenerVisit:
    (one,) = listeners_to_visit(configured(door, listener, rest), {}, lambda _: True)
    assert isinstance(one, VisitedListener)
    return ListenerVisit(one, (pauses if pauses is not None else []).append)


def states(findings: Iterator[Finding]) -> dict[str, State]:
    return {one.check: one.state for one in findings}


def http_1(tls: ssl.SSLSocket) -> None:
    """Answer as the proxy does: by itself to a host that is not its own, else for the server."""
    request = tls.recv(10_000)
    if b"Host: chat.test" not in request:
        tls.sendall(b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n")
    elif request:
        tls.sendall(b"HTTP/1.1 200 OK\r\nVia: 1.1 plexigate\r\nContent-Length: 0\r\n\r\n")


class TestPolicy:
    def test_server_that_does_as_the_policy_says(self, files: CertificateFiles) -> None:
        made = context(files, "X25519MLKEM768 / X25519")
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        with tls_server(made, http_1) as door:
            one = visitor(door, 'http = ["http/1.1"]\ndefault = "chat"')
            found = states(one.policy_findings())
        assert len(one.seconds) == 5
        assert found == {
            "hybrid key share": State.OK,
            "classical key share": State.OK,
            "classical client": State.OK,
            "hello in many segments": State.OK,
            "unknown server name": State.OK,
            "TLS 1.2": State.OK,
            "resumption": State.OK,
            "handshake latency": State.OK,
        }

    def test_server_with_classical_groups_and_tls_1_2_and_no_tickets(self, files: CertificateFiles) -> None:
        made = context(files, "X25519")
        made.num_tickets = 0
        with tls_server(made, http_1) as door:
            found = states(visitor(door, 'http = ["http/1.1"]').policy_findings())
        assert found == {
            "hybrid key share": State.FAILURE,
            "classical key share": State.FAILURE,
            "classical client": State.OK,
            "hello in many segments": State.FAILURE,
            "unknown server name": State.FAILURE,
            "TLS 1.2": State.FAILURE,
            "resumption": State.FAILURE,
            "handshake latency": State.OK,
        }

    def test_nothing_listens(self) -> None:
        found = states(visitor(unused_door()).policy_findings())
        assert found == {
            "hybrid key share": State.FAILURE,
            "further handshakes": State.SKIPPED,
            "handshake latency": State.SKIPPED,
        }

    def test_group_that_the_stack_lacks_is_said_to_be_untried(self, files: CertificateFiles) -> None:
        config = configured(Entrance("127.0.0.1", 443), 'groups = ["x25519_frodo640aes", "X25519MLKEM768", "X25519"]')
        with tls_server(context(files)) as door:
            (one,) = listeners_to_visit(config, {"public": [str(door)]}, lambda name: "frodo" not in name)
            assert isinstance(one, VisitedListener)
            untried, hybrid, *_ = ListenerVisit(one).policy_findings()
        assert untried.state is State.SKIPPED
        assert untried.found.endswith("has no x25519_frodo640aes")
        assert hybrid.state is State.OK

    def test_listener_that_relays_gives_no_ticket_by_itself(self, files: CertificateFiles) -> None:
        with tls_server(context(files)) as door:
            found = states(visitor(door, 'protocol = "tcp"\nupstream = "irc"').policy_findings())
        assert found["resumption"] is State.SKIPPED

    def test_pauses_before_each_handshake(self, files: CertificateFiles) -> None:
        pauses: list[float] = []
        limits = "[listener.public.limits]\nhandshakes_per_second_per_address = 20\nhandshake_burst_per_address = 2\n"
        with tls_server(context(files), http_1) as door:
            list(visitor(door, 'http = ["http/1.1"]', limits, pauses).policy_findings())
        assert pauses == [0.05] * 8


class TestNames:
    def found(self, door: Entrance, rest: str = "", *, mldsa: bool | None = None) -> dict[str, tuple[State, str]]:
        told = {} if mldsa is None else {"chat": mldsa}
        pairs = visitor(door, rest=rest).name_findings(told, NOW)
        return {one.check: (one.state, one.found) for _, one in pairs}

    def test_chain_and_mldsa(self, files: CertificateFiles) -> None:
        with tls_server(context(files)) as door:
            found = self.found(door)
        assert found["presented chain"][0] is State.OK
        assert found["ML-DSA client"][0] is State.OK

    def test_missing_mldsa_certificate(self, files: CertificateFiles) -> None:
        with tls_server(context(files)) as door:
            assert self.found(door, mldsa=True)["ML-DSA client"][0] is State.FAILURE

    def test_certificate_of_another_name(self, tmp_path: Path) -> None:
        other = Authority(tmp_path).issue("other", ("other.test",))
        with tls_server(context(other)) as door:
            assert self.found(door)["presented chain"] == (State.FAILURE, "the certificate is for other.test")

    def test_nothing_listens(self) -> None:
        found = self.found(unused_door())
        assert {state for state, _ in found.values()} == {State.FAILURE}

    @pytest.mark.parametrize("is_demanded", [True, False])
    def test_demanded_client_certificates(self, files: CertificateFiles, *, is_demanded: bool) -> None:
        clients = '[identity.chat.client_certificates]\nca = "ca.pem"\n'
        made = context(files)
        if is_demanded:
            made.load_verify_locations(files.certificate)
            made.verify_mode = ssl.CERT_REQUIRED
        with tls_server(made) as door:
            state, _ = self.found(door, clients)["client certificate"]
        assert (state is State.OK) is is_demanded

    def test_many_names_are_cut(self) -> None:
        names = ", ".join(f'"{number}.test"' for number in range(202))
        text = f'[listener.public]\nbind = "{unused_door()}"\n[identity.chat]\nnames = [{names}]\n'
        config = Config.model_validate(tomllib.loads(text + 'certificate = "c.pem"\nkey = "k.pem"\n'))
        (one,) = listeners_to_visit(config, {}, lambda _: True)
        assert isinstance(one, VisitedListener)
        *_, (_, last) = ListenerVisit(one).name_findings({}, NOW)
        assert last.state is State.SKIPPED
        assert last.subject.endswith("2 more names")


class TestRequests:
    def found(self, door: Entrance, http: str) -> dict[str, tuple[State, str]]:
        one = visitor(door, f"http = {http}")
        return {
            found.check: (found.state, found.found) for found in one.request_findings(one.listener.names[0], "/health")
        }

    def test_get_and_upgrade_over_http_1(self, files: CertificateFiles) -> None:
        with tls_server(context(files, alpn=("http/1.1",)), http_1) as door:
            found = self.found(door, '["http/1.1"]')
        assert found["HTTP/1.1"] == (State.OK, "the server behind the proxy answers 200")
        assert found["WebSocket"][0] is State.OK
        assert "HTTP/2" not in found

    def test_websocket_is_closed_politely(self, files: CertificateFiles) -> None:
        last: list[bytes] = []

        def switch(tls: ssl.SSLSocket) -> None:
            request = tls.recv(10_000)
            if b"Upgrade: websocket" in request:
                accept = b"Sec-WebSocket-Accept: %b\r\n" % accepted(request)
                tls.sendall(b"HTTP/1.1 101 Switching Protocols\r\n" + accept + b"\r\n")
                last.append(tls.recv(100))

        with tls_server(context(files, alpn=("http/1.1",)), switch) as door:
            found = self.found(door, '["http/1.1"]')
        assert found["WebSocket"] == (State.OK, "the server behind the proxy switched to WebSocket (101)")
        assert found["HTTP/1.1"][0] is State.FAILURE  # it only closed
        assert last == [bytes.fromhex("8882 00000000 03e8")]

    def test_server_without_alpn(self, files: CertificateFiles) -> None:
        with tls_server(context(files)) as door:
            found = self.found(door, '["h2"]')
        assert found == {"HTTP/2": (State.FAILURE, "ALPN settled nothing where h2 was offered")}

    def test_server_that_speaks_another_protocol_than_it_says(self, files: CertificateFiles) -> None:
        with tls_server(context(files, alpn=("h2",)), lambda tls: tls.sendall(b"HTTP/1.1 200 OK\r\n\r\n")) as door:
            state, words = self.found(door, '["h2"]')["HTTP/2"]
        assert state is State.FAILURE
        assert "broken HTTP/2 session" in words

    def test_nothing_listens(self) -> None:
        found = self.found(unused_door(), '["h2", "http/1.1"]')
        assert {state for state, _ in found.values()} == {State.FAILURE}
        assert list(found) == ["HTTP/1.1", "HTTP/2", "WebSocket"]


def accepted(request: bytes) -> bytes:
    """What RFC 6455 section 4.2.2 has a server answer."""
    from base64 import b64encode
    from hashlib import sha1

    (key,) = (line.partition(b": ")[2] for line in request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
    return b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())


def test_passthrough(files: CertificateFiles) -> None:
    with tls_server(context(files)) as door:
        found = passthrough_finding(PassedOn("public", "turn.test", "tcp://127.0.0.1:5349", door))
    assert found.state is State.OK
    assert found.found.startswith("tcp://127.0.0.1:5349 answers: TLSv1.3")
    dead = passthrough_finding(PassedOn("public", "turn.test", "tcp://127.0.0.1:5349", unused_door()))
    assert dead.state is State.FAILURE
