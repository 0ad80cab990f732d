"""A CA that does not answer, or cannot reach us, is told."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.acme.client.accounts import FileAccountStore
from certs.acme.client.messages import Directory
from certs.acme.client.wire import CaUnreachable
from certs.acme.problems import AcmeProblem
from config.tables.issuers import AcmeIssuerConfig
from config.values.addresses import parse_bind
from proxy.doctor.credentials.issuers import (
    ISSUERS,
    AcmeAnswer,
    _date,
    account_findings,
    acme_findings,
    challenge_findings,
    internal_findings,
)
from proxy.doctor.finding import Finding
from tests.acme_directory import AcmeDirectory, acme_directory
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOON, NOTHING, answering, configured, states
from tests.rotations import Rotations

URL = "https://ca.test/dir"
SETTINGS = AcmeIssuerConfig(type="acme", directory=URL)
DIRECTORY = Directory("n", "a", "o", None, None, None, frozenset({"shortlived"}), needs_binding=False)


def judged(answer: AcmeAnswer | Exception, settings: AcmeIssuerConfig = SETTINGS) -> list[Finding]:
    return list(acme_findings("le", settings, answer, NOON))


def test_directory_with_terms_and_a_clock() -> None:
    first, clock = judged(AcmeAnswer(DIRECTORY, "https://ca.test/terms", NOON))
    assert (first.subject, first.state) == (f"le ({URL})", "ok")
    assert "https://ca.test/terms" in first.found
    assert (clock.subject, clock.state) == ("le, clock", "ok")
    assert states(judged(AcmeAnswer(DIRECTORY, None, NOON - timedelta(hours=2))))[1] == ("le, clock", "failure")


def test_what_a_ca_lacks_or_demands() -> None:
    settings = SETTINGS.model_copy(update={"profile": "tlsserver"})
    found = judged(AcmeAnswer(replace(DIRECTORY, needs_binding=True), None, None), settings)
    assert states(found) == [(f"le ({URL})", "ok"), ("le, account", "failure"), ("le, profile", "failure")]
    assert "it has shortlived" in found[2].found
    known = SETTINGS.model_copy(update={"profile": "shortlived", "eab_kid": "k"})
    assert len(judged(AcmeAnswer(replace(DIRECTORY, needs_binding=True), None, None), known)) == 1


@pytest.mark.parametrize(
    ("answer", "state", "text"),
    [
        (CaUnreachable("ca.test", "Connection refused"), "failure", "no answer: Connection refused"),
        (AcmeProblem(404, "malformed", "no such thing"), "failure", "not with a directory"),
        (ValueError("x"), "unknown", "x"),
    ],
)
def test_ca_without_a_directory(answer: Exception, state: str, text: str) -> None:
    (finding,) = judged(answer)
    assert finding.state == state
    assert text in finding.found


def test_date_of_an_answer() -> None:
    assert _date({"Date": "Mon, 01 Jun 2026 12:00:00 GMT"}) == NOON
    assert _date({"Date": "Mon, 01 Jun 2026 12:00:00 -0000"}) == NOON
    assert _date({"Date": "never"}) is None
    assert _date({}) is None


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[AcmeDirectory]:
    (tmp_path / "ca").mkdir()
    with acme_directory(tmp_path / "ca") as running:
        yield running


def acme_site(
    tmp_path: Path, challenge: str = "http-01", bind: str = "127.0.0.1:0", url: str = URL, more: str = ""
) -> Path:
    site = Site.make(tmp_path)
    credential = (
        '[identity.chat]\nnames = ["chat.test"]\n[[identity.chat.credential]]\nkey = "ec-p256@file"\nissuer = "le"\n'
    )
    issuer = f'[issuer.le]\ntype = "acme"\ndirectory = "{url}"\nchallenge = "{challenge}"\n{more}'
    text = site.minimal.replace(site.identity, credential).replace("127.0.0.1:0", bind)
    return site.write(f'{text}{issuer}[rotation]\nstate = "{tmp_path}/state"\n')


def test_a_real_directory_is_asked(tmp_path: Path, ca: AcmeDirectory) -> None:
    file = acme_site(tmp_path, url=ca.url, more=f'ca_file = "{ca.trust}"\n')
    examined = replace(NOTHING, configured=configured(file), now=lambda: datetime.now(UTC))  # noqa: TID251 - the clock of the CA
    found = states(ISSUERS[0].look(examined))
    assert (f"le ({ca.url})", "ok") in found
    assert ("le, clock", "ok") in found
    assert ("le, account", "ok") in found
    assert ca.requests == ["/dir"]


def test_without_issuers_there_is_nothing_to_ask(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    examined = replace(NOTHING, configured=configured(site.write(site.minimal)))
    assert states(ISSUERS[0].look(examined)) == [("issuers", "skipped")]
    assert states(ISSUERS[1].look(examined)) == []


def test_accounts_are_only_looked_for(tmp_path: Path) -> None:
    (finding,) = account_findings({"le": SETTINGS}, tmp_path)
    assert (finding.state, "none is stored" in finding.found) == ("ok", True)
    FileAccountStore(tmp_path / "accounts").save(URL, b"{}")
    (finding,) = account_findings({"le": SETTINGS}, tmp_path)
    assert finding.found == "it is stored"
    (path,) = (tmp_path / "accounts").iterdir()
    path.unlink()
    path.mkdir()
    assert states(account_findings({"le": SETTINGS}, tmp_path)) == [("le, account", "unknown")]


@pytest.mark.parametrize(
    ("challenge", "bind", "more", "state", "text"),
    [
        ("tls-alpn-01", "0.0.0.0:443", "", "ok", "the proxy listens on 0.0.0.0:443"),
        ("tls-alpn-01", "0.0.0.0:8443", "", "warning", "the proxy listens on 0.0.0.0:8443"),
        ("tls-alpn-01", "127.0.0.1:443", "", "warning", "only this machine"),
        ("http-01", "0.0.0.0:443", "", "failure", "no listener of the configuration answers"),
        ("http-01", "0.0.0.0:443", '[plain]\nbind = "0.0.0.0:80"\n', "ok", "port 80"),
        ("dns-01", "0.0.0.0:443", 'hook = ["set-txt"]\n', "ok", "dns-01 by set-txt"),
        ("dns-01", "0.0.0.0:443", 'hook = ["/nowhere/set-txt"]\n', "failure", "is not there"),
    ],
)
def test_way_of_a_challenge(tmp_path: Path, challenge: str, bind: str, more: str, state: str, text: str) -> None:
    (finding,) = challenge_findings(configured(acme_site(tmp_path, challenge, bind, more=more)).config, None)
    assert finding.state == state
    assert text in finding.found


def test_listener_that_the_running_proxy_lacks(tmp_path: Path) -> None:
    config = configured(acme_site(tmp_path, "tls-alpn-01", "0.0.0.0:443")).config
    (finding,) = challenge_findings(config, [parse_bind("0.0.0.0:8443")])
    assert (finding.state, "does not listen there" in finding.found) == ("failure", True)
    (finding,) = challenge_findings(config, [parse_bind("0.0.0.0:443")])
    assert finding.state == "ok"


def test_issuer_that_nothing_uses(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    issuer = f'[issuer.le]\ntype = "acme"\ndirectory = "{URL}"\n'
    examined = replace(NOTHING, configured=configured(site.write(site.minimal + issuer)))
    running = replace(examined, running=answering({"listeners": []}))
    assert states(ISSUERS[1].look(running)) == [("le", "skipped")]


def test_internal_ca(tmp_path: Path) -> None:
    scene = Rotations(tmp_path / "scene")
    loaded = configured(scene.file)
    (waiting,) = internal_findings(loaded, lambda: scene.time.now)
    assert "made with the first certificate" in waiting.found
    scene.serve()
    (good,) = internal_findings(loaded, lambda: scene.time.now)
    assert (good.state, "its root is valid until" in good.found) == ("ok", True)
    (root,) = scene.moody.roots
    (late,) = internal_findings(loaded, lambda: root.not_valid_after_utc - timedelta(days=20))
    assert (late.state, "(20 days)" in late.found) == ("warning", True)
    for path in (tmp_path / "scene").rglob("*chain*"):
        if "internal" in str(path):
            path.write_text("none")
    assert [str(one.state) for one in internal_findings(loaded, lambda: scene.time.now)] == ["failure"]
