"""Whose certificates an identity takes: in handshakes, in tickets, and when it is asked again."""

import ssl
from ctypes import c_long, c_void_p
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from proxy.tls.openssl import libssl
from proxy.tls.openssl.client_trust import ClientTrust, Demand, fingerprint_of
from proxy.tls.openssl.libssl import LibsslError
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.wire.client_certificate import ClientCertificate, UnusableCertificate
from tests.certificates import DAY, Authority, CertificateFiles
from tests.certs.authority import key_pem
from tests.client_authorities import ClientAuthority, ClientFiles
from tests.proxy.tls.client_visits import Stated, Visit, client, server, trust, visit

ROOT = ClientAuthority("Root")
BELOW = ClientAuthority("Below", above=ROOT)
MODERN = ClientAuthority("Modern", "mldsa-65")
SAFE = ClientAuthority("Safe", "mldsa-87")
STRANGER = ClientAuthority("Root")  # of the same name
FAULTS: dict[str, Any] = {
    "server": {"purposes": [ExtendedKeyUsageOID.SERVER_AUTH]},
    "expired": {"valid": (-3 * DAY, -DAY)},
    "early": {"valid": (DAY, 3 * DAY)},
    "weak": {"kind": "rsa-1024"},
}
KINDS = ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "ed25519", "mldsa-44", "mldsa-65", "mldsa-87"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def authority(directory: Path) -> Authority:
    return Authority(directory)


@pytest.fixture(scope="module")
def chat(authority: Authority) -> CertificateFiles:
    return authority.issue("chat", ("chat.example.org",))


@pytest.fixture(scope="module")
def bot(directory: Path) -> ClientFiles:
    return ROOT.issue(directory, "bot")


@pytest.fixture(scope="module")
def deep(directory: Path) -> ClientFiles:
    return BELOW.issue(directory, "deep")


def shown(clients: ClientTrust, made: Visit) -> ClientCertificate | None:
    assert made.last.error is None
    assert made.error is None
    return clients.shown(made.last.tls)


class TestHandshake:
    @pytest.mark.parametrize("kind", KINDS)
    def test_keys_and_authorities_of_every_kind(
        self, directory: Path, authority: Authority, chat: CertificateFiles, kind: str
    ) -> None:
        root = ClientAuthority("Any", kind)
        below = ClientAuthority("Any below", kind, above=root)
        issued = below.issue(directory, "bot", kind=kind)
        clients = trust(root)
        found = shown(clients, visit(server(chat, clients), client(authority, issued)))
        assert found is not None
        assert (found.leaf, list(found.chain), found.subject) == (issued.der, issued.chain, "CN=bot")

    def test_client_without_one(self, authority: Authority, chat: CertificateFiles) -> None:
        optional = trust(ROOT, is_required=False)
        assert shown(optional, visit(server(chat, optional), client(authority))) is None
        refused = visit(server(chat, trust(ROOT)), client(authority))
        assert refused.last.error is not None
        assert refused.error is not None
        assert refused.error.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"

    def test_identity_that_does_not_ask_gets_none(
        self, authority: Authority, chat: CertificateFiles, bot: ClientFiles
    ) -> None:
        made = visit(server(chat, None), client(authority, bot))
        assert made.last.is_finished
        assert made.last.tls.getpeercert(True) is None  # noqa: FBT003

    def test_client_is_told_the_names_of_the_authorities(self, chat: CertificateFiles) -> None:
        context = server(chat, trust(ROOT, MODERN)).current
        assert {one["subject"] for one in context.get_ca_certs()} == {
            ((("commonName", "Root"),),),
            ((("commonName", "Modern"),),),
        }

    @pytest.mark.parametrize("is_required", [True, False])
    @pytest.mark.parametrize(
        ("case", "alert"),
        [
            ("stranger", "TLSV1_ALERT_UNKNOWN_CA"),
            ("self-signed", "TLSV1_ALERT_UNKNOWN_CA"),
            ("forged", "TLSV1_ALERT_DECRYPT_ERROR"),
            ("server", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"),
            ("expired", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
            ("early", "SSLV3_ALERT_BAD_CERTIFICATE"),
            ("long", "TLSV1_ALERT_UNKNOWN_CA"),
            ("no authority", "TLSV1_ALERT_UNKNOWN_CA"),
            ("weak", "SSLV3_ALERT_BAD_CERTIFICATE"),
        ],
    )
    def test_refused(
        self, directory: Path, authority: Authority, chat: CertificateFiles, case: str, alert: str, *, is_required: bool
    ) -> None:
        made = visit(server(chat, trust(ROOT, is_required=is_required)), client(authority, hostile(directory, case)))
        assert made.last.error is not None
        assert made.error is not None
        assert made.error.reason == alert

    @pytest.mark.parametrize("kind", KINDS)
    def test_level_that_binds_signatures_takes_ml_dsa_87_alone(
        self, directory: Path, authority: Authority, chat: CertificateFiles, kind: str
    ) -> None:
        """The CertificateRequest lists nothing else, so a client with another key shows nothing."""
        clients = trust(SAFE, is_bound=True)
        made = visit(server(chat, clients), client(authority, SAFE.issue(directory, "bot", kind=kind)))
        if kind == "mldsa-87":
            found = shown(clients, made)
            assert found is not None
            assert found.subject == "CN=bot"
        else:
            assert made.error is not None
            assert made.error.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
        assert trust(SAFE, is_bound=True, is_required=False) != trust(SAFE, is_required=False)

    def test_level_that_binds_signatures_judges_the_whole_chain(
        self, directory: Path, authority: Authority, chat: CertificateFiles
    ) -> None:
        for between, how in (
            (ClientAuthority("Between", "mldsa-87", above=SAFE), None),
            (ClientAuthority("Between", "mldsa-44", above=SAFE), 'mldsa-44 by "CN=Between"'),
            (ClientAuthority("Between", "mldsa-87", above=ROOT), 'ecdsa-sha256 by "CN=Root"'),
        ):
            issued = between.issue(directory, "bot", kind="mldsa-87")
            clients = trust(SAFE, ROOT, is_bound=True)
            made = visit(server(chat, clients), client(authority, issued))
            if how is None:
                assert shown(clients, made) is not None
                assert clients.refusal_of(ClientCertificate(issued.der, issued.chain)) is None
                continue
            with pytest.raises(UnusableCertificate, match=f"^signed with {how}"):
                shown(clients, made)
            refusal = clients.refusal_of(ClientCertificate(issued.der, issued.chain))
            assert refusal == f"signed with {how}; the level of the listener takes mldsa-87 alone"

    def test_message_that_is_too_large(self, directory: Path, authority: Authority, chat: CertificateFiles) -> None:
        issued = ROOT.issue(directory, "large", names=["urn:" + "x" * 33_000])
        made = visit(server(chat, trust(ROOT)), client(authority, issued))
        assert made.last.error is not None
        assert made.last.error.reason == "EXCESSIVE_MESSAGE_SIZE"

    def test_usual_chains_fit(self, directory: Path, authority: Authority, chat: CertificateFiles) -> None:
        """Three intermediates with the largest keys."""
        above = root = ClientAuthority("Root 87", "mldsa-87")
        for number in range(3):
            above = ClientAuthority(f"Below {number}", "mldsa-87", above=above)
        issued, clients = above.issue(directory, "bot", kind="mldsa-87"), trust(root)
        found = shown(clients, visit(server(chat, clients), client(authority, issued)))
        assert found is not None
        assert len(found.chain) == 3


def hostile(directory: Path, case: str) -> ClientFiles:
    """A client that nobody lets in."""
    above = ROOT
    match case:
        case "stranger":
            return MODERN.issue(directory, "bot")
        case "self-signed":
            own, files = ClientAuthority("bot", is_authority=False), ROOT.issue(directory, "bot")
            files.certificate.write_bytes(own.pem)
            files.key.write_bytes(key_pem(own.key))
            return files
        case "forged":
            return STRANGER.issue(directory, "bot")
        case "long":
            for number in range(4):
                above = ClientAuthority(f"Below {number}", above=above)
            return above.issue(directory, "bot")
        case "no authority":
            return ClientAuthority("Leaf", above=ROOT, is_authority=False).issue(directory, "bot")
        case _:
            return ROOT.issue(directory, "bot", **FAULTS[case])


class TestRevocation:
    @pytest.mark.parametrize(
        ("lists", "alert"),
        [
            (lambda _: [ROOT.revocations(), BELOW.revocations()], None),
            (lambda deep: [ROOT.revocations(), BELOW.revocations(deep.leaf)], "SSLV3_ALERT_CERTIFICATE_REVOKED"),
            (lambda _: [ROOT.revocations(BELOW.certificate), BELOW.revocations()], "SSLV3_ALERT_CERTIFICATE_REVOKED"),
            (lambda _: [ROOT.revocations()], "TLSV1_ALERT_UNKNOWN_CA"),
            (
                lambda _: [ROOT.revocations(), BELOW.revocations(valid=(-3 * DAY, -DAY))],
                "SSLV3_ALERT_CERTIFICATE_EXPIRED",
            ),
            (lambda _: [ROOT.revocations(), BELOW.revocations(valid=(DAY, 3 * DAY))], "SSLV3_ALERT_BAD_CERTIFICATE"),
        ],
    )
    def test_each_certificate_up_to_the_root_is_looked_up(
        self, authority: Authority, chat: CertificateFiles, deep: ClientFiles, lists: object, alert: str | None
    ) -> None:
        assert callable(lists)
        made = visit(server(chat, trust(ROOT, BELOW, lists=lists(deep))), client(authority, deep))
        assert (None if made.error is None else made.error.reason) == alert

    @pytest.mark.parametrize(
        ("lists", "strict", "lenient"),
        [
            ([], "TLSV1_ALERT_UNKNOWN_CA", None),
            (["expired"], "SSLV3_ALERT_CERTIFICATE_EXPIRED", None),
            (["early"], "SSLV3_ALERT_BAD_CERTIFICATE", None),
            (["current"], None, None),
            (["revoked"], *["SSLV3_ALERT_CERTIFICATE_REVOKED"] * 2),
            (["expired", "expired and revoked"], *["SSLV3_ALERT_CERTIFICATE_REVOKED"] * 2),
        ],
    )
    def test_a_lenient_identity_overlooks_what_is_not_known_and_nothing_else(
        self,
        authority: Authority,
        chat: CertificateFiles,
        bot: ClientFiles,
        lists: list[str],
        strict: str | None,
        lenient: str | None,
    ) -> None:
        """What is known to be revoked stays revoked when the list has expired."""
        past = (-3 * DAY, -DAY)
        made: dict[str, Any] = {
            "expired": lambda: ROOT.revocations(valid=(-9 * DAY, -5 * DAY)),
            "early": lambda: ROOT.revocations(valid=(DAY, 3 * DAY)),
            "current": ROOT.revocations,
            "revoked": lambda: ROOT.revocations(bot.leaf),
            "expired and revoked": lambda: ROOT.revocations(bot.leaf, valid=past),
        }
        known = [made[name]() for name in lists]
        for is_lenient, alert in ((False, strict), (True, lenient)):
            clients = trust(ROOT, lists=known, is_lenient=is_lenient)
            seen = visit(server(chat, clients), client(authority, bot))
            found = None if seen.error is None else seen.error.reason
            if "expired and revoked" in lists and not is_lenient:
                assert found in {alert, "SSLV3_ALERT_CERTIFICATE_EXPIRED"}
                continue
            assert found == alert
            certificate = ClientCertificate(bot.der, ())
            assert (clients.refusal_of(certificate) is None) == (alert is None)
            if alert is None:
                assert clients.seal(seen.last.tls, certificate), "the end of a list is no end of its tickets"

    def test_a_lenient_identity_takes_no_strangers(
        self, directory: Path, authority: Authority, chat: CertificateFiles
    ) -> None:
        clients = trust(ROOT, lists=[], is_lenient=True)
        for one, alert in (
            (STRANGER.issue(directory, "bot"), "TLSV1_ALERT_DECRYPT_ERROR"),
            (ROOT.issue(directory, "late", valid=(-3 * DAY, -DAY)), "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        ):
            seen = visit(server(chat, clients), client(authority, one))
            assert seen.error is not None
            assert seen.error.reason == alert

    def test_rules_without_lists_tell_two_apart(self) -> None:
        kinds = [trust(ROOT), trust(ROOT, lists=[]), trust(ROOT, lists=[], is_lenient=True)]
        assert len({one.fingerprint for one in kinds}) == 3


class TestTickets:
    def test_resumption_keeps_certificate_and_chain(
        self, authority: Authority, chat: CertificateFiles, deep: ClientFiles
    ) -> None:
        clients, by = trust(ROOT), client(authority, deep)
        first = visit(server(chat, clients), by)
        certificate = shown(clients, first)
        assert certificate is not None
        assert clients.seal(first.last.tls, certificate)
        again = visit(server(chat, trust(ROOT)), by, first.session())  # another process
        assert again.client.tls.session_reused
        found = shown(clients, again)
        assert found is not None
        assert (found.leaf, found.chain, found.subject) == (certificate.leaf, certificate.chain, "CN=deep")
        assert not clients.seal(again.last.tls, found)  # the client proves again that it has its key

    @pytest.mark.parametrize(
        ("other", "identity", "resumes"),
        [
            (trust(ROOT), "chat", True),
            (trust(ROOT), "files", False),
            (trust(ROOT, is_required=False), "chat", False),
            (trust(MODERN), "chat", False),
            (trust(ROOT, MODERN), "chat", False),
            (trust(ROOT, lists=[ROOT.revocations()]), "chat", False),
            (None, "chat", False),
        ],
    )
    def test_ticket_is_good_for_the_same_demand_of_the_same_identity_alone(
        self,
        authority: Authority,
        chat: CertificateFiles,
        bot: ClientFiles,
        other: ClientTrust | None,
        identity: str,
        *,
        resumes: bool,
    ) -> None:
        clients, by = trust(ROOT), client(authority, bot)
        first = visit(server(chat, clients), by)
        certificate = shown(clients, first)
        assert certificate is not None
        assert clients.seal(first.last.tls, certificate)
        again = visit(server(chat, other, identity), by, first.session())
        assert again.client.tls.session_reused is resumes
        assert again.last.is_finished is (other is None or other.fingerprint != trust(MODERN).fingerprint)

    def test_ticket_without_a_certificate_opens_nothing_that_demands_one(
        self, authority: Authority, chat: CertificateFiles
    ) -> None:
        for clients in (None, trust(ROOT, is_required=False)):
            by = client(authority)
            session = visit(server(chat, clients), by).session()
            again = visit(server(chat, trust(ROOT)), by, session)
            assert not again.client.tls.session_reused
            assert again.last.error is not None

    def test_ticket_of_the_secret_before_is_as_good(
        self, authority: Authority, chat: CertificateFiles, bot: ClientFiles
    ) -> None:
        clients, by = trust(ROOT), client(authority, bot)
        first = visit(server(chat, clients), by)
        certificate = shown(clients, first)
        assert certificate is not None
        clients.seal(first.last.tls, certificate)
        rotated = TicketSecrets(b"2" * 32, b"1" * 32)
        again = visit(server(chat, trust(ROOT), secrets=rotated), by, first.session())
        assert again.client.tls.session_reused
        found = shown(clients, again)
        assert found is not None
        assert found.leaf == bot.der

    @pytest.mark.parametrize("valid", [timedelta(minutes=5), timedelta(days=5)])
    def test_ticket_ends_with_the_certificate_and_after_two_hours(
        self, directory: Path, authority: Authority, chat: CertificateFiles, valid: timedelta
    ) -> None:
        issued, clients = ROOT.issue(directory, "short", valid=(-DAY, valid)), trust(ROOT)
        first = visit(server(chat, clients), client(authority, issued))
        certificate = shown(clients, first)
        assert certificate is not None
        assert clients.seal(first.last.tls, certificate)
        lifetime = first.session().ticket_lifetime_hint
        assert 290 <= lifetime <= 300 if valid < timedelta(hours=1) else lifetime == 7_200

    def test_ticket_ends_with_the_list(self, authority: Authority, chat: CertificateFiles, bot: ClientFiles) -> None:
        clients = trust(ROOT, lists=[ROOT.revocations(valid=(-DAY, timedelta(minutes=5)))])
        first = visit(server(chat, clients), client(authority, bot))
        certificate = shown(clients, first)
        assert certificate is not None
        assert clients.seal(first.last.tls, certificate)
        assert 290 <= first.session().ticket_lifetime_hint <= 300

    def test_a_handshake_that_took_long_makes_no_ticket_last_longer(
        self, authority: Authority, chat: CertificateFiles, bot: ClientFiles
    ) -> None:
        clients = trust(ROOT, lists=[ROOT.revocations(valid=(-DAY, timedelta(minutes=5)))])
        first = visit(server(chat, clients), client(authority, bot))
        certificate = shown(clients, first)
        assert certificate is not None
        library = libssl.bound(
            {"SSL_get_session": (c_void_p, c_void_p), "SSL_SESSION_set_time": (c_long, c_void_p, c_long)}
        )
        session = library.SSL_get_session(libssl.connection_pointer(first.last.tls))
        library.SSL_SESSION_set_time(session, library.SSL_SESSION_get_time(session) - 60)
        assert clients.seal(first.last.tls, certificate)
        assert first.session().ticket_lifetime_hint < 300

    def test_there_is_none_where_a_list_has_expired(
        self, authority: Authority, chat: CertificateFiles, bot: ClientFiles
    ) -> None:
        """One of an authority that did not issue this certificate."""
        lists = [ROOT.revocations(), MODERN.revocations(valid=(-3 * DAY, -DAY))]
        clients = trust(ROOT, MODERN, lists=lists)
        first = visit(server(chat, clients), client(authority, bot))
        certificate = shown(clients, first)
        assert certificate is not None
        assert not clients.seal(first.last.tls, certificate)


class TestJudgement:
    """What a reload asks about a client that is connected."""

    def test_what_would_be_let_in_again(self, bot: ClientFiles, deep: ClientFiles) -> None:
        for files in (bot, deep):
            certificate = ClientCertificate(files.der, files.chain)
            assert trust(ROOT).refusal_of(certificate) is None
            assert trust(ROOT, BELOW, lists=[ROOT.revocations(), BELOW.revocations()]).refusal_of(certificate) is None
        assert trust(ROOT, is_required=False).refusal_of(None) is None

    def test_what_would_not(self, directory: Path, bot: ClientFiles) -> None:
        certificate = ClientCertificate(bot.der)
        assert trust(ROOT).refusal_of(None) == "it showed no certificate"
        assert trust(MODERN).refusal_of(certificate) == "unable to get local issuer certificate"
        assert trust(STRANGER).refusal_of(certificate) == "certificate signature failure"
        assert trust(ROOT, lists=[ROOT.revocations(bot.leaf)]).refusal_of(certificate) == "certificate revoked"
        expired = [ROOT.revocations(valid=(-3 * DAY, -DAY))]
        assert trust(ROOT, lists=expired).refusal_of(certificate) == "CRL has expired"
        late = ROOT.issue(directory, "late", valid=(-3 * DAY, -DAY))
        assert trust(ROOT).refusal_of(ClientCertificate(late.der)) == "certificate has expired"
        server = ROOT.issue(directory, "server", purposes=[ExtendedKeyUsageOID.SERVER_AUTH])
        assert trust(ROOT).refusal_of(ClientCertificate(server.der)) == "unsuitable certificate purpose"
        weak = ROOT.issue(directory, "weak", kind="rsa-1024")
        assert trust(ROOT).refusal_of(ClientCertificate(weak.der)) == "EE certificate key too weak"

    def test_judgement_leaves_no_error_behind(self, bot: ClientFiles) -> None:
        trust(MODERN).refusal_of(ClientCertificate(bot.der))
        with pytest.raises(ssl.SSLWantReadError):  # and none that an earlier call has left
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_bio(
                ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True
            ).do_handshake()


def test_equal_content_is_equal() -> None:
    lists = [ROOT.revocations()]
    several = [trust(ROOT), trust(ROOT, is_required=False), trust(MODERN), trust(ROOT, lists=lists)]
    assert len({*several, trust(ROOT), trust(ROOT, lists=lists)}) == len(several)
    assert trust(ROOT) != ROOT
    assert trust(ROOT).fingerprint == fingerprint_of(Stated(ROOT.pem), Demand(is_required=True))


@pytest.mark.parametrize("stated", [Stated(b"x"), Stated(ROOT.pem, b"x")])
def test_files_that_openssl_does_not_take(stated: Stated) -> None:
    with pytest.raises((ssl.SSLError, LibsslError)):
        ClientTrust(stated, Demand(is_required=True))
