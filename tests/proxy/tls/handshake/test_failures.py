"""Why a handshake failed, and what a client is told whose hello our parser rejects."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from proxy.tls.handshake.failures import StepFailure, answer_to, reason_of, step_failure
from proxy.tls.handshake.results import FailureReason
from proxy.tls.openssl.driver import new_driver
from proxy.tls.wire.alerts import AlertDescription, alert_in
from proxy.tls.wire.records import HelloError, HelloFailure
from tests.certificates import DAY, Authority
from tests.client_authorities import ClientAuthority, ClientFiles
from tests.proxy.tls.client_visits import client, server, trust, visit
from tests.proxy.tls.drivers import is_empty

ROOT = ClientAuthority("Root")
STRANGER = ClientAuthority("Stranger")
REVOKED = FailureReason.CLIENT_CERTIFICATE_REVOKED
Issue = Callable[[Path], ClientFiles | None]


@pytest.mark.parametrize(
    ("issue", "reason", "alert", "detail"),
    [
        (
            lambda _: None,
            FailureReason.CLIENT_CERTIFICATE_MISSING,
            AlertDescription.CERTIFICATE_REQUIRED,
            "the client showed no certificate",
        ),
        (
            lambda path: STRANGER.issue(path, "bot"),
            FailureReason.CLIENT_CERTIFICATE_UNTRUSTED,
            AlertDescription.UNKNOWN_CA,
            "unable to get local issuer certificate: CN=bot",
        ),
        (
            lambda path: ROOT.issue(path, "bot", valid=(-3 * DAY, -DAY)),
            FailureReason.CLIENT_CERTIFICATE_EXPIRED,
            AlertDescription.CERTIFICATE_EXPIRED,
            "certificate has expired: CN=bot",
        ),
        (
            lambda path: ROOT.issue(path, "bot", purposes=[ExtendedKeyUsageOID.SERVER_AUTH]),
            FailureReason.CLIENT_CERTIFICATE_REFUSED,
            AlertDescription.UNSUPPORTED_CERTIFICATE,
            "unsuitable certificate purpose: CN=bot",
        ),
        (
            lambda path: ROOT.issue(path, "bot", kind="rsa-1024"),
            FailureReason.CLIENT_CERTIFICATE_REFUSED,
            None,
            "EE certificate key too weak: CN=bot",
        ),
    ],
)
def test_reason_alert_and_who_it_was(
    tmp_path: Path, issue: Issue, reason: FailureReason, alert: AlertDescription | None, detail: str
) -> None:
    assert failure(tmp_path, issue(tmp_path)) == StepFailure(reason, detail, alert)


def failure(path: Path, files: ClientFiles | None, lists: tuple[bytes, ...] | None = None) -> StepFailure:
    authority = Authority(path)
    context = server(authority.issue("chat", ("chat.example.org",)), trust(ROOT, lists=lists))
    made = visit(context, client(authority, files)).last
    assert made.error is not None
    return step_failure(made, made.error)


def test_revocation_and_a_list_that_is_too_old(tmp_path: Path) -> None:
    bot = ROOT.issue(tmp_path, "bot")
    assert failure(tmp_path, bot, (ROOT.revocations(bot.leaf),)).reason is REVOKED
    expired = failure(tmp_path, bot, (ROOT.revocations(valid=(-3 * DAY, -DAY)),))
    assert expired == StepFailure(
        FailureReason.CLIENT_REVOCATIONS_UNKNOWN, "CRL has expired: CN=bot", AlertDescription.CERTIFICATE_EXPIRED
    )


def test_other_errors_are_those_of_openssl(tmp_path: Path) -> None:
    large = ROOT.issue(tmp_path, "large", names=["urn:" + "x" * 33_000])
    assert failure(tmp_path, large)[:2] == (FailureReason.TLS_ERROR, "EXCESSIVE_MESSAGE_SIZE")


def test_certificate_that_only_openssl_can_read_has_no_name(tmp_path: Path) -> None:
    """A negative serial number, or an empty one: cryptography refuses what OpenSSL takes."""
    bot = STRANGER.issue(tmp_path, "bot")
    broken = bot.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09", 1)  # X.509 version 10
    assert broken != bot.der
    bot.certificate.write_bytes(ssl.DER_cert_to_PEM_cert(broken).encode())
    assert failure(tmp_path, bot).detail == "unable to get local issuer certificate"


@pytest.fixture
def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def test_openssl_answers_what_it_cannot_read(context: ssl.SSLContext) -> None:
    driver = new_driver()
    error = HelloError(HelloFailure.NOT_TLS)
    answer = answer_to(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", error, driver, context)
    assert alert_in(answer) is not None
    assert is_empty(driver)


def test_ours_is_the_answer_where_openssl_has_none(context: ssl.SSLContext) -> None:
    error = HelloError(HelloFailure.RECORD_TOO_LONG)
    assert alert_in(answer_to(b"\x16\x03\x01", error, new_driver(), context)) is AlertDescription.RECORD_OVERFLOW


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (HelloFailure.NOT_TLS, FailureReason.NOT_TLS),
        (HelloFailure.OLD_VERSION, FailureReason.OLD_VERSION),
        (HelloFailure.EMPTY_RECORD, FailureReason.MALFORMED_HELLO),
    ],
)
def test_only_damaged_hellos_count_as_malformed(failure: HelloFailure, reason: FailureReason) -> None:
    assert reason_of(HelloError(failure)) is reason
