"""Server contexts: what they offer, which credential they show, and whose tickets they take."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from config.schema import CredentialPreference, HttpProtocol
from proxy.tls.openssl import libssl
from proxy.tls.openssl.context import (
    TICKETS_PER_HANDSHAKE,
    ServerContext,
    TlsSettings,
    UpstreamTls,
    build_alert_context,
    build_client_context,
    build_server_context,
)
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.wire.client_hello import parse_client_hello
from proxy.tls.wire.signature_schemes import sigalgs_list
from tests.certificates import Authority, CertificateFiles
from tests.proxy.tls import hellos

H2, H1 = HttpProtocol.HTTP_2, HttpProtocol.HTTP_1
STANDARD = TlsSettings("X25519MLKEM768 / X25519", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", (H1,))
SECRETS = TicketSecrets(b"1" * 32)
CLASSICAL_FIRST = sigalgs_list(CredentialPreference.CLASSICAL)


@dataclass(frozen=True)
class Files:
    """A credential as `context` asks for one."""

    certificate_path: Path
    key_pem_path: Path


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("credentials")


@pytest.fixture(scope="module")
def authority(directory: Path) -> Authority:
    return Authority(directory)


@pytest.fixture(scope="module")
def mldsa_authority(directory: Path) -> Authority:
    return Authority(directory, "ML-DSA authority", "mldsa-65")


def _files(issued: CertificateFiles) -> Files:
    return Files(issued.certificate, issued.key)


@pytest.fixture(scope="module")
def ecdsa(authority: Authority) -> Files:
    return _files(authority.issue("ecdsa", ("chat.example.org",)))


@pytest.fixture(scope="module")
def mldsa(mldsa_authority: Authority) -> Files:
    return _files(mldsa_authority.issue("mldsa", ("chat.example.org",), kind="mldsa-65"))


def built(
    credentials: Sequence[Files],
    identity: str = "chat",
    settings: TlsSettings = STANDARD,
    tickets: TicketSecrets = SECRETS,
    algorithms: str = CLASSICAL_FIRST,
) -> ServerContext:
    context = build_server_context(identity, credentials, algorithms, settings, tickets)
    context.current.num_tickets = TICKETS_PER_HANDSHAKE  # of OpenSSL: there is no `TlsStream` here
    return context


def client_of(authority: Authority, groups: str = "X25519", algorithms: str | None = None) -> ssl.SSLContext:
    """A client that verifies chain and name."""
    context = authority.client_context()
    libssl.set_groups(context, groups)
    if algorithms is not None:
        libssl.set_signature_algorithms(context, algorithms)
    return context


def visit(
    server: ServerContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[hellos.Peer, ssl.SSLSession | None]:
    """One connection through the context that `select` picks; the client's side and its new session, if it got a ticket."""
    one = hellos.peer(client, session)
    hello = one.answer(b"")
    two = hellos.peer(server.select(parse_client_hello(hello[5:]).psk_identities))
    data = hello
    while data:
        data = one.answer(two.answer(data))
    fresh = one.tls.session
    has_ticket = fresh is not None and fresh.has_ticket
    return one, fresh if has_ticket else None


def resumes(server: ServerContext, client: ssl.SSLContext, session: ssl.SSLSession | None) -> bool:
    assert session is not None
    return bool(visit(server, client, session)[0].tls.session_reused)


class TestSettings:
    def test_everything_that_is_not_tls_1_3_is_refused(self, ecdsa: Files, authority: Authority) -> None:
        client = client_of(authority)
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        one, two = hellos.peer(client), hellos.peer(built([ecdsa]).current)
        with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
            two.answer(one.answer(b""))

    def test_suites_are_those_of_the_level_in_our_order(self, ecdsa: Files, authority: Authority) -> None:
        client = client_of(authority)
        libssl.set_ciphersuites(client, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384")
        cipher = visit(built([ecdsa]), client)[0].tls.cipher()
        assert cipher is not None
        assert cipher[0] == "TLS_AES_256_GCM_SHA384"

    def test_chacha_comes_first_for_a_client_that_puts_it_first(self, ecdsa: Files, authority: Authority) -> None:
        settings = replace(STANDARD, cipher_suites="TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256")
        client = client_of(authority)
        libssl.set_ciphersuites(client, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384")
        cipher = visit(built([ecdsa], settings=settings), client)[0].tls.cipher()
        assert cipher is not None
        assert cipher[0] == "TLS_CHACHA20_POLY1305_SHA256"

    def test_no_session_is_kept_even_for_clients_without_tickets(self, ecdsa: Files, authority: Authority) -> None:
        server = built([ecdsa])
        server.current.options |= ssl.OP_NO_TICKET
        visit(server, client_of(authority))
        assert server.current.session_stats()["number"] == 0

    @pytest.mark.parametrize(
        ("ours", "offered", "chosen"),
        [
            ((H1,), ["http/1.1"], H1),
            ((H1,), ["h2", "http/1.1"], H1),
            ((H1,), [], None),
            ((H1,), ["h2"], None),
            ((H2, H1), ["http/1.1", "h2"], H2),
            ((H2, H1), ["spdy/1", "http/1.1"], H1),
            ((H2, H1), [], None),
            ((H1, H2), ["h2", "http/1.1"], H1),
            ((H2,), ["http/1.1", "h2"], H2),
            ((H2, H1), [*(f"x/{number}" for number in range(300)), "h2"], H2),
        ],
    )
    def test_openssl_takes_the_first_of_ours_that_the_client_offers(
        self,
        ecdsa: Files,
        authority: Authority,
        ours: tuple[HttpProtocol, ...],
        offered: list[str],
        chosen: HttpProtocol | None,
    ) -> None:
        """If there is none, OpenSSL completes without a protocol: `handshake` refuses it before."""
        client = client_of(authority)
        if offered:
            client.set_alpn_protocols(offered)
        server = built([ecdsa], settings=replace(STANDARD, protocols=ours))
        assert visit(server, client)[0].tls.selected_alpn_protocol() == chosen

    def test_unusable_group_list_is_an_error_of_ours(self, ecdsa: Files) -> None:
        with pytest.raises(libssl.LibsslError, match="group list 'nonsense'"):
            built([ecdsa], settings=replace(STANDARD, groups="nonsense"))

    def test_key_of_another_certificate_is_refused(self, ecdsa: Files, mldsa: Files) -> None:
        with pytest.raises(ssl.SSLError):
            built([Files(ecdsa.certificate_path, mldsa.key_pem_path)])

    def test_encrypted_key_fails_and_asks_nobody(self, ecdsa: Files, tmp_path: Path) -> None:
        from cryptography.hazmat.primitives.serialization import (
            BestAvailableEncryption,
            Encoding,
            PrivateFormat,
            load_pem_private_key,
        )

        key = load_pem_private_key(ecdsa.key_pem_path.read_bytes(), None)
        path = tmp_path / "encrypted.key"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
        with pytest.raises(ssl.SSLError):
            built([Files(ecdsa.certificate_path, path)])

    def test_missing_file_is_an_error_of_the_system(self, ecdsa: Files, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            built([Files(ecdsa.certificate_path, tmp_path / "missing.key")])

    def test_context_for_alerts_has_no_certificate_and_no_tls_1_2(self) -> None:
        """So it speaks no version at all: `handshake` knows that this alert may mean nothing."""
        context = build_alert_context()
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
            hellos.peer(context).answer(hellos.peer(hellos.client_context("X25519")).answer(b""))


class TestTwoCredentials:
    """ECDSA and ML-DSA in one identity: a client that lists ML-DSA need not trust its issuer."""

    def test_client_that_takes_both_gets_the_classical_one(
        self, ecdsa: Files, mldsa: Files, authority: Authority
    ) -> None:
        one, _ = visit(built([mldsa, ecdsa]), client_of(authority))
        assert one.tls.cipher() is not None

    def test_client_of_mldsa_alone_gets_mldsa(self, ecdsa: Files, mldsa: Files, mldsa_authority: Authority) -> None:
        one, _ = visit(built([ecdsa, mldsa]), client_of(mldsa_authority, algorithms="mldsa65"))
        assert one.tls.cipher() is not None

    def test_preference_turns_the_order_round(self, ecdsa: Files, mldsa: Files, mldsa_authority: Authority) -> None:
        server = built([ecdsa, mldsa], algorithms=sigalgs_list(CredentialPreference.MLDSA))
        visit(server, client_of(mldsa_authority))
        with pytest.raises(ssl.SSLCertVerificationError):
            visit(built([ecdsa, mldsa]), client_of(mldsa_authority))


class TestTickets:
    def test_two_are_given_and_resume(self, ecdsa: Files, authority: Authority) -> None:
        server, client = built([ecdsa]), client_of(authority)
        one, session = visit(server, client)
        assert not one.tls.session_reused
        assert resumes(server, client, session)

    def test_they_resume_under_other_protocols_and_alpn_is_negotiated_anew(
        self, ecdsa: Files, authority: Authority
    ) -> None:
        client = client_of(authority)
        client.set_alpn_protocols(["h2", "http/1.1"])
        session = None
        for ours in ((H1,), (H2, H1), (H2,), (H1, H2)):
            one, session = visit(built([ecdsa], settings=replace(STANDARD, protocols=ours)), client, session)
            assert one.tls.session_reused is (ours != (H1,))
            assert one.tls.selected_alpn_protocol() == ours[0]

    def test_another_process_with_the_same_secret_takes_them(self, ecdsa: Files, authority: Authority) -> None:
        client = client_of(authority)
        _, session = visit(built([ecdsa]), client)
        assert resumes(built([ecdsa]), client, session)

    @pytest.mark.parametrize(
        "other",
        [
            {"identity": "files"},
            {"settings": replace(STANDARD, groups="X25519MLKEM768:X25519")},
            {"settings": replace(STANDARD, cipher_suites="TLS_AES_256_GCM_SHA384")},
            {"tickets": TicketSecrets(b"2" * 32)},
            {"tickets": TicketSecrets(b"3" * 32, b"2" * 32)},
        ],
        ids=["identity", "groups", "suites", "secret", "secret_gone"],
    )
    def test_they_resume_nowhere_else(self, ecdsa: Files, authority: Authority, other: dict[str, object]) -> None:
        """CPython 3.13 ignores the session id context: the key alone separates, so it has to differ (TRAPS)."""
        client = client_of(authority)
        _, session = visit(built([ecdsa]), client)
        assert not resumes(built([ecdsa], **other), client, session)  # type: ignore[arg-type]

    def test_ticket_of_the_previous_secret_resumes_and_is_found_by_the_name_of_its_key(
        self, ecdsa: Files, authority: Authority
    ) -> None:
        client = client_of(authority)
        _, old = visit(built([ecdsa]), client)
        rotated = built([ecdsa], tickets=SECRETS.rotated(b"2" * 32))
        assert resumes(rotated, client, old)
        one, fresh = visit(rotated, client)
        assert not one.tls.session_reused
        assert resumes(rotated, client, fresh)

    def test_context_of_the_previous_secret_gives_no_new_tickets(self, ecdsa: Files) -> None:
        """They would all die at the next rotation; the client keeps its old one meanwhile."""
        rotated = built([ecdsa], tickets=SECRETS.rotated(b"2" * 32))
        assert rotated.previous is not None
        assert [rotated.tickets(rotated.previous, is_resumed=is_resumed) for is_resumed in (False, True)] == [0, 0]
        assert [rotated.tickets(rotated.current, is_resumed=is_resumed) for is_resumed in (False, True)] == [2, 1]

    def test_openssl_gives_none_by_itself(self, ecdsa: Files) -> None:
        rotated = build_server_context("chat", [ecdsa], CLASSICAL_FIRST, STANDARD, SECRETS.rotated(b"2" * 32))
        assert rotated.previous is not None
        assert (rotated.current.num_tickets, rotated.previous.num_tickets) == (0, 0)

    def test_second_rotation_ends_it(self, ecdsa: Files, authority: Authority) -> None:
        client = client_of(authority)
        _, old = visit(built([ecdsa]), client)
        twice = SECRETS.rotated(b"2" * 32).rotated(b"3" * 32)
        assert not resumes(built([ecdsa], tickets=twice), client, old)

    def test_selection_goes_by_the_first_ticket(self, ecdsa: Files) -> None:
        rotated = built([ecdsa], tickets=SECRETS.rotated(b"2" * 32))
        name = rotated.previous_key_name
        assert len(name) == 16
        assert rotated.select([]) is rotated.current
        assert rotated.select([name + b"ticket"]) is rotated.previous
        assert rotated.select([b"another key name", name]) is rotated.current
        assert rotated.select([name[:15]]) is rotated.current

    @pytest.mark.parametrize("previous", [None, b"1" * 32])
    def test_ticket_of_the_following_secret_resumes_and_its_context_gives_new_ones(
        self, ecdsa: Files, authority: Authority, previous: bytes | None
    ) -> None:
        """A node of the fleet whose clock is ahead has sealed it."""
        client = client_of(authority)
        ahead = built([ecdsa], tickets=TicketSecrets(b"3" * 32, b"2" * 32))
        _, session = visit(ahead, client)
        behind = built([ecdsa], tickets=TicketSecrets(b"2" * 32, previous, b"3" * 32))
        assert resumes(behind, client, session)
        assert behind.following is not None
        assert behind.select([ahead.key_name + b"ticket"]) is behind.following
        assert behind.opens([ahead.key_name + b"ticket"])
        assert behind.tickets(behind.following, is_resumed=True) == 1

    def test_without_a_previous_secret_there_is_nothing_to_select(self, ecdsa: Files) -> None:
        server = built([ecdsa])
        assert server.previous is None
        assert server.select([bytes(16)]) is server.current

    def test_secrets_are_not_shown(self, ecdsa: Files) -> None:
        assert "previous_key_name" not in repr(built([ecdsa], tickets=SECRETS.rotated(b"2" * 32)))


class TestUpstreamContext:
    def test_chain_and_name_are_verified(self, authority: Authority) -> None:
        context = build_client_context(UpstreamTls(authority.path, None, None, "X25519MLKEM768:X25519"))
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert len(context.get_ca_certs()) == 1

    def test_hybrid_is_offered_first_with_a_share(self, authority: Authority) -> None:
        context = build_client_context(UpstreamTls(authority.path, None, None, "X25519MLKEM768:X25519"))
        hello = parse_client_hello(hellos.peer(context).answer(b"")[5:])
        assert hello.supported_groups[:2] == (0x11EC, 0x001D)
        assert hello.key_shares[0] == 0x11EC
        assert hello.alpn == (b"http/1.1",)

    def test_system_trust_is_used_where_no_authority_is_named(self) -> None:
        assert build_client_context(UpstreamTls(None, None, None, "X25519")).verify_mode is ssl.CERT_REQUIRED

    def test_certificate_of_ours_is_loaded_with_its_key(self, authority: Authority, ecdsa: Files, mldsa: Files) -> None:
        build_client_context(UpstreamTls(authority.path, ecdsa.certificate_path, ecdsa.key_pem_path, "X25519"))
        with pytest.raises(ssl.SSLError):
            build_client_context(UpstreamTls(authority.path, ecdsa.certificate_path, mldsa.key_pem_path, "X25519"))
