"""What a client of the running proxy is shown is held against what should be shown."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from certs.identities.chain_file import read_chain
from config.values.addresses import parse_bind
from proxy.doctor.credentials.chains import ConfiguredChain
from proxy.doctor.credentials.served_chains import (
    SERVED_CHAINS,
    ServedChain,
    foreign_groups,
    served_chains,
    served_findings,
    shown_chain,
)
from proxy.tls.openssl.libssl import set_groups
from tests.configurations import Site
from tests.parts import part
from tests.proxy.doctor.checkups import NOTHING, answering, configured, states
from tests.proxy.rotation.showing import listening

NOW = datetime.now(UTC)  # noqa: TID251 - certificates of tests are relative to it


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


def served(site: Site, port: int = 443) -> ServedChain:
    expected = ConfiguredChain("chat", "chat chat.pem", ("chat.test",), read_chain(site.chat.certificate))
    return ServedChain(parse_bind(f"127.0.0.1:{port}"), expected)


def status(*addresses: str, name: str = "public") -> Any:
    return {"listeners": [{"name": name, "addresses": list(addresses)}]}


def test_chain_that_should_be_shown(site: Site) -> None:
    with listening(site.chat.server_context()) as port:
        one = served(site, port)
        chain = shown_chain(one)
    assert list(chain) == list(one.expected.chain)
    assert states(served_findings(one, chain, NOW)) == [(f"chat chat.pem at 127.0.0.1:{port}", "ok")]


def test_other_certificate_and_other_chain(site: Site) -> None:
    one = served(site)
    other = read_chain(site.authority.issue("other", ("chat.test",)).certificate)
    first, _ = served_findings(one, other, NOW)
    assert (first.state, "plexigate reload" in first.remedy) == ("failure", True)
    longer = [*one.expected.chain, *read_chain(site.authority.path)]
    first, _ = served_findings(one, longer, NOW)
    assert "it shows a chain of 2, and its file has another one of 1" in first.found


def test_a_replica_may_be_shown_instead(site: Site) -> None:
    one = served(site)
    other = read_chain(site.authority.issue("other", ("chat.test",)).certificate)
    replica = replace(one.expected, about="chat other.pem", chain=other)
    assert [state for _, state in states(served_findings(replace(one, replicas=(replica,)), other, NOW))] == ["ok"]


def test_handshake_that_fails(site: Site) -> None:
    (finding,) = served_findings(served(site), ssl.SSLError(1, "no shared group"), NOW)
    assert (finding.state, "the handshake failed" in finding.found) == ("failure", True)


@pytest.mark.parametrize(
    ("groups", "foreign"),
    [
        ("x25519_hqc5:hqc5 / frodo640aes", "x25519_hqc5, hqc5, frodo640aes"),
        ("x25519_hqc5 / X25519", ""),
        ("X25519MLKEM768:MLKEM1024", ""),
        ("", ""),
    ],
)
def test_listener_whose_groups_only_providers_have_is_not_tried(site: Site, groups: str, foreign: str) -> None:
    loaded = configured(site.write(site.minimal))
    one: Any = {**status("127.0.0.1:1")["listeners"][0], "groups": groups}
    assert foreign_groups(one) == foreign
    assert bool(list(served_chains(loaded, part({"listeners": [one]})))) is not bool(foreign)
    if foreign:
        running = answering(status={"listeners": [one]})
        (finding,) = SERVED_CHAINS[0].look(replace(NOTHING, configured=loaded, running=running))
        assert (finding.state, foreign in finding.found) == ("skipped", True)


def test_listeners_that_can_be_asked(site: Site) -> None:
    loaded = configured(site.write(site.minimal))
    assert [str(one.address) for one in served_chains(loaded, status("0.0.0.0:443", "[::]:443"))] == ["0.0.0.0:443"]
    for told in (status(), status("none"), status("127.0.0.1:443", name="other")):
        assert list(served_chains(loaded, told)) == []


def test_every_address_is_asked_on_loopback(site: Site) -> None:
    with listening(site.chat.server_context()) as port:
        chain = shown_chain(replace(served(site), address=parse_bind(f"0.0.0.0:{port}")))
    assert len(chain) == 1


@pytest.mark.parametrize("groups", ["SecP384r1MLKEM1024:MLKEM1024", "MLKEM512", "secp521r1"])
def test_listener_whose_groups_openssl_does_not_offer_by_itself(site: Site, groups: str) -> None:
    context = site.chat.server_context()
    set_groups(context, groups)
    with listening(context) as port:
        assert len(shown_chain(served(site, port))) == 1


def test_check_of_a_running_proxy(site: Site) -> None:
    (checkup,) = SERVED_CHAINS
    loaded = configured(site.write(site.minimal))
    with listening(site.chat.server_context()) as port:
        running = answering(status(f"127.0.0.1:{port}"))
        examined = replace(NOTHING, configured=loaded, running=running, now=lambda: NOW)
        assert states(checkup.look(examined)) == [(f"chat chat.pem at 127.0.0.1:{port}", "ok")]
    header = 'proxy_protocol = "require"\ntrusted_peers = ["127.0.0.1"]\n'
    text = site.minimal.replace("[listener.public]\n", f"[listener.public]\n{header}")
    behind = replace(examined, configured=configured(site.write(text)))
    assert states(checkup.look(behind))[0] == ("listener public", "skipped")
