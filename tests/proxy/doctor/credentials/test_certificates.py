"""The certificates of a configuration, and how long its revocation lists are current."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.doctor.credentials.certificates import CERTIFICATES, currency_finding
from tests.certificates import DAY
from tests.client_authorities import ClientAuthority
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOON, NOTHING, configured, states

NOW = datetime.now(UTC)  # noqa: TID251 - certificates of tests are relative to it
HERE = replace(NOTHING, now=lambda: NOW)


def test_certificates_with_their_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site.make(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(site.authority.path))
    examined = replace(HERE, configured=configured(site.write(site.minimal)))
    certificates, revocation = CERTIFICATES
    assert states(certificates.look(examined)) == [("chat chat.pem", "ok"), ("chat chat.pem, trust", "ok")]
    assert states(revocation.look(examined)) == [("revocation lists", "skipped")]
    site.chat.certificate.write_text("none")
    assert states(certificates.look(examined)) == [("chat chat.pem", "failure")]


@pytest.mark.parametrize(
    ("begins", "ends", "state"),
    [(-1, 29, "ok"), (-29, 1, "warning"), (-30, 0, "failure"), (1, 30, "failure"), (-200, 13, "warning")],
)
def test_how_long_lists_are_current(begins: int, ends: int, state: str) -> None:
    span = (NOON + begins * timedelta(days=1), NOON + ends * timedelta(days=1))
    assert currency_finding("chat", span, NOON).state == state


def test_lists_of_a_configuration(tmp_path: Path) -> None:
    site, authority = Site.make(tmp_path), ClientAuthority("clients")
    ca, crl = tmp_path / "clients.pem", tmp_path / "crl.pem"
    ca.write_bytes(authority.pem)
    crl.write_bytes(authority.revocations(valid=(-DAY, 30 * DAY)))
    clients = f'[identity.chat.client_certificates]\nca = "{ca}"\ncrl = "{crl}"\n'
    loaded = configured(site.write(site.minimal.replace("\n[upstream", f"{clients}\n[upstream")))
    _, revocation = CERTIFICATES
    assert states(revocation.look(replace(HERE, configured=loaded))) == [("chat", "ok")]
    crl.write_text("none")
    assert states(revocation.look(replace(HERE, configured=loaded))) == [("chat", "failure")]
