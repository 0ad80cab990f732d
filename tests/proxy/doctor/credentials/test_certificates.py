"""The certificates of a configuration, and how long its revocation lists are current."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs.issuing.internal_ca.authority import InternalAuthority
from proxy.doctor.checkup import AnsweringProxy
from proxy.doctor.credentials.certificates import CERTIFICATES, currency_finding
from proxy.doctor.finding import State
from proxy.observe.scrape import RevocationFacts, Scrape, WatchedLog
from proxy.observe.status import status
from tests.certificates import DAY
from tests.certs.authority import NOW as MADE
from tests.client_authorities import ClientAuthority
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOON, NOTHING, configured, states
from tests.rotations import Rotations, configuration
from tests.transparency_logs import SigningLog, log_list, logged
from tests.web_documents import web_documents

NOW = datetime.now(UTC)  # noqa: TID251 - certificates of tests are relative to it
A = SigningLog("a", "A")
B = SigningLog("b", "B")
HERE = replace(NOTHING, now=lambda: NOW)


def test_certificates_with_their_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site.make(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(site.authority.path))
    examined = replace(HERE, configured=configured(site.write(site.minimal)))
    certificates, revocation, named, transparency = CERTIFICATES
    assert states(certificates.look(examined)) == [("chat chat.pem", "ok"), ("chat chat.pem, trust", "ok")]
    assert states(revocation.look(examined)) == [("revocation lists", "skipped")]
    assert states(named.look(examined)) == [("published lists", "skipped")]
    assert states(transparency.look(examined)) == [("transparency", "skipped")]
    site.chat.certificate.write_text("none")
    assert states(certificates.look(examined)) == [("chat chat.pem", "failure")]


@pytest.mark.parametrize(
    ("begins", "ends", "state", "text"),
    [
        (-1, 29, "ok", "current until"),
        (-29, 1, "warning", "current until"),
        (-30, 0, "failure", "expired at"),
        (1, 30, "failure", "current only from"),
        (-200, 13, "warning", "current until"),
    ],
)
def test_how_long_lists_are_current(begins: int, ends: int, state: str, text: str) -> None:
    span = (NOON + begins * timedelta(days=1), NOON + ends * timedelta(days=1))
    found = currency_finding("chat", span, NOON, is_fetched=False, consequence="are refused")
    assert found.state == state
    assert found.found.startswith(text)


def test_lists_of_a_configuration(tmp_path: Path) -> None:
    site, authority = Site.make(tmp_path), ClientAuthority("clients")
    ca, crl = tmp_path / "clients.pem", tmp_path / "crl.pem"
    ca.write_bytes(authority.pem)
    crl.write_bytes(authority.revocations(valid=(-DAY, 30 * DAY)))
    clients = f'[identity.chat.client_certificates]\nca = "{ca}"\ncrl = "{crl}"\n'
    loaded = configured(site.write(site.minimal.replace("\n[upstream", f"{clients}\n[upstream")))
    _, revocation, _, _ = CERTIFICATES
    assert states(revocation.look(replace(HERE, configured=loaded))) == [("chat", "ok")]
    crl.write_bytes(authority.revocations(valid=(-9 * DAY, -DAY)))
    for further, what in (("", "are refused"), ('crl_unknown = "accept"\n', "may be revoked")):
        loaded = configured(site.write(site.minimal.replace("\n[upstream", f"{clients}{further}\n[upstream")))
        (expired,) = revocation.look(replace(HERE, configured=loaded))
        assert what in expired.found
    rows = [RevocationFacts("chat", 0.0, 0.0, "http://ca.test/: status 404")]
    running = AnsweringProxy(status(Scrape(0.0, 0.0, "1", 1, [], revocations=rows)), lambda _: None)
    (told,) = revocation.look(replace(HERE, configured=loaded, running=running))
    assert told.found.endswith("clients with certificates may be revoked (http://ca.test/: status 404)")
    crl.write_text("none")
    assert states(revocation.look(replace(HERE, configured=loaded))) == [("chat", "failure")]


def test_lists_that_certificates_name_are_fetched(tmp_path: Path) -> None:
    with web_documents() as web:
        scene = Rotations(tmp_path, configuration(issuer=f'crl_url = "{web.url}/a.crl"'))
        scene.serve()
        examined = replace(NOTHING, configured=scene.parts.loaded, now=lambda: scene.time.now)
        _, _, named, _ = CERTIFICATES
        (missing,) = named.look(examined)
        assert (missing.subject, missing.state) == ("chat ec-p256@file", State.FAILURE)
        assert "[plain]" in missing.remedy
        issuer = scene.moody.issuer
        assert isinstance(issuer, InternalAuthority)
        (served,) = issuer.published_lists().values()
        web.contents["/a.crl"] = served.public_bytes(Encoding.DER)
        assert states(named.look(examined)) == [("chat ec-p256@file", "ok")]


@pytest.mark.parametrize(
    ("logs", "settings", "found"),
    [
        ((A, B), '[ct]\nlog_list = "logs.json"\n', ["ok"]),
        ((A,), '[ct]\nlog_list = "logs.json"\n', ["failure"]),
        ((A, B), "", ["warning"]),
    ],
)
def test_timestamps_of_logs_are_verified(
    tmp_path: Path, logs: tuple[SigningLog, ...], settings: str, found: list[str]
) -> None:
    site = Site.make(tmp_path)
    site.chat.certificate.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in logged(logs)))
    (tmp_path / "logs.json").write_bytes(log_list(A, B))
    examined = replace(NOTHING, configured=configured(site.write(site.minimal + settings)), now=lambda: MADE)
    *_, transparency = CERTIFICATES
    assert [state for _, state in states(transparency.look(examined))] == found
    site.chat.certificate.write_bytes(
        b"".join(one.public_bytes(Encoding.PEM) for one in logged({A: MADE}, damaged=True))
    )
    assert [state for _, state in states(transparency.look(examined))] == ["failure"]


def test_logs_that_the_proxy_watches(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    logs = (WatchedLog("https://a.test/", 7, 9), WatchedLog("https://b.test/", 0, 0, "Connection refused"))
    running = AnsweringProxy(status(Scrape(0.0, 0.0, "1", 1, [], watched_logs=logs)), lambda _: None)
    examined = replace(HERE, configured=configured(site.write(site.minimal)), running=running)
    *_, transparency = CERTIFICATES
    assert states(transparency.look(examined)) == [("https://a.test/", "ok"), ("https://b.test/", "warning")]
