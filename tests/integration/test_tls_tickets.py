"""Session tickets: what they resume and what they must never resume, in the running proxy and over processes."""

import json
import re
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from OpenSSL import SSL

from proxy.tls.openssl import libssl
from tests.integration.gateway import Gateway
from tests.programs import program

REQUEST = b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"


def python_client(gateway: Gateway, groups: str = "X25519MLKEM768:X25519") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(gateway.trust.classical.path))
    libssl.set_groups(context, groups)
    return context


def visit(
    gateway: Gateway,
    client: ssl.SSLContext,
    session: ssl.SSLSession | None = None,
    name: str = "chat.test",
    on: str = "standard",
) -> tuple[bool, ssl.SSLSession]:
    """One request: whether the session was resumed, and the session for the next time."""
    with (
        socket.create_connection(("127.0.0.1", gateway.port(on)), 10) as sock,
        client.wrap_socket(sock, server_hostname=name, session=session) as tls,
    ):
        tls.sendall(REQUEST % name.encode())
        assert tls.recv(10_000).startswith(b"HTTP/1.1 200 ")
        assert tls.session is not None
        return bool(tls.session_reused), tls.session


class TestRunningProxy:
    def test_python_resumes_on_the_same_identity(self, gateway: Gateway) -> None:
        client = python_client(gateway)
        _, session = visit(gateway, client)
        assert visit(gateway, client, session)[0]

    def test_every_name_of_the_identity_will_do(self, gateway: Gateway) -> None:
        client = python_client(gateway)
        _, session = visit(gateway, client)
        assert visit(gateway, client, session, "room.chat.test")[0]

    def test_listener_of_the_same_policy_will_do(self, gateway: Gateway) -> None:
        client = python_client(gateway)
        _, session = visit(gateway, client)
        assert visit(gateway, client, session, on="lenient")[0]

    @pytest.mark.parametrize("on", ["off", "require", "high", "critical"])
    def test_listener_of_another_policy_will_not(self, gateway: Gateway, on: str) -> None:
        client = python_client(gateway, "X25519MLKEM768:X25519:secp384r1")
        _, session = visit(gateway, client)
        assert not visit(gateway, client, session, on=on)[0]

    @pytest.mark.parametrize("name", ["files.test", "dual.test"])
    @pytest.mark.parametrize("on", ["standard", "lenient"])
    def test_another_identity_will_not(self, gateway: Gateway, name: str, on: str) -> None:
        client = python_client(gateway)
        _, session = visit(gateway, client)
        assert not visit(gateway, client, session, name, on)[0]

    def test_s_client_resumes_and_every_time_with_a_new_key_exchange(self, gateway: Gateway, tmp_path: Path) -> None:
        ticket = tmp_path / "ticket"
        say = (REQUEST % b"chat.test").decode()
        first = gateway.s_client("-sess_out", str(ticket), "-ign_eof", say=say)
        assert "New, TLSv1.3" in first.output
        for groups, expected in (("X25519MLKEM768", "X25519MLKEM768"), ("X25519MLKEM768:*x25519", "X25519MLKEM768")):
            said = gateway.s_client("-sess_in", str(ticket), "-groups", groups, "-ign_eof", say=say)
            assert "Reused, TLSv1.3" in said.output
            assert said.group == expected
        assert "New, TLSv1.3" in gateway.s_client("-sess_in", str(ticket), name="files.test").output

    def test_s_client_does_not_carry_a_ticket_round_the_policy(self, gateway: Gateway, tmp_path: Path) -> None:
        """A session of a time when the listener did not require anything, offered with a classical group."""
        ticket = tmp_path / "ticket"
        say = (REQUEST % b"chat.test").decode()
        gateway.s_client("-sess_out", str(ticket), "-groups", "x25519", "-ign_eof", say=say)
        said = gateway.s_client("-sess_in", str(ticket), "-groups", "x25519", on="require")
        assert said.alert == 40

    def test_another_tls_library_resumes(self, gateway: Gateway) -> None:
        """pyOpenSSL brings its own OpenSSL, of another version."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.load_verify_locations(str(gateway.trust.classical.path))
        context.set_verify(SSL.VERIFY_PEER, lambda *results: bool(results[-1]))
        session = None
        for _ in range(3):
            sock = socket.create_connection(("127.0.0.1", gateway.port()), 10)
            sock.settimeout(None)
            tls = SSL.Connection(context, sock)
            tls.set_tlsext_host_name(b"chat.test")
            if session is not None:
                tls.set_session(session)
            tls.set_connect_state()
            tls.do_handshake()
            tls.sendall(REQUEST.replace(b"/ ", b"/library ") % b"chat.test")
            assert tls.recv(10_000).startswith(b"HTTP/1.1 200 ")
            session = tls.get_session()
            tls.shutdown()  # OpenSSL does not resume what was not ended properly
            sock.close()

        def find(output: list[str]) -> list[bool] | None:
            found = [json.loads(line)["resumed"] for line in output if '"path":"/library"' in line]
            return found if len(found) == 3 else None

        assert gateway.program.wait_for(find) == [False, True, True]

    def test_log_says_which_requests_came_on_resumed_connections(self, gateway: Gateway) -> None:
        said = gateway.curl(path="/resumed-or-not")
        assert said.status == 0
        entry = gateway.program.wait_for(
            lambda output: next((json.loads(line) for line in output if "/resumed-or-not" in line), None)
        )
        assert entry["resumed"] is False

    def test_two_tickets_come_with_each_handshake(self, gateway: Gateway) -> None:
        said = gateway.s_client("-ign_eof", say=(REQUEST % b"chat.test").decode())
        assert len(re.findall(r"^<<< .*, NewSessionTicket$", said.output, re.MULTILINE)) == 2


# -- over processes: the same secret in each

CURRENT, NEXT, LATER = "11" * 32, "22" * 32, "33" * 32
STANDARD = {
    "identity": "chat",
    "groups": "X25519MLKEM768 / X25519",
    "suites": "TLS_AES_256_GCM_SHA384",
    "current": CURRENT,
    "previous": None,
}
Talk = Callable[[int, ssl.SSLSession | None], tuple[bytes, ssl.SSLSession | None]]


@contextmanager
def ticket_server(gateway: Gateway, **changes: str | None) -> Iterator[int]:
    """A process of its own; gives its port."""
    files = gateway.trust.directory / "chat.pem", gateway.trust.directory / "chat.key"
    given = {**STANDARD, **changes, "certificate": str(files[0]), "key": str(files[1])}
    command = [sys.executable, "-m", "tests.integration.ticket_server", json.dumps(given)]
    with program(command, lambda line: int(line) if line.isdigit() else None) as running:
        yield running.ready


@pytest.fixture(scope="module")
def talk(gateway: Gateway) -> Talk:
    """Shake hands with a ticket server: what it answers, and the session for the next time."""
    client = python_client(gateway)

    def shake_hands(port: int, session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None]:
        with (
            socket.create_connection(("127.0.0.1", port), 10) as sock,
            client.wrap_socket(sock, server_hostname="chat.test", session=session) as tls,
        ):
            answer = tls.recv(1)
            assert (answer == b"r") == bool(tls.session_reused)
            return answer, tls.session

    return shake_hands


@pytest.fixture(scope="module")
def servers(gateway: Gateway) -> Iterator[dict[str, int]]:
    """One process for each thing that may differ; they start together."""
    kinds: dict[str, dict[str, str | None]] = {
        "first": {},
        "sibling": {},
        "rotated": {"current": NEXT, "previous": CURRENT},
        "rotated_sibling": {"current": NEXT, "previous": CURRENT},
        "rotated_twice": {"current": LATER, "previous": NEXT},
        "other_secret": {"current": LATER},
        "other_identity": {"identity": "files"},
        "other_groups": {"groups": "X25519MLKEM768"},
        "other_suites": {"suites": "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"},
    }
    with ExitStack() as stack:
        yield {kind: stack.enter_context(ticket_server(gateway, **changes)) for kind, changes in kinds.items()}


class TestOverProcesses:
    @pytest.mark.parametrize("kind", ["first", "sibling", "rotated", "rotated_sibling"])
    def test_ticket_resumes_where_the_secret_is_known(self, servers: dict[str, int], talk: Talk, kind: str) -> None:
        answer, session = talk(servers["first"], None)
        assert answer == b"n"
        assert talk(servers[kind], session)[0] == b"r"

    @pytest.mark.parametrize(
        "kind", ["rotated_twice", "other_secret", "other_identity", "other_groups", "other_suites"]
    )
    def test_and_nowhere_else(self, servers: dict[str, int], talk: Talk, kind: str) -> None:
        _, session = talk(servers["first"], None)
        assert talk(servers[kind], session)[0] == b"n"
        assert talk(servers["first"], session)[0] == b"r"  # it was a good one

    def test_new_ticket_is_sealed_by_the_new_secret(self, servers: dict[str, int], talk: Talk) -> None:
        _, session = talk(servers["rotated"], None)
        assert talk(servers["rotated_sibling"], session)[0] == b"r"
        assert talk(servers["rotated_twice"], session)[0] == b"r"
        assert talk(servers["first"], session)[0] == b"n"

    def test_resumption_by_the_previous_secret_gives_no_ticket_that_dies_with_it(
        self, servers: dict[str, int], talk: Talk
    ) -> None:
        """The client keeps its old ticket; its next full handshake brings one of the current secret."""
        _, old = talk(servers["first"], None)
        answer, after = talk(servers["rotated"], old)
        assert answer == b"r"
        answer, _ = talk(servers["rotated_twice"], after)
        assert answer == b"n"
        _, fresh = talk(servers["rotated"], None)
        assert talk(servers["rotated_twice"], fresh)[0] == b"r"
