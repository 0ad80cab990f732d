"""Clients that prove who they are: real programs in front of the running proxy, and what its server is told."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.certificates import DAY, Authority
from tests.client_authorities import ClientAuthority, ClientFiles
from tests.hostile.client import Client
from tests.integration.clients_scene import (
    ADMINS,
    BOTS,
    OPEN,
    SECONDS,
    WIDE,
    Asking,
    Clients,
    asking,
    byte_sequence,
    install_in,
    told,
)
from tests.integration.http2 import Http2Client


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Asking]:
    clients = Clients.make(tmp_path_factory.mktemp("clients"))
    with asking(tmp_path_factory.mktemp("proxy"), authority, clients) as running:
        yield running


FORGED = (
    *("Client-Cert: :forged:", "client-cert: :forged:", "CLIENT-CERT-CHAIN: :forged:", "Client_Cert: :forged:"),
    *("client.cert: :forged:", "X-Client-Cert: forged", "X-SSL-Client-Verify: forged", "SSL-Client-Cert: forged"),
)


class TestCurl:
    def test_ecdsa(self, proxy: Asking) -> None:
        fields = proxy.fields(BOTS, client=proxy.clients.bot, path="/ecdsa")
        assert fields["client-cert"] == byte_sequence(proxy.clients.bot.der)
        assert "client-cert-chain" not in fields
        assert proxy.site.record("/ecdsa")["subject"] == "CN=bot 1"

    def test_mldsa_with_an_intermediate(self, proxy: Asking) -> None:
        for protocol in ("--http1.1", "--http2"):
            fields = proxy.fields(BOTS, protocol, client=proxy.clients.modern)
            assert fields["client-cert"] == byte_sequence(proxy.clients.modern.der)
            assert fields["client-cert-chain"] == byte_sequence(proxy.clients.modern.chain[0])

    def test_mldsa_up_to_the_root(self, proxy: Asking) -> None:
        fields = proxy.fields(ADMINS, client=proxy.clients.admin, path="/admin")
        assert fields["client-cert"] == byte_sequence(proxy.clients.admin.der)
        assert proxy.site.record("/admin")["subject"] == "CN=admin"

    def test_without_one(self, proxy: Asking) -> None:
        assert proxy.curl(BOTS).returncode != 0
        failed = proxy.failure("client_certificate_missing", BOTS)
        assert failed["alert"] == "certificate_required"

    def test_certificate_for_another_identity(self, proxy: Asking) -> None:
        assert proxy.curl(ADMINS, client=proxy.clients.bot).returncode != 0
        failed = proxy.failure("client_certificate_untrusted", ADMINS)
        assert failed["alert"] == "unknown_ca"
        assert failed["detail"].endswith(": CN=bot 1")

    def test_where_it_is_optional(self, proxy: Asking) -> None:
        assert "client-cert" not in proxy.fields(OPEN, path="/open")
        assert "subject" not in proxy.site.record("/open")
        assert "client-cert" in proxy.fields(OPEN, client=proxy.clients.bot)
        assert proxy.curl(OPEN, client=proxy.clients.admin).returncode != 0  # one that is shown is judged

    def test_route_that_demands_one(self, proxy: Asking) -> None:
        assert "client-cert" in proxy.fields(OPEN, client=proxy.clients.bot, path="/members")
        for protocol in ("--http1.1", "--http2"):
            refused = proxy.curl(OPEN, protocol, "--include", path="/members/list")
            assert b" 403" in refused.stdout.partition(b"\r\n")[0]
            assert b"requires a client certificate" in refused.stdout
        records = proxy.site.records("/members/list", 2)
        assert {record["error"] for record in records} == {"client_certificate_required"}

    @pytest.mark.parametrize(
        "target", ["/./members", "/x/../members", "//members", "/%6dembers", "/members%2fx", "/members;x"]
    )
    def test_no_other_spelling_of_its_path(self, proxy: Asking, target: str) -> None:
        refused = proxy.curl(OPEN, "--path-as-is", "--include", path=target)
        assert refused.stdout.partition(b"\r\n")[0].split(b" ")[1] in {b"400", b"403"}

    @pytest.mark.parametrize("protocol", ["--http1.1", "--http2"])
    @pytest.mark.parametrize("host", [OPEN, WIDE, BOTS])
    def test_nobody_says_it_himself(self, proxy: Asking, protocol: str, host: str) -> None:
        client = proxy.clients.bot if host == BOTS else None
        lines = [argument for line in FORGED for argument in ("--header", line)]
        fields = proxy.fields(host, protocol, *lines, client=client)
        assert "forged" not in json.dumps(fields)
        assert {name for name in fields if "cert" in name} == ({"client-cert"} if client else set())

    @pytest.mark.parametrize("value", ["Client-Cert", "client-cert, close", "X-TLS-Group, CLIENT-CERT"])
    def test_connection_does_not_take_it_away(self, proxy: Asking, value: str) -> None:
        """What Connection names is left out of the client's fields, never of ours (RFC 9110 section 7.6.1)."""
        fields = proxy.fields(BOTS, "--header", f"Connection: {value}", client=proxy.clients.bot)
        assert fields["client-cert"] == byte_sequence(proxy.clients.bot.der)

    @pytest.mark.parametrize(("host", "passes"), [(OPEN, False), (WIDE, True)])
    def test_trusted_peer_says_it_where_clients_are_not_asked(self, proxy: Asking, host: str, passes: bool) -> None:  # noqa: FBT001
        fields = proxy.fields(host, "--interface", "127.0.0.2", "--header", "Client-Cert: :AAAA:")
        assert ("client-cert" in fields) is passes


class TestNss:
    """The TLS library of Firefox."""

    @pytest.fixture
    def database(self, proxy: Asking, tmp_path: Path) -> str:
        install_in(f"sql:{tmp_path}", tmp_path, proxy.clients.bot)
        command = ["certutil", "-d", f"sql:{tmp_path}", "-A", "-n", "authority", "-t", "C,,", "-i", str(proxy.site.ca)]
        subprocess.run(command, check=True, timeout=SECONDS)
        return f"sql:{tmp_path}"

    @pytest.mark.parametrize(("arguments", "status"), [((), b"200"), (("-n", "none"), b"")])
    def test_it_shows_its_certificate(
        self, proxy: Asking, database: str, tmp_path: Path, arguments: tuple[str, ...], status: bytes
    ) -> None:
        request = tmp_path / "request"
        request.write_bytes(f"GET /nss HTTP/1.1\r\nHost: {BOTS}\r\nConnection: close\r\n\r\n".encode())
        command = ["tstclnt", "-h", "127.0.0.1", "-p", str(proxy.site.port()), "-a", BOTS, "-d", database]
        done = subprocess.run(
            [*command, "-V", "tls1.3:tls1.3", "-A", str(request), *arguments],
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        assert (b"HTTP/1.1 200" in head) is bool(status)
        if status:
            assert told(body)["client-cert"] == byte_sequence(proxy.clients.bot.der)


class TestOtherHosts:
    """A connection has shown its certificate to one identity."""

    def ask(self, proxy: Asking, name: str, host: str, client: ClientFiles | None) -> int:
        with Client(proxy.address, name, proxy.context(client)) as one:
            one.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return one.read_response().status

    def test_name_of_a_wildcard_opens_none_that_asks(self, proxy: Asking) -> None:
        """The wildcard *.asking.test covers all of these names."""
        assert self.ask(proxy, WIDE, WIDE, None) == 200
        assert [self.ask(proxy, WIDE, host, None) for host in (BOTS, ADMINS, OPEN)] == [421, 421, 421]

    def test_one_identity_opens_no_other(self, proxy: Asking) -> None:
        assert self.ask(proxy, BOTS, ADMINS, proxy.clients.bot) == 421
        assert self.ask(proxy, OPEN, BOTS, proxy.clients.bot) == 421

    def test_streams_of_http2_neither(self, proxy: Asking) -> None:
        for name, files in ((WIDE, None), (BOTS, proxy.clients.bot.files)):
            with Http2Client(proxy.address, name, certificate=files) as one:
                streams = [one.ask(authority=host) for host in (name, ADMINS, OPEN)]
                answers = [one.answer(stream) for stream in streams]
                assert [answer.status for answer in answers] == [200, 421, 421]
                assert ("client-cert" in told(bytes(answers[0].body))) is (files is not None)


class TestWebSocket:
    @pytest.mark.parametrize("host", [BOTS, OPEN])
    def test_opening_carries_the_certificate_and_no_forged_one(self, proxy: Asking, host: str) -> None:
        client = proxy.clients.bot if host == BOTS else None
        sock = socket.create_connection(("127.0.0.1", proxy.site.port()), SECONDS)
        forged = [(name, value) for name, _, value in (line.partition(": ") for line in FORGED)]
        with connect(f"wss://{host}/ws", sock=sock, ssl=proxy.context(client), additional_headers=forged) as one:
            fields = told(str(one.recv(SECONDS)).encode())
        assert fields.get("client-cert") == (None if client is None else byte_sequence(client.der))
        assert "forged" not in json.dumps(fields)

    def test_route_that_demands_one(self, proxy: Asking) -> None:
        sock = socket.create_connection(("127.0.0.1", proxy.site.port()), SECONDS)
        with (
            pytest.raises(InvalidStatus) as caught,
            connect(f"wss://{OPEN}/members/ws", sock=sock, ssl=proxy.context()),
        ):
            pass
        assert caught.value.response.status_code == 403


class TestTickets:
    """CVE-2025-23419 and similar fields."""

    @pytest.mark.parametrize("kind", ["bot", "modern"])
    def test_resumption_tells_the_server_the_same(self, proxy: Asking, kind: str) -> None:
        client: ClientFiles = getattr(proxy.clients, kind)
        context = proxy.context(client)
        _, first, session = proxy.visit(context, BOTS)
        is_resumed, again, _ = proxy.visit(context, BOTS, session, f"/again-{kind}")
        assert is_resumed
        for name in ("client-cert", "client-cert-chain"):
            assert again.get(name) == first.get(name)
        assert proxy.site.record(f"/again-{kind}")["subject"] == client.leaf.subject.rfc4514_string()

    def test_ticket_of_one_identity_is_nothing_to_another(self, proxy: Asking, tmp_path: Path) -> None:
        ticket = str(tmp_path / "ticket")
        first = proxy.s_client(BOTS, "-sess_out", ticket, client=proxy.clients.bot)
        assert b"New, TLSv1.3" in first.stdout
        again = proxy.s_client(BOTS, "-sess_in", ticket)  # without the certificate: the ticket carries it
        assert b"Reused, TLSv1.3" in again.stdout
        assert told(again.stdout[again.stdout.index(b"HTTP/1.1 200") :])["client-cert"]
        other = proxy.s_client(ADMINS, "-sess_in", ticket)
        assert b"Reused" not in other.stdout
        assert b"alert certificate required" in other.stderr
        optional = proxy.s_client(OPEN, "-sess_in", ticket)  # of the same authorities
        assert b"New, TLSv1.3" in optional.stdout
        assert "client-cert" not in told(optional.stdout[optional.stdout.index(b"HTTP/1.1 200") :])

    def test_ticket_without_a_certificate_opens_nothing(self, proxy: Asking, tmp_path: Path) -> None:
        for host in (OPEN, WIDE):
            ticket = str(tmp_path / host)
            assert b"New, TLSv1.3" in proxy.s_client(host, "-sess_out", ticket).stdout
            assert b"Reused, TLSv1.3" in proxy.s_client(host, "-sess_in", ticket).stdout
            for demanding in (BOTS, ADMINS):
                refused = proxy.s_client(demanding, "-sess_in", ticket)
                assert b"Reused" not in refused.stdout
                assert b"alert certificate required" in refused.stderr
            members = proxy.s_client(OPEN, "-sess_in", ticket, path="/members")
            assert b"HTTP/1.1 403" in members.stdout

    def test_another_tls_library(self, proxy: Asking) -> None:
        """pyOpenSSL brings its own OpenSSL, of another version."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.load_verify_locations(str(proxy.site.ca))
        context.set_verify(SSL.VERIFY_PEER, lambda *results: bool(results[-1]))
        context.use_certificate_chain_file(str(proxy.clients.bot.certificate))
        context.use_privatekey_file(str(proxy.clients.bot.key))
        session, reused = None, []
        for name in (BOTS, BOTS, OPEN):
            sock = socket.create_connection(("127.0.0.1", proxy.site.port()), SECONDS)
            sock.settimeout(None)
            tls = SSL.Connection(context, sock)
            tls.set_tlsext_host_name(name.encode())
            if session is not None:
                tls.set_session(session)
            tls.set_connect_state()
            tls.do_handshake()
            tls.sendall(f"GET /library HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            assert tls.recv(10_000).startswith(b"HTTP/1.1 200 ")
            session = session or tls.get_session()
            tls.shutdown()
            sock.close()
        reused = [record["resumed"] for record in proxy.site.records("/library", 3)]
        assert reused == [False, True, False]
        assert {record["subject"] for record in proxy.site.records("/library", 3)} == {"CN=bot 1"}


class TestHostile:
    @pytest.mark.parametrize(
        ("case", "reason"),
        [
            ("stranger", "client_certificate_untrusted"),
            ("forged", "client_certificate_refused"),
            ("server", "client_certificate_refused"),
            ("expired", "client_certificate_expired"),
            ("long", "client_certificate_untrusted"),
            ("giant", "tls_error"),
        ],
    )
    def test_it_costs_one_connection(self, proxy: Asking, tmp_path: Path, case: str, reason: str) -> None:
        files = hostile(proxy.clients.bots, tmp_path, case)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            proxy.visit(proxy.context(files), BOTS)
        assert proxy.failure(reason, BOTS)
        assert "client-cert" in proxy.fields(BOTS, client=proxy.clients.bot)

    def test_counters_have_the_reasons(self, proxy: Asking) -> None:
        proxy.curl(BOTS)
        proxy.failure("client_certificate_missing", BOTS)
        assert "client_certificate_missing" in proxy.site.command("status", "--json").stdout


def hostile(root: ClientAuthority, directory: Path, case: str) -> ClientFiles:
    match case:
        case "stranger" | "forged":
            return ClientAuthority("Mallory" if case == "stranger" else "Bots").issue(directory, "bot")
        case "server":
            return root.issue(directory, "bot", purposes=[ExtendedKeyUsageOID.SERVER_AUTH])
        case "expired":
            return root.issue(directory, "bot", valid=(-3 * DAY, -DAY))
        case "long":
            for number in range(4):
                root = ClientAuthority(f"Below {number}", above=root)
            return root.issue(directory, "bot")
        case _:
            return root.issue(directory, "bot", names=["urn:" + "x" * 60_000])
