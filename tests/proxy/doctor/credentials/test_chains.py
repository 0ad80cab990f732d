"""Chains are judged as a client judges them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from certs.identities.chain_file import read_chain
from certs.issuing.trust import Trust
from proxy.doctor.credentials.chains import (
    CERTIFICATES,
    ConfiguredChain,
    chain_findings,
    configured_chains,
    is_trusted,
    trust_finding,
)
from proxy.doctor.finding import Finding
from tests.certificates import DAY, Authority
from tests.configurations import Site
from tests.proxy.doctor.checkups import configured, states
from tests.rotations import Rotations

NOW = datetime.now(UTC)  # noqa: TID251 - certificates of tests are relative to it


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


def judged(chain: Sequence[x509.Certificate], *names: str, now: datetime = NOW) -> list[Finding]:
    return list(chain_findings(CERTIFICATES, "chat", ConfiguredChain("chat", "chat", names, chain), chain, now))


def test_good_chain(site: Site) -> None:
    (finding,) = judged(read_chain(site.chat.certificate), "chat.test")
    assert (finding.state, "days), certificates in the chain: 1" in finding.found) == ("ok", True)


def test_expired_and_not_yet_valid(site: Site) -> None:
    chain = read_chain(site.chat.certificate)
    for now, remedy in ((NOW + 100 * DAY, "Get a new certificate from its CA"), (NOW - 2 * DAY, "Check the clock")):
        (finding,) = judged(chain, "chat.test", now=now)
        assert (finding.state, "CN=chat is valid from" in finding.found) == ("failure", True)
        assert finding.remedy.startswith(remedy)
    issued = ConfiguredChain("chat", "chat ecdsa", ("chat.test",), chain, slot="ec@spare")
    (finding,) = chain_findings(CERTIFICATES, "chat", issued, chain, NOW + 100 * DAY)
    assert finding.remedy.startswith("plexigate certs rotate chat --credential ec@spare requests")


def test_last_days(site: Site) -> None:
    chain = read_chain(site.chat.certificate)
    assert states(judged(chain, "chat.test", now=NOW + 80 * DAY)) == [("chat", "warning")]
    week = read_chain(site.authority.issue("week", ("chat.test",), (-timedelta(hours=1), 7 * DAY)).certificate)
    assert states(judged(week, "chat.test")) == [("chat", "ok")]
    assert states(judged(week, "chat.test", now=NOW + 6 * DAY)) == [("chat", "warning")]


def test_other_name_and_wrong_order(site: Site) -> None:
    (finding,) = judged(read_chain(site.chat.certificate), "other.test")
    assert (finding.state, "it is not for other.test" in finding.found) == ("failure", True)
    stranger = read_chain(Authority(site.directory, "Stranger").path)
    (finding,) = judged([*read_chain(site.chat.certificate), *stranger], "chat.test")
    assert (finding.state, "did not sign" in finding.found) == ("failure", True)


def test_trust_is_judged_by_itself(site: Site) -> None:
    chain, roots = read_chain(site.chat.certificate), read_chain(site.authority.path)
    assert is_trusted(chain, ("chat.test",), Trust(roots, "here"), NOW)
    assert not is_trusted(chain, ("chat.test",), Trust((), "here"), NOW)


def test_trust_by_the_system(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    one = ConfiguredChain("chat", "chat chat.pem", ("chat.test",), read_chain(site.chat.certificate))
    monkeypatch.setenv("SSL_CERT_DIR", str(site.directory / "none"))
    monkeypatch.setenv("SSL_CERT_FILE", str(site.authority.path))
    assert trust_finding(one, NOW).state == "ok"
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(site.directory, "Stranger").path))
    assert (trust_finding(one, NOW).state, "browsers" in trust_finding(one, NOW).found) == ("warning", True)
    monkeypatch.setenv("SSL_CERT_FILE", str(site.directory / "none"))
    assert trust_finding(one, NOW).state == "unknown"
    own = ConfiguredChain("chat", "chat", ("chat.test",), one.chain, "internal")
    assert (trust_finding(own, NOW).state, "plexigate certs trust internal" in trust_finding(own, NOW).found) == (
        "ok",
        True,
    )


def test_chains_of_files(site: Site) -> None:
    loaded = configured(site.write(site.minimal))
    (one,) = configured_chains(loaded)
    assert isinstance(one, ConfiguredChain)
    assert (one.identity, one.about, str(one.algorithm)) == ("chat", "chat chat.pem", "ecdsa-p256")
    site.chat.certificate.write_text("none")
    (finding,) = configured_chains(loaded)
    assert isinstance(finding, Finding)
    assert finding.state == "failure"


def test_issued_chains_come_from_the_store(tmp_path: Path) -> None:
    scene = Rotations(tmp_path / "scene")
    loaded = configured(scene.file)
    (waiting,) = configured_chains(loaded)
    assert isinstance(waiting, Finding)
    assert (waiting.state, "plexigate certs rotate chat" in waiting.remedy) == ("warning", True)
    version = scene.serve()
    (one,) = configured_chains(loaded)
    assert isinstance(one, ConfiguredChain)
    assert (one.own_ca, len(one.chain)) == ("internal", 2)
    version.chain_path.write_text("none")
    (damaged,) = configured_chains(loaded)
    assert isinstance(damaged, Finding)
    assert damaged.state == "failure"


def test_issued_chain_without_a_state_directory_is_left_to_the_configuration(tmp_path: Path) -> None:
    scene = Rotations(tmp_path / "scene")
    scene.file.write_text(scene.file.read_text().replace("state =", "# state ="))
    assert [one for one in configured_chains(configured(scene.file)) if isinstance(one, ConfiguredChain)] == []
