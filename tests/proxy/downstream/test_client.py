"""What upstreams and the log are told about a client."""

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.downstream.client import ClientFacts
from proxy.downstream.standing import NoLongerWelcome
from proxy.http.client_cert import client_cert_lines
from proxy.http.fields import sort_request_fields
from proxy.limits.networks import EXEMPT, network_of
from proxy.limits.requests import ClientRates, RequestRate
from proxy.limits.shared import SharedTable
from proxy.tls.client_certificate import ClientCertificate
from tests.client_authorities import ClientAuthority
from tests.fakes_http import HYBRID, established, handshake_policy, server_identity
from tests.proxy.tls.client_visits import trust


def test_a_client_is_described_once() -> None:
    facts = ClientFacts("::ffff:192.0.2.7", "public", established(), True)  # noqa: FBT003 - a fact
    assert (facts.peer.address, facts.peer.is_trusted) == (b"192.0.2.7", True)
    assert facts.peer is facts.peer
    assert (facts.record.client, facts.record.listener, facts.record.group) == (
        "::ffff:192.0.2.7",
        "public",
        HYBRID.name,
    )
    assert facts.record is facts.record


def test_a_client_that_is_exempt_never_waits() -> None:
    rate, table = RequestRate.of("chat.test/", 0.5, 1, is_per_client=True), SharedTable.private()
    exempt = ClientFacts("192.0.2.7", "public", established(), is_trusted=False)
    other = ClientFacts("192.0.2.7", "public", established(), is_trusted=False, rates=ClientRates(b"network"))
    assert [exempt.wait(rate, table, 1_000.0) for _ in range(2)] == [0.0, 0.0]
    assert [other.wait(rate, table, 1_000.0) for _ in range(2)] == [0.0, 2.0]


PEER, CLIENT = "192.0.2.7", "2001:db8::7"


def counted(forwarded_for: bytes | None, *, is_trusted: bool, is_exempt: bool) -> bytes:
    """The network that a request counts for, whose peer says that it speaks for this client."""
    rates = None if is_exempt else ClientRates(network_of(PEER))
    facts = ClientFacts(PEER, "public", established(), is_trusted, rates)
    claims = [] if forwarded_for is None else [(b"X-Forwarded-For", forwarded_for)]
    return facts.counts_as(sort_request_fields([(b"Host", b"chat.test"), *claims]))


@pytest.mark.parametrize("claim", [None, CLIENT.encode()])
def test_request_counts_for_its_peer_unless_that_is_trusted(claim: bytes | None) -> None:
    assert counted(claim, is_trusted=False, is_exempt=False) == network_of(PEER)
    assert counted(claim, is_trusted=False, is_exempt=True) == EXEMPT


def test_request_of_a_trusted_peer_counts_for_its_client() -> None:
    assert counted(b"198.51.100.9:40123", is_trusted=True, is_exempt=False) == network_of("198.51.100.9")
    for is_exempt in (False, True):
        assert counted(CLIENT.encode(), is_trusted=True, is_exempt=is_exempt) == network_of(CLIENT)
    assert counted(PEER.encode(), is_trusted=True, is_exempt=True) == EXEMPT
    assert counted(None, is_trusted=True, is_exempt=False) == network_of(PEER)


@pytest.mark.parametrize("name", [b"1.2.3.4.5", b"unknown", b"_hidden", b"\xe9", b"a\x00b"])
def test_client_that_is_no_address_counts_by_its_name(name: bytes) -> None:
    assert counted(name, is_trusted=True, is_exempt=False) == name


class TestCertificate:
    ROOT = ClientAuthority("Root")
    BELOW = ClientAuthority("Below", above=ROOT)

    def test_upstreams_and_the_log_are_told(self, tmp_path: Path) -> None:
        issued = self.BELOW.issue(tmp_path, "bot")
        tls = established()
        tls.identity = replace(tls.identity, clients=trust(self.ROOT))
        tls.client = ClientCertificate(issued.der, issued.chain)
        for address in ("192.0.2.7", "2001:db8::7"):
            facts = ClientFacts(address, "public", tls, is_trusted=False)
            assert client_cert_lines(issued.der, issued.chain) in facts.peer.lines
            assert facts.peer.asks_for_certificates
            assert facts.record.subject == "CN=bot"

    def test_client_without_one_is_none(self) -> None:
        tls = established()
        facts = ClientFacts("192.0.2.7", "public", tls, is_trusted=False)
        assert (facts.record.subject, facts.peer.asks_for_certificates) == (None, False)
        tls.identity = replace(tls.identity, clients=trust(self.ROOT, is_required=False))
        facts = ClientFacts("192.0.2.7", "public", tls, is_trusted=False)
        assert (facts.record.subject, facts.peer.asks_for_certificates) == (None, True)
        assert b"Client-Cert" not in facts.peer.lines

    @pytest.mark.parametrize("is_trusted", [True, False])
    def test_a_trusted_peer_connects_anew_when_clients_are_asked(self, *, is_trusted: bool) -> None:
        """What it said of certificates was believed, and is remembered with its requests."""
        facts = ClientFacts("192.0.2.7", "public", established(), is_trusted)
        facts.stand({"public": handshake_policy()})
        asking = replace(server_identity(), clients=trust(self.ROOT, is_required=False))
        policies = {"public": handshake_policy(identities=[asking])}
        if is_trusted:
            with pytest.raises(NoLongerWelcome, match="who is asked"):
                facts.stand(policies)
        else:
            facts.stand(policies)
        assert facts.tls.identity is asking
